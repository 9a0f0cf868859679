import logging
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from epp.errors import ConfigError
from epp.transport.certificates import CertificateFiles, KeyPair
from epp.transport.self_signed import self_signed


def make() -> KeyPair:
    return self_signed(["localhost"], [], datetime.now(UTC))


def write(directory: Path, pair: KeyPair) -> None:
    directory.mkdir(exist_ok=True)
    for name, data in (("tls.crt", pair.certificate), ("tls.key", pair.key)):
        (directory / "new").write_bytes(data)
        (directory / "new").replace(directory / name)


def test_unchanged_files_give_the_same_pair(tmp_path: Path) -> None:
    pair = make()
    write(tmp_path, pair)
    files = CertificateFiles(tmp_path)
    assert files.current() == pair
    assert files.current() is files.current()


def test_replaced_files_are_read(tmp_path: Path) -> None:
    write(tmp_path, make())
    files = CertificateFiles(tmp_path)
    new = make()
    write(tmp_path, new)
    assert files.current() == new


def test_swapped_symbolic_link_is_followed(tmp_path: Path) -> None:
    """As a mounted Secret changes: tls.crt -> ..data/tls.crt, and ..data is swapped."""
    old, new = make(), make()
    write(tmp_path / "1", old)
    write(tmp_path / "2", new)
    (tmp_path / "..data").symlink_to("1")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    files = CertificateFiles(tmp_path)
    assert files.current() == old
    (tmp_path / "..data_tmp").symlink_to("2")
    os.replace(tmp_path / "..data_tmp", tmp_path / "..data")
    assert files.current() == new


def test_half_written_pair_keeps_the_old_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old, new = make(), make()
    write(tmp_path, old)
    files = CertificateFiles(tmp_path)

    (tmp_path / "tls.crt").write_bytes(new.certificate)
    assert files.current() == old
    assert files.current() == old
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [
        "the new certificate cannot be used, the old one stays: "
        f"{tmp_path}/tls.key: this is not the key of tls.crt"
    ]

    (tmp_path / "tls.key").write_bytes(new.key)
    assert files.current() == new


def test_removed_files_keep_the_old_pair(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pair = make()
    write(tmp_path, pair)
    files = CertificateFiles(tmp_path)
    (tmp_path / "tls.key").unlink()
    assert files.current() == pair
    assert "No such file" in caplog.text


def encrypted(pair: KeyPair) -> bytes:
    key = serialization.load_pem_private_key(pair.key, password=None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"word"),
    )


PAIR = make()


@pytest.mark.parametrize(
    ("certificate", "key", "complaint"),
    [
        (None, PAIR.key, r"tls.crt: No such file or directory"),
        (PAIR.certificate, None, r"tls.key: No such file or directory"),
        (b"rubbish", PAIR.key, r"tls.crt: no certificate in PEM"),
        (PAIR.key, PAIR.certificate, r"tls.crt: no certificate in PEM"),
        (PAIR.certificate, b"rubbish", r"tls.key: no private key in PEM"),
        (PAIR.certificate, encrypted(PAIR), r"tls.key: no private key in PEM.*encrypted"),
        (PAIR.certificate, make().key, r"tls.key: this is not the key of tls.crt"),
    ],
)
def test_first_pair_must_be_usable(
    tmp_path: Path, certificate: bytes | None, key: bytes | None, complaint: str
) -> None:
    if certificate is not None:
        (tmp_path / "tls.crt").write_bytes(certificate)
    if key is not None:
        (tmp_path / "tls.key").write_bytes(key)
    with pytest.raises(ConfigError, match=complaint):
        CertificateFiles(tmp_path)

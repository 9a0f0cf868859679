"""The certificate that the picker shows, from files that are followed as they change."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from epp.errors import ConfigError, Fault

log = logging.getLogger(__name__)

# Names of the files in a Kubernetes Secret of type kubernetes.io/tls, and the reference's.
CERTIFICATE_FILE = "tls.crt"
KEY_FILE = "tls.key"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate (PEM, the server's own first) and its private key (PEM, not encrypted)."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return "KeyPair(...)"  # never the key


class CertificateFiles:
    """The pair in a directory, read again when a file has changed, also by a swapped symbolic link.

    A new pair that cannot be used is logged and the old one stays. Raises ConfigError if there is none at
    first. May be called from any thread.
    """

    def __init__(self, directory: Path) -> None:
        self._paths = (directory / CERTIFICATE_FILE, directory / KEY_FILE)
        self._lock = threading.Lock()
        self._stamps = _stamps(self._paths)
        self._pair = _read(self._paths)

    def current(self) -> KeyPair:
        """The pair to show now. Costs two stat calls while nothing changes."""
        with self._lock:
            stamps = _stamps(self._paths)
            if stamps != self._stamps:
                self._stamps = stamps
                self._reload()
            return self._pair

    def _reload(self) -> None:
        try:
            self._pair = _read(self._paths)
        except ConfigError as error:
            log.warning("the new certificate cannot be used, the old one stays: %s", error)
        else:
            log.info("certificate read again from %s", self._paths[0].parent)


_Paths = tuple[Path, Path]


def _stamps(paths: _Paths) -> tuple[tuple[int, ...], ...]:
    """What changes when the file behind a path does; stat follows symbolic links."""
    return tuple(map(_stamp, paths))


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _read(paths: _Paths) -> KeyPair:
    certificate, key = map(_read_file, paths)
    try:
        public = x509.load_pem_x509_certificates(certificate)[0].public_key()
    except ValueError as error:
        raise _fault(paths[0], f"no certificate in PEM: {error}") from error
    try:
        own = serialization.load_pem_private_key(key, password=None).public_key()
    except (ValueError, TypeError) as error:  # TypeError: it is encrypted
        raise _fault(paths[1], f"no private key in PEM that can be read: {error}") from error
    if public != own:
        raise _fault(paths[1], f"this is not the key of {paths[0].name}")
    return KeyPair(certificate, key)


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _fault(path, error.strerror or "cannot be read") from error


def _fault(path: Path, message: str) -> ConfigError:
    return ConfigError([Fault(str(path), 0, "", message)])

"""The Authorization header, from its sources and renewed in time."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from epp.kubernetes.credentials import (
    EXPIRY_MARGIN,
    TOKEN_FILE_AGE,
    CredentialsError,
    ExecPlugin,
    Fixed,
    TokenFile,
    basic,
)
from epp.kubernetes.kubeconfig import EnvVar, Exec

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_fixed_header_stays() -> None:
    fixed = Fixed("Bearer abc")
    fixed.refused()
    assert await fixed.authorization() == "Bearer abc"
    assert await basic("me", "secret").authorization() == "Basic bWU6c2VjcmV0"


async def test_a_token_file_is_read_again_when_it_is_old_or_refused(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "token"
    file = TokenFile(path, clock)
    with pytest.raises(CredentialsError, match="token file"):
        await file.authorization()
    path.write_text("one\n")
    assert await file.authorization() == "Bearer one"
    path.write_text("two\n")
    assert await file.authorization() == "Bearer one"
    clock.now += TOKEN_FILE_AGE
    assert await file.authorization() == "Bearer two"
    path.write_text("three\n")
    file.refused()
    assert await file.authorization() == "Bearer three"
    path.unlink()
    file.refused()
    assert await file.authorization() == "Bearer three"


def plugin(tmp_path: Path, status: dict[str, object]) -> Exec:
    """A program that counts how often it runs and prints what its environment says."""
    (tmp_path / "status").write_text(json.dumps({"kind": "ExecCredential", "status": status}))
    program = tmp_path / "login"
    program.write_text(f'#!/bin/sh\necho "$1 $REGION $KUBERNETES_EXEC_INFO" >> {tmp_path}/runs\ncat "$2"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return Exec(
        "client.authentication.k8s.io/v1",
        str(program),
        ["now", str(tmp_path / "status")],
        [EnvVar("REGION", "eu")],
    )


async def test_a_plugin_is_asked_again_before_its_token_ends(tmp_path: Path) -> None:
    expires = NOW + timedelta(hours=1)
    now = [NOW]
    status = {"token": "abc", "expirationTimestamp": expires.isoformat().replace("+00:00", "Z")}
    login = ExecPlugin(plugin(tmp_path, status), None, {"PATH": "/bin:/usr/bin"}, lambda: now[0])
    assert await login.authorization() == "Bearer abc"
    assert await login.authorization() == "Bearer abc"
    (run,) = (tmp_path / "runs").read_text().splitlines()
    assert run.startswith("now eu {")
    assert json.loads(run.removeprefix("now eu "))["kind"] == "ExecCredential"
    now[0] = expires - timedelta(seconds=EXPIRY_MARGIN - 1)
    await login.authorization()
    login.refused()
    await login.authorization()
    assert len((tmp_path / "runs").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("script", "message"),
    [("exit 3", "exit code 3"), ("echo '{}'", "no ExecCredential"), ("echo token", "no ExecCredential")],
)
async def test_a_plugin_that_fails_is_named(tmp_path: Path, script: str, message: str) -> None:
    program = tmp_path / "login"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    with pytest.raises(CredentialsError, match=message):
        await ExecPlugin(Exec("v1", str(program)), None).authorization()


async def test_a_plugin_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="No such file"):
        await ExecPlugin(Exec("v1", str(tmp_path / "none")), None).authorization()

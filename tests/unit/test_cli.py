"""From the arguments to the exit code."""

from __future__ import annotations

import subprocess
import sys

import pytest

from epp.cli import USAGE, main

COMMANDS = ["serve", "up", "sim", "simulate", "explain", "envoy-config", "config", "plugins"]


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["help"], []])
def test_help(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    assert capsys.readouterr().out == USAGE


def test_help_names_every_command() -> None:
    assert [line.split()[1] for line in USAGE.splitlines() if line.startswith("  epp ")] == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    written = capsys.readouterr()
    assert f"epp {command}" in written.out
    assert written.err == ""


def test_a_command_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["server"]) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err == f"epp: there is no command 'server'\n\n{USAGE}"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_flag_that_there_is_not(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--no-such-flag=1"]) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert "no-such-flag" in written.err


def test_every_fault_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--grpc-port", "0", "--metrics-port", "70000"]) == 2
    complaints = capsys.readouterr().err
    assert all(name in complaints for name in ("pool-file", "grpc-port", "metrics-port"))


def test_the_module_is_the_command() -> None:
    told = subprocess.run([sys.executable, "-m", "epp", "help"], capture_output=True, text=True, check=True)
    assert told.stdout == USAGE


def test_a_reader_that_has_seen_enough() -> None:
    """As in `epp config schema | head -1`: it is more than a pipe holds."""
    with subprocess.Popen(
        [sys.executable, "-m", "epp", "config", "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as told:
        assert told.stdout is not None
        assert told.stderr is not None
        assert told.stdout.readline()
        told.stdout.close()
        assert told.stderr.read() == b""
        assert told.wait() == 0

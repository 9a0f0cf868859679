"""`python -m tests.generated_code`: whether the committed protobuf code is what protos/ gives today."""

from __future__ import annotations

import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parent.parent


def stale_files() -> list[Path]:
    """Committed files that differ from what the generator makes now."""
    protos = sorted((ROOT / "protos").rglob("*.proto"))
    with tempfile.TemporaryDirectory() as out:
        includes = [f"-I{ROOT / 'protos'}", f"-I{files('grpc_tools') / '_proto'}"]
        arguments = [*includes, f"--python_out={out}", f"--pyi_out={out}", *map(str, protos)]
        if protoc.main(["protoc", *arguments]) != 0:
            raise SystemExit("protoc failed")
        made = {path.relative_to(out): path.read_bytes() for path in Path(out).rglob("*_pb2.py*")}
    return [path for path, text in made.items() if (ROOT / path).read_bytes() != text]


if __name__ == "__main__":
    stale = stale_files()
    for path in stale:
        print(f"{path} is not what protos/ gives: run `make protos`")
    sys.exit(bool(stale))

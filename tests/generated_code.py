"""`python -m tests.generated_code`: whether committed files are what their sources give today.

The protobuf code comes from protos/; the JSON Schema of configurations and parts of docs/configuration.md
come from the plugins' annotations. `--write` writes the latter two anew.
"""

from __future__ import annotations

import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

from epp.commands.config import schema_text
from epp.plugins.registry import OWN_TYPES
from tests.reference_page import filled

ROOT = Path(__file__).parent.parent

SCHEMA = ROOT / "deploy" / "epp-config.schema.json"
PAGE = ROOT / "docs" / "configuration.md"


def protobuf_code() -> dict[Path, str]:
    """What protoc makes of protos/."""
    protos = sorted((ROOT / "protos").rglob("*.proto"))
    with tempfile.TemporaryDirectory() as out:
        includes = [f"-I{ROOT / 'protos'}", f"-I{files('grpc_tools') / '_proto'}"]
        arguments = [*includes, f"--python_out={out}", f"--pyi_out={out}", *map(str, protos)]
        if protoc.main(["protoc", *arguments]) != 0:
            raise SystemExit("protoc failed")
        return {ROOT / path.relative_to(out): path.read_text() for path in Path(out).rglob("*_pb2.py*")}


def documents() -> dict[Path, str]:
    """What the picker's own plugin types make of the schema and the page."""
    return {SCHEMA: schema_text(OWN_TYPES), PAGE: filled(PAGE.read_text(), OWN_TYPES)}


def stale_files() -> list[Path]:
    """Committed files that differ from what is made now."""
    made = protobuf_code() | documents()
    return [path for path, text in made.items() if path.read_text() != text]


def main() -> int:
    """1 if a file is stale."""
    if sys.argv[1:] == ["--write"]:
        for path, text in documents().items():
            path.write_text(text)
    stale = stale_files()
    for path in stale:
        command = "make generated" if path in (SCHEMA, PAGE) else "make protos"
        print(f"{path} is not what its source gives: run `{command}`")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())

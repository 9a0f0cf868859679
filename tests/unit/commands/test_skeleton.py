"""What `epp plugins new` writes is a plugin whose test passes, unchanged."""

import subprocess
import sys
from pathlib import Path
from typing import Literal, get_args

import pytest

from epp.commands.skeleton import skeleton
from epp.errors import ConfigError

Kind = Literal["scorer", "filter", "picker"]


def test_the_tests_of_all_kinds_pass(tmp_path: Path) -> None:
    for kind in get_args(Kind):
        for name, text in skeleton(f"my-{kind}", kind).items():
            (tmp_path / name).write_text(text)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        str(tmp_path),
    ]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "4 passed" in run.stdout


@pytest.mark.parametrize("kind", get_args(Kind))
def test_names(kind: Kind) -> None:
    files = skeleton("two-words2", kind)
    assert list(files) == ["two_words2.py", "test_two_words2.py"]
    assert "class TwoWords2:" in files["two_words2.py"]
    assert all("$" not in text for text in files.values())


@pytest.mark.parametrize("name", ["", "My", "a_b", "a--b", "1a", "a.b", "a/../b"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is no name for a type"):
        skeleton(name, "scorer")

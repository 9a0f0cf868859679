"""Plugins of users: in files, and announced by packages."""

import pickle
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from epp.discovery import GROUP, load_catalogue, type_name
from epp.errors import ConfigError
from epp.plugins.registry import OWN_TYPES

NEAREST = '''
from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from epp.config.constraints import Doc, Range


@dataclass
class NearestScorer:
    """Prefers the near."""

    limit: Annotated[float, Range(0, 9), Doc("how far")] = 1.0

    def score(self, request, endpoints):
        return np.ones(len(endpoints))


class Helper:
    pass
'''

PLAIN = '''
class OddFilter:
    """Keeps the odd."""

    type_name = "odd"

    def __init__(self, remainder: int = 1) -> None:
        self.remainder = remainder

    def filter(self, request, endpoints):
        return None


class _Hidden(OddFilter):
    pass
'''


def faults(directory: Path, *announced: EntryPoint) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_catalogue(str(directory), announced)
    return [str(fault).replace(f"{directory}/", "") for fault in caught.value.faults]


def test_classes_of_files_are_types(tmp_path: Path) -> None:
    (tmp_path / "nearest.py").write_text(NEAREST)
    (tmp_path / "queue.py").write_text(PLAIN)
    (tmp_path / "test_nearest.py").write_text("raise AssertionError")
    (tmp_path / "_common.py").write_text("raise AssertionError")
    (tmp_path / "notes.txt").write_text("no Python")
    found = load_catalogue(str(tmp_path), ())
    assert found.types.keys() - OWN_TYPES.types.keys() == {"nearest-scorer", "odd"}
    nearest, odd = found.types["nearest-scorer"], found.types["odd"]
    assert (nearest.kinds, nearest.meaning) == ({"scorer"}, "Prefers the near.")
    assert nearest.origin == str(tmp_path / "nearest.py")
    assert [field.key for field in nearest.fields] == ["limit"]
    assert odd.make({"remainder": 0}).remainder == 0


def test_classes_of_files_can_be_pickled(tmp_path: Path) -> None:
    (tmp_path / "nearest.py").write_text(NEAREST)
    nearest = load_catalogue(str(tmp_path)).types["nearest-scorer"].cls
    assert pickle.loads(pickle.dumps(nearest(2.0))) == nearest(2.0)


def test_packages_announce_types_by_entry_points() -> None:
    point = EntryPoint("another-queue-scorer", "epp.plugins.queue_scorer:QueueScorer", GROUP)
    found = load_catalogue("", [point]).types["another-queue-scorer"]
    assert found.kinds == {"scorer"}
    assert found.origin == "entry point another-queue-scorer (epp.plugins.queue_scorer:QueueScorer)"


def test_without_users_there_are_the_pickers_own() -> None:
    assert load_catalogue().types.keys() >= OWN_TYPES.types.keys()


def test_every_fault_names_its_file_and_line(tmp_path: Path) -> None:
    files = {
        "a.py": "import nothing_of_this_name\n",
        "b.py": "x = 1\ndef f(:\n",
        "c.py": "def f():\n    raise KeyError('k')\n\n\nf()\n",
        "d.py": "class Thing:\n    def scores(self): ...\n",
        "e.py": "class QueueScorer:\n    score = print\n",
        "f.py": "class MyScorer:\n    score = print\n",
        "g.py": "\nclass Other:\n    type_name = 'my-scorer'\n    score = print\n",
        "h.py": "class Bare:\n    def __init__(self, x): ...\n    filter = print\n",
        "i.py": "class Odd:\n    def __init__(self, x: bytes): ...\n    filter = print\n",
        "j.py": "raise SystemExit(3)\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    methods = "filter, score, pick, next_profiles, saturation, parse, placed, responded, used, left"
    assert faults(
        tmp_path,
        EntryPoint("gone", "epp.nowhere:Gone", GROUP),
        EntryPoint("none", "epp.discovery:load_catalogue", GROUP),
    ) == [
        "entry point gone (epp.nowhere:Gone): cannot be loaded: ModuleNotFoundError: No module named "
        "'epp.nowhere'",
        "entry point none (epp.discovery:load_catalogue): is no plugin: it has to be a class with one of the "
        f"methods {methods}",
        "a.py:1: cannot be imported: ModuleNotFoundError: No module named 'nothing_of_this_name'",
        "b.py:2: cannot be imported: SyntaxError: invalid syntax (b.py, line 2)",
        "c.py:2: cannot be imported: KeyError: 'k'",
        f"d.py: has no plugin: no class in it has one of the methods {methods}",
        "e.py:1: QueueScorer: queue-scorer is a type of the picker itself",
        "g.py:2: Other: my-scorer is a type in f.py, too",
        'h.py:1: Bare: the argument "x" has no annotation',
        "i.py:1: Odd: the argument x: a document cannot hold a <class 'bytes'>",
        "j.py:1: cannot be imported: SystemExit: 3",
    ]


def test_lines_are_found_also_by_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    Path("mine/a.py").write_text("\nimport nothing_of_this_name\n")
    with pytest.raises(ConfigError, match=r"^mine/a\.py:2: cannot be imported: ModuleNotFoundError"):
        load_catalogue("mine", ())


def test_a_directory_that_is_none_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gone: cannot be read as a directory of plugins: No such file"):
        load_catalogue(str(tmp_path / "gone"), ())


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("NearestScorer", "nearest-scorer"),
        ("LORAFilter", "lora-filter"),
        ("P2pPicker", "p2p-picker"),
        ("x", "x"),
    ],
)
def test_a_type_is_named_after_its_class(name: str, word: str) -> None:
    assert type_name(type(name, (), {})) == word

"""Plugins of users: found as entry points, and in the files of a directory.

A package announces a plugin type under its name:

    [project.entry-points."epp.plugins"]
    nearest-scorer = "my_package.scorers:NearestScorer"

In a directory (`--plugin-path`) every class of a .py file with a plugin's method is a type, named after the
class (NearestScorer: nearest-scorer) or by its attribute `type_name`. Files whose names begin with _ or test_
are left alone. Both are loaded when the picker starts, and not again.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from epp.config.catalogue import Catalogue, PluginType
from epp.config.fields import fields_of
from epp.config.schema import check_kind
from epp.errors import ConfigError, Fault
from epp.plugins.registry import OWN_TYPES, catalogue, kinds_of

GROUP = "epp.plugins"

# Modules of a plugin directory are imported under this name and their own, so that `queue.py` there is not
# taken for Python's.
_PACKAGE = "epp_plugin_path"

_WORD_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

_METHODS = "filter, score, pick, next_profiles, saturation, parse, placed, responded, used, left"


def load_catalogue(plugin_path: str = "", announced: Iterable[EntryPoint] | None = None) -> Catalogue:
    """The picker's own types and those of users. ConfigError with every fault in what users wrote.

    `plugin_path` is a directory, or "" for none; `announced` are the entry points, as a rule those that the
    installed packages have.
    """
    found = _Found()
    for entry_point in entry_points(group=GROUP) if announced is None else announced:
        found.add_entry_point(entry_point)
    if plugin_path:
        found.add_directory(Path(plugin_path))
    if found.faults:
        raise ConfigError(found.faults)
    return catalogue(found.types.values())


def type_name(cls: type) -> str:
    """The name of the type that a class of a plugin directory is."""
    given = getattr(cls, "type_name", None)
    return given if isinstance(given, str) and given else _WORD_BORDER.sub("-", cls.__name__).lower()


class _Found:
    """What was found so far."""

    def __init__(self) -> None:
        self.types: dict[str, PluginType] = {}
        self.faults: list[Fault] = []

    def add_entry_point(self, entry_point: EntryPoint) -> None:
        origin = f"entry point {entry_point.name} ({entry_point.value})"
        try:
            cls = entry_point.load()
        except Exception as error:  # a package may raise anything
            self._fault(origin, 0, f"cannot be loaded: {type(error).__name__}: {error}")
            return
        if not isinstance(cls, type) or not kinds_of(cls):
            self._fault(origin, 0, f"is no plugin: it has to be a class with one of the methods {_METHODS}")
            return
        self._add(entry_point.name, cls, origin, 0)

    def add_directory(self, directory: Path) -> None:
        try:
            files = sorted(path for path in directory.iterdir() if path.suffix == ".py")
        except OSError as error:
            self._fault(str(directory), 0, f"cannot be read as a directory of plugins: {error.strerror}")
            return
        for path in files:
            if not path.name.startswith(("_", "test_")) and path.name != "conftest.py":
                self._add_file(path)

    def _add_file(self, path: Path) -> None:
        try:
            module = _import(path)
        except (Exception, SystemExit) as error:  # a user's file may raise anything
            message = f"cannot be imported: {type(error).__name__}: {error}"
            self._fault(str(path), _line_in(path, error), message)
            return
        classes = list(_plugin_classes(module))
        if not classes:
            self._fault(str(path), 0, f"has no plugin: no class in it has one of the methods {_METHODS}")
        for cls in classes:
            self._add(type_name(cls), cls, str(path), inspect.getsourcelines(cls)[1])

    def _add(self, name: str, cls: type, origin: str, line: int) -> None:
        plugin_type = PluginType(name, cls, kinds_of(cls), origin=origin)
        if name in OWN_TYPES.types:
            self._fault(origin, line, f"{cls.__name__}: {name} is a type of the picker itself")
        elif name in self.types:
            self._fault(origin, line, f"{cls.__name__}: {name} is a type in {self.types[name].origin}, too")
        else:
            self.types[name] = plugin_type
            for objection in _objections(cls):
                self._fault(origin, line, f"{cls.__name__}: {objection}")

    def _fault(self, file: str, line: int, message: str) -> None:
        self.faults.append(Fault(file, line, "", message))


def _objections(cls: type) -> Iterator[str]:
    """Why no configuration could give a class its parameters."""
    try:
        fields = fields_of(cls)
    except TypeError as error:
        yield str(error)
        return
    for field in fields:
        try:
            check_kind(field.kind)
        except TypeError as error:
            yield f"the argument {field.name}: {error}"


def _import(path: Path) -> ModuleType:
    name = f"{_PACKAGE}.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None  # .py files have one
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look for their module there when they evaluate annotations, and pickle for its package, too.
    sys.modules.setdefault(_PACKAGE, ModuleType(_PACKAGE))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _plugin_classes(module: ModuleType) -> Iterator[type]:
    """The classes that the module itself has, in their order."""
    for cls in vars(module).values():
        own = isinstance(cls, type) and cls.__module__ == module.__name__
        if own and not cls.__name__.startswith("_") and kinds_of(cls):
            yield cls


def _line_in(path: Path, error: BaseException) -> int:
    """The line of `path` at which it went wrong; 0 if that was elsewhere."""
    file = str(path.absolute())  # as the import system calls it
    if isinstance(error, SyntaxError) and error.filename == file:
        return error.lineno or 0
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno or 0 for frame in reversed(frames) if frame.filename == file), 0)

"""The plugin types that a configuration may name: what the reading of one has to know of them.

Which there are is the business of epp/plugins/registry.py; here is only what a type is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from epp.config.constraints import quote
from epp.config.document import Faults, MapNode, Node, child_path
from epp.config.fields import Field, fields_of, summary
from epp.config.schema import read_fields
from epp.config.suggestion import did_you_mean

Kind = Literal[
    "filter",
    "scorer",
    "picker",
    "profile handler",
    "saturation detector",
    "parser",
    "decider",
    "producer",
    "observer",
    "fairness policy",
    "ordering policy",
    "usage-limit policy",
    "data source",
    "extractor",
    "discovery",
]

# What has a part in a profile.
IN_PROFILES: frozenset[Kind] = frozenset({"filter", "scorer", "picker"})


@dataclass(frozen=True, slots=True)
class PluginType:
    """One type: the class that it names, and what the class can be used for.

    `passed_over`: parameters of the reference's other versions that mean nothing here, with the reason.
    `origin`: the file of a user's type; "" for the picker's own. Not `used`: a configuration may list it and
    is checked, but nothing comes of it yet.
    """

    name: str
    cls: type
    kinds: frozenset[Kind]
    passed_over: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""
    used: bool = True

    @property
    def fields(self) -> tuple[Field, ...]:
        """Its parameters."""
        return fields_of(self.cls)

    @property
    def meaning(self) -> str:
        """What it is for, in a line."""
        return summary(self.cls)

    @property
    def kind_words(self) -> str:
        """Its kinds as people read them."""
        return ", ".join(sorted(self.kinds))

    def read(self, node: Node, faults: Faults, path: str) -> dict[str, Any]:
        """The arguments for `make` that `node` says; what is wrong is in `faults`.

        Parameters that nobody knows are passed over with a warning, as the reference's factories pass them
        over, unless they are known ones mistyped.
        """
        if isinstance(node, MapNode):
            for key, reason in self.passed_over.items():
                if key in node.entries:
                    faults.warn(node.key_lines[key], child_path(path, key), f"is passed over: {reason}")
            entries = {key: entry for key, entry in node.entries.items() if key not in self.passed_over}
            node = MapNode(node.line, entries, node.key_lines)
        with faults.tolerating():
            return read_fields(self.cls, node, faults, path)

    def complete(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """`arguments`, which has all that are required, with the defaults of the others."""
        return {
            each.name: arguments[each.name] if each.name in arguments or each.required else each.default
            for each in self.fields
        }

    def is_default(self, arguments: Mapping[str, Any]) -> bool:
        """Whether `arguments`, complete ones, are those that count where none is given."""
        return not any(each.required or arguments[each.name] != each.default for each in self.fields)

    def make(self, arguments: Mapping[str, Any]) -> Any:
        """A plugin. Raises ValueError if the class refuses the arguments, whatever it raised itself."""
        try:
            return self.cls(**arguments)
        except ValueError:
            raise
        except Exception as error:
            raise ValueError(f"{self.cls.__name__} raised {type(error).__name__}: {error}") from error


class Catalogue:
    """All types by name, and those of the reference that do not exist here, with the reason."""

    def __init__(self, types: Iterable[PluginType], unsupported: Mapping[str, str]) -> None:
        self.types = {each.name: each for each in types}
        self.unsupported = unsupported

    def __repr__(self) -> str:
        return f"<Catalogue types={len(self.types)} unsupported={len(self.unsupported)}>"

    def named(self, name: str) -> PluginType | None:
        """The type of this name."""
        return self.types.get(name)

    def objection(self, name: str) -> str:
        """Why there is no type of this name."""
        if reason := self.unsupported.get(name):
            return f"{quote(name)} {reason}"
        return f"{quote(name)} is no plugin type{did_you_mean(name, self.types)}"

    def of_class(self, cls: type) -> PluginType | None:
        """The first type that names `cls`."""
        return next((each for each in self.types.values() if each.cls is cls), None)

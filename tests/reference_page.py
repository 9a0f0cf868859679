"""The generated parts of docs/configuration.md: the fields of the file, and every plugin type."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

from epp.config.catalogue import Catalogue, PluginType
from epp.config.in_words import Parameter, parameters_of
from epp.config.picker_file import PickerFile

# The order of the page; a type stands under the first of its kinds.
SECTIONS = (
    ("filter", "Filters"),
    ("scorer", "Scorers"),
    ("picker", "Pickers"),
    ("profile handler", "Profile handlers"),
    ("decider", "Deciders"),
    ("saturation detector", "Saturation detectors"),
    ("producer", "Shared by others"),
    ("observer", "Observers and what others share"),
    ("parser", "Parsers"),
    ("fairness policy", "Fairness policies"),
    ("ordering policy", "Ordering policies"),
    ("usage-limit policy", "Usage-limit policies"),
    ("data source", "Data sources"),
    ("extractor", "Extractors"),
    ("discovery", "Discovery"),
)

_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->\n)", re.DOTALL)


def filled(page: str, types: Catalogue) -> str:
    """The page with what stands between its markers made new."""
    parts = {"fields": _fields(), "plugins": _plugins(types), "unsupported": _unsupported(types)}
    return _PART.sub(lambda found: f"{found[1]}{parts[found[2]]}{found[3]}", page)


def _fields() -> str:
    return "\n".join(_table(parameters_of(PickerFile))) + "\n"


def _plugins(types: Catalogue) -> str:
    left = dict(sorted(types.types.items()))
    lines: list[str] = []
    for kind, title in SECTIONS:
        members = [each for each in left.values() if kind in each.kinds]
        if members:
            lines += [f"### {title}", ""]
        for each in members:
            del left[each.name]
            lines += _plugin(each)
    assert not left, left
    return "\n".join(lines)


def _plugin(plugin_type: PluginType) -> Iterator[str]:
    yield f"#### {plugin_type.name}"
    yield ""
    yield _text(plugin_type)
    yield ""
    parameters = list(parameters_of(plugin_type.cls))
    if parameters:
        yield from _table(iter(parameters))
        yield ""
    if plugin_type.passed_over:
        yield (
            "Passed over: "
            + "; ".join(f"`{key}`, because {why}" for key, why in plugin_type.passed_over.items())
            + "."
        )
        yield ""


def _text(plugin_type: PluginType) -> str:
    """The class's docstring, a paragraph a line, and what else it is."""
    paragraphs = (inspect.getdoc(plugin_type.cls) or "").split("\n\n")
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    kinds = f" *({plugin_type.kind_words})*" if len(plugin_type.kinds) > 1 else ""
    return text + kinds


def _table(parameters: Iterator[Parameter]) -> Iterator[str]:
    yield "| key | value | default | meaning |"
    yield "|---|---|---|---|"
    for each in parameters:
        default = each.default_words
        shown = default if default in ("needed", "unset") else f"`{default}`"
        yield f"| `{each.path}` | {each.kind} | {shown} | {each.meaning} |"


def _unsupported(types: Catalogue) -> str:
    rows = [f"| `{name}` | {why} |" for name, why in sorted(types.unsupported.items())]
    return "\n".join(["| type | it |", "|---|---|", *rows]) + "\n"

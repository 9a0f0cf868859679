"""Label selectors as flags have them: `app=vllm,zone=a`, all of which have to hold."""

from __future__ import annotations

import re

# Labels as Kubernetes allows them: an optional DNS prefix and a name; values may be empty.
_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY = re.compile(rf"(?:[a-z0-9][-a-z0-9.]{{0,251}}[a-z0-9]/)?{_NAME}")
_VALUE = re.compile(rf"(?:{_NAME})?")


def read_selector(text: str) -> dict[str, str]:
    """The labels that `text` asks for. ValueError if it is no list of key=value."""
    found: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = (word.strip() for word in part.partition("="))
        if not equals or not _KEY.fullmatch(key) or not _VALUE.fullmatch(value):
            raise ValueError(f"has to be like app=vllm,zone=a; {part.strip()!r} is no label")
        if found.setdefault(key, value) != value:
            raise ValueError(f"asks for two values of {key}")
    return found

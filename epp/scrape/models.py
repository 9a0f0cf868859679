"""Reads what a server lists at GET /v1/models: its base models and the adapters it has loaded.

An adapter is an entry with a `parent`; vLLM names there the base model it belongs to, and lists an adapter
from the moment it is loaded. A server may list a base model under several names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

PATH: Final = "/v1/models"

# Entries read of one list. vLLM keeps at most `max-cpu-loras` adapters in memory, tens in practice.
MAX_MODELS = 10_000

_json = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class ModelList:
    """The names that a server answers to."""

    base: frozenset[str]
    adapters: frozenset[str]


def read_models(body: bytes) -> ModelList | None:
    """What `body`, an answer to GET /v1/models, lists; None if it is no such list. Never raises.

    Entries that cannot be read are left out.
    """
    try:
        entries = _json.decode(body).get("data")
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if not isinstance(entries, list):
        return None
    base: set[str] = set()
    adapters: set[str] = set()
    for entry in entries[:MAX_MODELS]:
        name = entry.get("id") if isinstance(entry, dict) else None
        if isinstance(name, str) and name:
            (adapters if entry.get("parent") else base).add(name)
    return ModelList(frozenset(base), frozenset(adapters))

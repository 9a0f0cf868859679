"""The bodies of POST /sim/faults and POST /sim/load: what a test may change while a server runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from epp.sim.faults import Faults

_Rate = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Count = Annotated[int, msgspec.Meta(ge=0)]


class FaultChange(msgspec.Struct, forbid_unknown_fields=True):
    """New faults of one server; what is not there stays. `server` is its index, None the one asked."""

    server: _Count | None = None
    fail_rate: _Rate | UnsetType = UNSET
    hang_rate: _Rate | UnsetType = UNSET
    die_after: _Count | UnsetType | None = UNSET

    def apply(self, faults: Faults) -> Faults:
        """`faults` with the changes."""
        return replace(faults, **_given(self, "fail_rate", "hang_rate", "die_after"))


class LoadPins(msgspec.Struct, forbid_unknown_fields=True):
    """Gauges to hold at a value, whatever the engine does; null lets go, what is not there stays."""

    waiting: _Count | UnsetType | None = UNSET
    running: _Count | UnsetType | None = UNSET
    kv_usage: _Rate | UnsetType | None = UNSET

    def apply(self, pinned: dict[str, float]) -> dict[str, float]:
        """`pinned` with the changes."""
        merged = pinned | _given(self, "waiting", "running", "kv_usage")
        return {name: value for name, value in merged.items() if value is not None}


def _given(change: msgspec.Struct, *names: str) -> dict[str, Any]:
    values = {name: getattr(change, name) for name in names}
    return {name: value for name, value in values.items() if value is not UNSET}

"""The port through which the picker learns what exists."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from epp.types import Snapshot


class Source(Protocol):
    """Knows the pool, its endpoints, objectives and rewrites.

    A source speaks in levels, never in edges: every value is everything it knows, so that a reader may skip
    all but the last, and nothing has to be said again after a pause.
    """

    def snapshots(self) -> AsyncIterator[Snapshot]:
        """What is known now, then again whenever it has changed, until the reader stops.

        The first value may raise ConfigError: there is nothing to begin with. Later ones never do.
        """

"""The saturation detector as requests are admitted by it: one that misbehaves sheds nobody."""

from __future__ import annotations

import math

from epp.datastore.endpoints import Candidates
from epp.plugin import UNWATCHED, Misbehaviour, SaturationDetector, Watcher

# What counts where the detector does not say: requests are served rather than refused by a fault of ours.
_NOT_SATURATED = 0.0


class WatchedDetector:
    """A detector as the configuration lists it."""

    def __init__(
        self, name: str, plugin_type: str, plugin: SaturationDetector, watcher: Watcher = UNWATCHED
    ) -> None:
        self.plugin = plugin
        self._name = name
        self._type = plugin_type
        self._watcher = watcher

    def __repr__(self) -> str:
        return f"<WatchedDetector {self._name}>"

    def saturation(self, endpoints: Candidates) -> float:
        """What the plugin says; 0 if it raises or says no number."""
        how: Misbehaviour = "not a number"
        error: Exception | None = None
        try:
            saturation = float(self.plugin.saturation(endpoints))
            if not math.isnan(saturation):
                return saturation
        except Exception as raised:
            how, error = "raised", raised
        self._watcher.misbehaved(self._type, self._name, how, error)
        return _NOT_SATURATED

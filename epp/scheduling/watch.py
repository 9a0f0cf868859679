"""Shows plugins at work to the metrics and to the log."""

from __future__ import annotations

import logging
from collections.abc import Callable

from epp.metrics import Metrics
from epp.plugin import Misbehaviour, Watcher

# A plugin that misbehaves does so for each request; the log hears of it this often, seconds.
_LOG_INTERVAL = 60.0

_log = logging.getLogger(__name__)


def watcher(metrics: Metrics, clock: Callable[[], float]) -> Watcher:
    """One that counts everything, and logs misbehaviour once a minute for each plugin."""
    logged_at: dict[str, float] = {}

    def misbehaved(plugin_type: str, name: str, how: Misbehaviour, error: Exception | None) -> None:
        metrics.plugin_misbehaved(plugin_type, name, how)
        now = clock()
        if now - logged_at.get(name, float("-inf")) < _LOG_INTERVAL:
            return
        logged_at[name] = now
        place = ""
        if error is not None and (trace := error.__traceback__) is not None:
            while trace.tb_next is not None:
                trace = trace.tb_next
            # The place and not the text, which may quote a prompt.
            place = f": {type(error).__name__} at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        _log.warning("plugin %s of type %s misbehaves (%s) and is left out%s", name, plugin_type, how, place)

    return Watcher(clock, metrics.plugin_duration, misbehaved, metrics.prefix_matched)

"""Plugins that misbehave are counted each time and logged once a minute, without what their errors say."""

from __future__ import annotations

import logging

import pytest

from epp.metrics import Metrics
from epp.scheduling.watch import watcher
from tests.pickers import Clock


def _misfortune() -> Exception:
    try:
        raise ValueError("a secret prompt")
    except ValueError as error:
        return error


def test_misbehaviour_is_counted_and_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    metrics, clock = Metrics(), Clock()
    watching = watcher(metrics, clock)
    with caplog.at_level(logging.WARNING):
        for seconds in (0.0, 30.0, 29.0, 2.0):
            clock.now += seconds
            watching.misbehaved("my-scorer", "mine", "raised", _misfortune())
        watching.misbehaved("my-scorer", "other", "too slow", None)
    assert [record.getMessage().partition(" is left out")[0] for record in caplog.records] == [
        "plugin mine of type my-scorer misbehaves (raised) and",
        "plugin mine of type my-scorer misbehaves (raised) and",
        "plugin other of type my-scorer misbehaves (too slow) and",
    ]
    assert "ValueError at " in caplog.text
    assert "test_watch.py" in caplog.text
    assert "secret" not in caplog.text
    page = "".join(metrics.exposition(openmetrics=False))
    assert 'epp_plugin_misbehaviours_total{type="my-scorer",name="mine",reason="raised"} 4' in page


def test_durations_are_observed() -> None:
    metrics = Metrics()
    watcher(metrics, Clock()).durations("Scorer", "my-scorer", "mine")(0.25)
    page = "".join(metrics.exposition(openmetrics=False))
    assert (
        'inference_extension_plugin_duration_seconds_sum{extension_point="Scorer",plugin_type="my-scorer",'
        'plugin_name="mine"} 0.25' in page
    )

"""Samples of engines: what they hold, and that there are never too many."""

from __future__ import annotations

import pickle

from epp.simulate.timeline import MOST, Timeline


def test_samples_are_columns_by_engine() -> None:
    timeline = Timeline(["a", "b"])
    assert timeline.running.shape == (0, 2)
    assert timeline.due == 0.0
    timeline.add(0.0, [(1, 2, 0.5, 100, 40), (3, 4, 0.25, 200, 50)])
    timeline.add(timeline.due, [(0, 0, 0.0, 100, 40), (3, 1, 0.5, 300, 60)])
    assert timeline.servers == ("a", "b")
    assert timeline.times.tolist() == [0.0, 0.1]
    assert timeline.running.tolist() == [[1, 3], [0, 3]]
    assert timeline.waiting.tolist() == [[2, 4], [0, 1]]
    assert timeline.kv_usage.tolist() == [[0.5, 0.25], [0.0, 0.5]]
    assert timeline.prefix_queries.tolist() == [[100, 200], [100, 300]]
    assert timeline.prefix_hits.tolist() == [[40, 50], [40, 60]]
    assert repr(timeline) == "<Timeline 2 samples of 2 engines>"


def test_every_second_sample_goes_when_there_are_too_many() -> None:
    timeline = Timeline(["a"])
    for number in range(3 * MOST):
        timeline.add(timeline.due, [(number, 0, 0.0, 0, 0)])
        assert len(timeline.times) <= MOST
    assert timeline.interval == 0.4 * 4  # the fourth halving comes at 5/2 of MOST
    assert timeline.times[0] == 0.0
    assert (abs(timeline.times[1:] - timeline.times[:-1] - timeline.interval) < 1e-6).all()


def test_it_can_be_sent_to_another_process() -> None:
    timeline = Timeline(["a"])
    timeline.add(0.0, [(1, 2, 0.5, 100, 40)])
    assert pickle.loads(pickle.dumps(timeline)).kv_usage.tolist() == [[0.5]]

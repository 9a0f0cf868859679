"""Watches as transcripts: what the API answers, and what is done next."""

from __future__ import annotations

from epp.kubernetes.watch import (
    ABSENT_PAUSE,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    ListAll,
    Stream,
    Watch,
)


def highest(_: float, most: float) -> float:
    """No jitter: the longest pause, the longest life."""
    return most


def test_lists_then_streams_from_there_and_on_from_the_last_version() -> None:
    watch = Watch(highest)
    assert watch.begin() == ListAll()
    assert watch.listed("100") == Stream("100", 600)
    watch.told("101")
    watch.told("107")  # a bookmark
    watch.told("")  # a line that said nothing
    assert watch.ended(300) == Stream("107", 600)


def test_a_broken_stream_goes_on_from_its_version_after_pauses_that_double() -> None:
    watch = Watch(highest)
    watch.listed("100")
    steps = [watch.failed(0) for _ in range(12)]
    assert {step.version for step in steps if isinstance(step, Stream)} == {"100"}
    pauses = [step.after for step in steps]
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE
    watch.told("101")
    assert watch.failed(500).after == FIRST_PAUSE


def test_a_list_that_fails_is_tried_again_after_a_pause() -> None:
    watch = Watch(highest)
    assert [watch.failed(503), watch.failed(0)] == [ListAll(FIRST_PAUSE), ListAll(2 * FIRST_PAUSE)]


def test_pauses_are_drawn_from_the_upper_half() -> None:
    watch = Watch(lambda least, most: least)
    assert watch.failed(0) == ListAll(FIRST_PAUSE / 2)


def test_a_version_that_is_too_old_means_one_list_at_once() -> None:
    watch = Watch(highest)
    watch.listed("100")
    watch.told("101")
    assert watch.failed(410) == ListAll()
    assert watch.listed("200") == Stream("200", 600)


def test_a_server_that_finds_every_version_too_old_is_not_flooded() -> None:
    watch = Watch(highest)
    watch.listed("100")
    pauses = []
    for _ in range(4):
        pauses.append(watch.failed(410).after)
        watch.listed("200")
    assert pauses == [0, FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]


def test_streams_that_end_at_once_are_not_opened_at_once() -> None:
    watch = Watch(highest)
    watch.listed("100")
    assert watch.ended(0.1) == Stream("100", 600, FIRST_PAUSE)
    assert watch.ended(0.1) == Stream("100", 600, 2 * FIRST_PAUSE)
    assert watch.ended(300) == Stream("100", 600)


def test_a_kind_that_is_not_installed_is_asked_for_again() -> None:
    watch = Watch(highest)
    assert [watch.failed(404), watch.failed(404)] == [ListAll(ABSENT_PAUSE)] * 2
    assert not watch.absent  # a server that has just started says it, too
    watch.failed(404)
    assert watch.absent
    watch.listed("100")
    assert not watch.absent


def test_what_may_not_be_read_is_asked_for_again() -> None:
    watch = Watch(highest)
    watch.listed("100")
    assert watch.failed(403) == ListAll(ABSENT_PAUSE)

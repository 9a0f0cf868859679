"""Pages that are made only when somebody looks, against pages that are all made in time."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.scrape.cadence import Cadence
from epp.simulate.scraping import Scraping
from epp.types import LoadSample

NAMES = ("a", "b", "c")
LAG = 0.01

Told = tuple[LoadSample, float, float]  # a page, seconds until more can be expected, when it came


class World:
    """Engines whose queue is what a test says, and whose KV use is the time."""

    def __init__(self, base: float) -> None:
        self.cadence = Cadence(base, random.Random(1))
        for name in NAMES:
            self.cadence.add(name, 0.0)
        self.waiting = dict.fromkeys(NAMES, 0)
        self.told: dict[str, Told] = {}
        self.pages = 0  # made

    def picture(self, name: str, now: float) -> LoadSample:
        self.pages += 1
        return LoadSample(self.waiting[name], None, now)

    def tell(self, name: str, load: LoadSample, interval: float, now: float) -> None:
        self.told[name] = load, interval, now


class Eager(World):
    """Every page in its time."""

    def __init__(self, base: float) -> None:
        super().__init__(base)
        self.asked: dict[str, tuple[float, LoadSample]] = {}

    def until(self, now: float) -> None:
        while True:
            coming = [(at + LAG, 0, name) for name, (at, _) in self.asked.items()]
            due = [(self.cadence.due(name), 1, name) for name in NAMES if name not in self.asked]
            at, starts, name = min(coming + due)
            if at >= now:
                return
            if starts:
                self.cadence.started(name, at)
                self.asked[name] = at, self.picture(name, at)
            else:
                _, load = self.asked.pop(name)
                self.tell(name, load, self.cadence.succeeded(name, at), at)


class Lazy(World):
    """The pages that are wanted."""

    def __init__(self, base: float) -> None:
        super().__init__(base)
        self.scraping = Scraping(NAMES, self.cadence, LAG, self.picture, self.tell)


EVENTS = st.lists(
    st.tuples(
        st.one_of(st.floats(0.0001, 0.2), st.floats(0.0001, 8.0)),
        st.sampled_from(["request", "answer", "change", "change"]),
        st.sampled_from(NAMES),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([0.05, 0.2]), EVENTS)
def test_nobody_can_tell_the_difference(base: float, events: list[tuple[float, str, str]]) -> None:
    eager, lazy = Eager(base), Lazy(base)
    now = 0.0
    for gap, kind, name in [*events, (1.0, "request", "a")]:
        now += gap
        eager.until(now)
        if kind == "request":
            lazy.scraping.look(now)
            assert lazy.told == eager.told
            if eager.cadence.requested(now):
                assert lazy.cadence.requested(now)
                lazy.scraping.woken()
            else:
                assert not lazy.cadence.requested(now)
        elif kind == "answer":
            lazy.scraping.bring(name, now)
            assert lazy.told.get(name) == eager.told.get(name)
            assert lazy.cadence.answered(name, now) == eager.cadence.answered(name, now)
        else:
            lazy.scraping.keep(name, now)
            eager.waiting[name] += 1
            lazy.waiting[name] += 1
    assert lazy.pages <= eager.pages


def test_only_the_last_page_before_a_look_is_made() -> None:
    lazy = Lazy(0.05)
    lazy.cadence.requested(0.0)
    lazy.scraping.woken()
    for now in (1.0, 2.0):
        lazy.scraping.look(now)
    assert lazy.pages == 2 * len(NAMES)
    assert lazy.scraping.asked == pytest.approx(2.0 / 0.05 * len(NAMES), abs=2 * len(NAMES))


def test_a_page_shows_the_engine_when_it_was_asked_for() -> None:
    lazy = Lazy(0.05)
    lazy.cadence.requested(0.0)
    lazy.scraping.woken()
    shown = []
    for step in range(1, 200):
        now = step * 0.0123
        lazy.scraping.keep("a", now)
        lazy.waiting["a"] = step
        lazy.scraping.look(now)
        if "a" in lazy.told:
            load, _, came_at = lazy.told["a"]
            assert load.kv_usage == pytest.approx(came_at - LAG)
            assert load.waiting == int((came_at - LAG) / 0.0123)
            shown.append(came_at)
    assert all(earlier <= later for earlier, later in pairwise(shown))
    assert len(set(shown)) > 40

"""context-length-aware: the narrowest range that the prompt is in, else the nearest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.plugins.context_length_aware import ContextLengthAware
from tests.pools import everyone, labelled, per_candidate, request, who_stays

LABEL = "llm-d.ai/context-length-range"


def scores(tokens: int, *ranges: str) -> list[float]:
    candidates = everyone(labelled(*[{LABEL: each} for each in ranges]))
    return per_candidate(ContextLengthAware().score(request(b"x" * 4 * tokens), candidates), candidates)


@pytest.mark.parametrize(
    ("tokens", "label", "score"),
    [
        # 0.3 + 0.7 * (0.7 / (1 + 2000 / 10000) + 0.3 * 1500 / 2000)
        (500, "0-2000", 0.3 + 0.7 * (0.7 / 1.2 + 0.3 * 0.75)),
        (2000, "0-2000", 0.3 + 0.7 * (0.7 / 1.2)),
        (0, "0-10000", 0.3 + 0.7 * (0.35 + 0.3)),
        (0, "0-30000", 0.3 + 0.7 * (0.175 + 0.3)),
        (128, "128-128", 1),
        (3000, "0-2000", 0.15),  # 0.3 / (1 + 1000 / 1000)
        (500, "1000-2000", 0.2),  # 0.3 / (1 + 500 / 1000)
        (500, " 0 - 2000 ", 0.3 + 0.7 * (0.7 / 1.2 + 0.3 * 0.75)),
        (500, "2000-0", 0),
        (500, "2000", 0),
        (500, "-5-2000", 0),
        (500, "0-lots", 0),
        (500, "", 0),
    ],
)
def test_scores(tokens: int, label: str, score: float) -> None:
    assert scores(tokens, label) == pytest.approx([score])


def test_an_endpoint_without_the_label_is_neutral() -> None:
    candidates = everyone(labelled({}, {"other": "0-10"}))
    assert per_candidate(ContextLengthAware().score(request(b"x"), candidates), candidates) == [0.5, 0.5]
    own = ContextLengthAware("other").score(request(b"x" * 40), candidates)
    assert per_candidate(own, candidates) == pytest.approx([0.5, 0.3 + 0.7 * 0.7 / 1.001])


@given(st.integers(0, 9999), st.tuples(st.integers(0, 9999), st.integers(0, 9999)).map(sorted))
def test_to_be_in_the_range_is_always_better_than_not(tokens: int, bounds: list[int]) -> None:
    (score,) = scores(tokens, f"{bounds[0]}-{bounds[1]}")
    assert 0 <= score <= 1
    assert (score > 0.3) == (bounds[0] <= tokens <= bounds[1])


def test_as_a_filter() -> None:
    pool = labelled({LABEL: "0-100"}, {LABEL: "100-900"}, {LABEL: "101-900"}, {LABEL: "what"}, {})
    candidates, asked = everyone(pool), request(b"x" * 400)
    stays = ContextLengthAware(enable_filtering=True).filter(asked, candidates)
    assert who_stays(stays, candidates) == ["pod-0", "pod-1", "pod-4"]
    assert ContextLengthAware().filter(asked, candidates) is None


def test_nobody() -> None:
    candidates = everyone(labelled())
    plugin = ContextLengthAware(enable_filtering=True)
    assert per_candidate(plugin.score(request(b"x"), candidates), candidates) == []
    assert who_stays(plugin.filter(request(b"x"), candidates), candidates) == []

"""header-label-affinity-scorer: a header asks for a label, and the answer tells whose it was."""

from __future__ import annotations

import pytest

from epp.plugin import Response
from epp.plugins.header_label_affinity_scorer import HeaderLabelAffinityScorer
from tests.pools import endpoint, everyone, labelled, per_candidate, request

POOL = labelled({"slice": "0"}, {"slice": "1"}, {})


@pytest.mark.parametrize(
    ("headers", "scores"),
    [
        ({"x-slice": "0"}, [1, 0, 0]),
        ({"x-slice": "1"}, [0, 1, 0]),
        ({"x-slice": "2"}, [0, 0, 0]),
        ({"x-slice": ""}, [0, 0, 0]),
        ({}, [0, 0, 0]),
    ],
)
def test_scores(headers: dict[str, str], scores: list[float]) -> None:
    candidates = everyone(POOL)
    found = HeaderLabelAffinityScorer("X-Slice", "slice").score(request(headers=headers), candidates)
    assert per_candidate(found, candidates) == scores


def test_a_request_that_asks_for_nothing_is_told_what_it_got_and_the_next_one_asks_for_it() -> None:
    scorer, candidates = HeaderLabelAffinityScorer("x-slice", "slice"), everyone(POOL)
    first = scorer.responded(request(), Response(endpoint(POOL, 1), {}, {}))
    assert first == (("x-slice", "1"),)
    assert per_candidate(scorer.score(request(headers=dict(first)), candidates), candidates) == [0, 1, 0]


def test_answers_that_say_nothing() -> None:
    scorer = HeaderLabelAffinityScorer("x-slice", "slice")
    assert scorer.responded(request(), Response(endpoint(POOL, 2), {}, {})) == ()
    assert scorer.responded(request(), Response(None, {}, {})) == ()
    silent = HeaderLabelAffinityScorer("x-slice", "slice", stamp_response_header=False)
    assert silent.responded(request(), Response(endpoint(POOL, 1), {}, {})) == ()

"""session-affinity-filter and -scorer: a session goes back to where it went."""

from __future__ import annotations

import base64

import pytest

from epp.datastore.store import Datastore
from epp.plugin import Response
from epp.plugins.session_affinity import (
    MAX_ID_LENGTH,
    EncodedEndpointHeaderConfig,
    SessionAffinityFilter,
    SessionAffinityScorer,
    SessionIdConfig,
    SessionSource,
)
from tests.plugins import scores, set_up
from tests.pools import NOW, endpoint, everyone, request, snapshot, spec, store_of, who_stays

TOKEN = "x-session-token"
EVERYONE = ["pod-0", "pod-1", "pod-2"]


def pool() -> Datastore:
    return store_of(None, None, None)


def token(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def stays(plugin: SessionAffinityFilter, store: Datastore, now: float = NOW, **headers: str) -> list[str]:
    candidates = everyone(store, now)
    asked = request(headers={name.replace("_", "-"): value for name, value in headers.items()})
    return who_stays(plugin.filter(asked, candidates), candidates)


# Carried by the client -----------------------------------------------------------------------------------


def test_the_answer_names_its_endpoint_and_the_next_request_goes_there() -> None:
    store = pool()
    sticky = set_up(SessionAffinityFilter(), store)
    answered = sticky.responded(request(), Response(endpoint(store, 1), {}, {}))
    assert answered == ((TOKEN, token("default/pod-1")),)
    assert stays(sticky, store, x_session_token=answered[0][1]) == ["pod-1"]


@pytest.mark.parametrize(
    "value", ["", "***", "AAA", "////", token("default/pod-9"), token("pod-1"), token("default/")]
)
def test_tokens_that_name_nobody(value: str) -> None:
    store = pool()
    assert stays(set_up(SessionAffinityFilter(), store), store, x_session_token=value) == EVERYONE


def test_an_endpoint_that_left_or_is_no_candidate() -> None:
    store = pool()
    sticky = set_up(SessionAffinityFilter(), store)
    gone, away = token("default/pod-2"), token("default/pod-1")
    store.apply(snapshot(spec(0), spec(1, ready=False)))
    assert stays(sticky, store, x_session_token=gone) == ["pod-0"]
    assert stays(sticky, store, x_session_token=away) == ["pod-0"]
    store.apply(snapshot(spec(0), spec(1)))
    assert stays(sticky, store, x_session_token=away) == ["pod-1"]


def test_an_answer_of_a_foreign_server_carries_nothing() -> None:
    assert set_up(SessionAffinityFilter(), pool()).responded(request(), Response(None, {}, {})) == ()


def test_another_header() -> None:
    store = pool()
    sticky = set_up(
        SessionAffinityFilter(encoded_endpoint_header_config=EncodedEndpointHeaderConfig("X-Mine")), store
    )
    assert sticky.responded(request(), Response(endpoint(store, 0), {}, {}))[0][0] == "x-mine"
    assert stays(sticky, store, x_mine=token("default/pod-0")) == ["pod-0"]


def test_a_profile_of_its_own() -> None:
    store = pool()
    sticky = set_up(SessionAffinityFilter(profile_name="prefill"), store)
    asked = request()
    sticky.placed(asked, endpoint(store, 0), "decode")
    sticky.placed(asked, endpoint(store, 2), "prefill")
    served = Response(endpoint(store, 0), {}, {})
    assert sticky.responded(asked, served) == ((TOKEN, token("default/pod-2")),)
    assert sticky.responded(asked, served) == (), "it is told once"


def test_where_a_request_with_a_long_id_was_placed_is_not_remembered() -> None:
    store = pool()
    sticky = set_up(SessionAffinityFilter(profile_name="prefill"), store)
    asked = request(request_id="x" * (MAX_ID_LENGTH + 1))
    sticky.placed(asked, endpoint(store, 2), "prefill")
    assert sticky.responded(asked, Response(endpoint(store, 0), {}, {})) == ()


# Remembered by the picker --------------------------------------------------------------------------------


def remembering(store: Datastore, *sources: SessionSource, ttl: float = 300.0) -> SessionAffinityFilter:
    config = SessionIdConfig(sources or (SessionSource("x-session-id"),), ttl)
    return set_up(SessionAffinityFilter("session_id", session_id_config=config), store)


def test_a_session_goes_where_it_went_and_others_anywhere() -> None:
    store = pool()
    sticky = remembering(store)
    assert stays(sticky, store, x_session_id="a") == EVERYONE
    sticky.placed(request(headers={"x-session-id": "a"}), endpoint(store, 2), "default")
    assert stays(sticky, store, x_session_id="a") == ["pod-2"]
    assert stays(sticky, store, x_session_id="b") == EVERYONE
    assert stays(sticky, store) == EVERYONE
    assert (
        sticky.responded(request(headers={"x-session-id": "a"}), Response(endpoint(store, 2), {}, {})) == ()
    )


def test_a_session_whose_endpoint_left_is_bound_anew() -> None:
    store = pool()
    sticky = remembering(store)
    asked = request(headers={"x-session-id": "a"})
    sticky.placed(asked, endpoint(store, 2), "default")
    store.apply(snapshot(spec(0), spec(1)))
    store.apply(snapshot(spec(0), spec(1), spec(3)))  # takes the slot of the one that left
    assert stays(sticky, store, x_session_id="a") == ["pod-0", "pod-1", "pod-3"]
    sticky.placed(request(headers={"x-session-id": "a"}), endpoint(store, 1), "default")
    assert stays(sticky, store, x_session_id="a") == ["pod-1"]


def test_a_session_is_forgotten_when_it_was_not_used_for_long() -> None:
    store = pool()
    sticky = remembering(store, ttl=60.0)
    for at, session in ((0, "a"), (30, "b"), (50, "a")):
        asked = request(headers={"x-session-id": session}, received_at=NOW + at)
        sticky.placed(asked, endpoint(store, 0), "default")
    assert stays(sticky, store, NOW + 89, x_session_id="b") == ["pod-0"]
    assert stays(sticky, store, NOW + 90, x_session_id="b") == EVERYONE
    assert stays(sticky, store, NOW + 109, x_session_id="a") == ["pod-0"]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("epp.plugins.session_affinity.MAX_SESSIONS", 2)
    store = pool()
    sticky = remembering(store)
    for session in ("a", "b", "a", "c"):
        asked = request(headers={"x-session-id": session})
        sticky.placed(asked, endpoint(store, 0), "default")
    assert [stays(sticky, store, x_session_id=session) for session in "abc"] == [
        ["pod-0"],
        EVERYONE,
        ["pod-0"],
    ]
    long = "x" * (MAX_ID_LENGTH + 1)
    sticky.placed(request(headers={"x-session-id": long}), endpoint(store, 0), "default")
    assert stays(sticky, store, x_session_id=long) == EVERYONE


def test_the_first_source_that_has_an_id_counts() -> None:
    store = pool()
    sticky = remembering(store, SessionSource("X-One"), SessionSource(attribute="agent-identity"))
    sticky.placed(request(headers={"x-one": "a", "session-id": "b"}), endpoint(store, 0), "default")
    sticky.placed(request(headers={"x-one": "", "session-id": "b"}), endpoint(store, 1), "default")
    assert stays(sticky, store, x_one="a", session_id="b") == ["pod-0"]
    assert stays(sticky, store, x_claude_code_session_id="b") == ["pod-1"]


def test_a_session_is_bound_to_the_profile_that_serves() -> None:
    store = pool()
    sticky = remembering(store)
    asked = request(headers={"x-session-id": "a"})
    sticky.placed(asked, endpoint(store, 0), "decode")
    sticky.placed(asked, endpoint(store, 1), "prefill")
    assert stays(sticky, store, x_session_id="a") == ["pod-0"]
    again = request(headers={"x-session-id": "a"})
    sticky.placed(again, endpoint(store, 2), "decode")
    assert stays(sticky, store, x_session_id="a") == ["pod-2"]


@pytest.mark.parametrize("source", [SessionSource(), SessionSource("x-a", "agent-identity")])
def test_sources_that_make_no_sense(source: SessionSource) -> None:
    with pytest.raises(ValueError, match=r"sources\[0\]"):
        SessionAffinityFilter("session_id", session_id_config=SessionIdConfig((source,)))


# The scorer ----------------------------------------------------------------------------------------------


def test_the_scorer_prefers_where_the_filter_would_send() -> None:
    store = pool()
    scorer = set_up(SessionAffinityScorer(), store)
    asked = request(headers={TOKEN: token("default/pod-1")})
    assert scores(scorer, asked, everyone(store)) == [0, 1, 0]
    assert scores(scorer, request(), everyone(store)) == [0, 0, 0]
    assert scores(scorer, request(), everyone(store_of())) == []

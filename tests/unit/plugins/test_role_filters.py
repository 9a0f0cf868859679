"""encode-filter, prefill-filter and decode-filter: who can run which stage."""

from __future__ import annotations

import pytest

from epp.plugin import Filter
from epp.plugins.role_filters import DecodeFilter, EncodeFilter, PrefillFilter
from tests.pools import everyone, labelled, request, who_stays

ROLES = (
    "encode",
    "prefill",
    "decode",
    "encode-prefill",
    "prefill-decode",
    "encode-prefill-decode",
    "both",
    "unknown",
)


@pytest.mark.parametrize(
    ("stage", "roles"),
    [
        (EncodeFilter(), ["encode", "encode-prefill", "encode-prefill-decode"]),
        (PrefillFilter(), ["prefill", "encode-prefill", "prefill-decode", "encode-prefill-decode", "both"]),
        (DecodeFilter(), ["decode", "prefill-decode", "encode-prefill-decode", "both", ""]),
    ],
)
def test_who_stays(stage: Filter, roles: list[str]) -> None:
    candidates = everyone(labelled(*[{"llm-d.ai/role": role} for role in ROLES], {}))
    stay = [f"pod-{number}" for number, role in enumerate([*ROLES, ""]) if role in roles]
    assert who_stays(stage.filter(request(), candidates), candidates) == stay


def test_a_pool_without_labels_can_decode_and_nothing_else() -> None:
    candidates = everyone(labelled({}, {}))
    assert who_stays(DecodeFilter().filter(request(), candidates), candidates) == ["pod-0", "pod-1"]
    assert who_stays(PrefillFilter().filter(request(), candidates), candidates) == []
    assert who_stays(EncodeFilter().filter(request(), candidates), candidates) == []

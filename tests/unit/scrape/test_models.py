from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.scrape.models import MAX_MODELS, ModelList, read_models


def test_adapters_are_the_entries_with_a_parent() -> None:
    body = b"""{"object": "list", "data": [
        {"id": "tiny", "object": "model", "root": "/models/tiny", "parent": null, "max_model_len": 2048},
        {"id": "tiny-alias", "object": "model", "root": "/models/tiny"},
        {"id": "food-review", "object": "model", "root": "/loras/food", "parent": "tiny"},
        {"id": "cad-fabricator", "object": "model", "root": "/loras/cad", "parent": "tiny"}
    ]}"""
    assert read_models(body) == ModelList(
        base=frozenset({"tiny", "tiny-alias"}), adapters=frozenset({"food-review", "cad-fabricator"})
    )


def test_an_empty_list_is_a_list() -> None:
    assert read_models(b'{"data": []}') == ModelList(frozenset(), frozenset())


def test_broken_entries_are_left_out() -> None:
    body = (
        b'{"data": [null, 5, "x", [], {}, {"id": null}, {"id": 7}, {"id": ""}, {"id": "tiny", "parent": ""}]}'
    )
    assert read_models(body) == ModelList(frozenset({"tiny"}), frozenset())


def test_a_list_without_end_is_read_in_part() -> None:
    models = read_models(json.dumps({"data": [{"id": f"m{n}"} for n in range(MAX_MODELS + 5)]}).encode())
    assert models is not None
    assert len(models.base) == MAX_MODELS


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"{}",
        b'{"data": {}}',
        b'{"data": null}',
        b"\xff",
        b'{"data": ' + b"[" * 100_000,
    ],
)
def test_what_is_no_list(body: bytes) -> None:
    assert read_models(body) is None


@given(st.binary())
def test_no_body_raises(body: bytes) -> None:
    models = read_models(body)
    assert models is None or isinstance(models.base, frozenset)

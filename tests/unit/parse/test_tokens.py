"""Counting token ids, estimating text, and finding media that stand in a body as base64."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.parse.tokens import MAX_MEDIA, count_token_ids, estimate_tokens, find_media
from epp.types import Api


@pytest.mark.parametrize(("size", "tokens"), [(0, 0), (1, 1), (4, 1), (5, 2), (400, 100)])
def test_text_has_a_token_for_four_bytes(size: int, tokens: int) -> None:
    assert estimate_tokens(size) == tokens


@given(st.lists(st.integers()).filter(bool), st.sampled_from([None, 1]))
def test_flat_ids_are_counted(ids: list[int], indent: int | None) -> None:
    assert count_token_ids(memoryview(json.dumps(ids, indent=indent).encode())) == len(ids)


@given(st.lists(st.lists(st.integers(0, 200_000))).filter(any), st.sampled_from([None, 1]))
def test_lists_of_ids_are_counted(lists: list[list[int]], indent: int | None) -> None:
    assert count_token_ids(memoryview(json.dumps(lists, indent=indent).encode())) == sum(map(len, lists))


@pytest.mark.parametrize("value", ["1,2", ["1", "2"], [], [[]], {"a": 1}, [{"a": 1}], [None], 5])
def test_other_values_are_no_ids(value: object) -> None:
    assert count_token_ids(memoryview(json.dumps(value).encode())) is None


IMAGE = "A" * 4000


def chat(*urls: str) -> dict[str, Any]:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return {"messages": [{"role": "user", "content": parts}]}


@pytest.mark.parametrize(
    ("fields", "number"),
    [
        (chat(), 0),
        (chat("https://example.com/a.png"), 0),
        (chat(f"data:image/png;base64,{IMAGE}"), 1),
        (chat(f"data:image/svg+xml;charset=utf-8;base64,{IMAGE}", f"data:audio/wav;base64,{IMAGE}"), 2),
        (chat(f"see data:image/png;base64,{IMAGE}"), 0),
        (chat(f'<img src="data:image/png;base64,{IMAGE}">'), 0),
        (chat(f"data:{'x' * 200};base64,{IMAGE}"), 0),
    ],
)
def test_data_urls(fields: dict[str, Any], number: int) -> None:
    body = json.dumps(fields).encode()
    assert find_media(body, Api.CHAT) == (number, number * len(IMAGE))


def test_slashes_may_be_escaped() -> None:
    body = json.dumps(chat(f"data:image/png;base64,{IMAGE}")).replace("/", "\\/").encode()
    assert find_media(body, Api.CHAT) == (1, len(IMAGE))


def test_anthropic_sources() -> None:
    def block(data: str) -> dict[str, Any]:
        return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}

    text = {"type": "text", "text": '"base64" and "data": "x"'}
    body = json.dumps(
        {"messages": [{"role": "user", "content": [block(IMAGE), text, block(IMAGE)]}]}
    ).encode()
    assert find_media(body, Api.MESSAGES) == (2, 2 * len(IMAGE))


@given(st.lists(st.sampled_from([";", "6", '\\"', "base64,", "x" * 2000, "IMAGE"]), max_size=30))
def test_media_are_found_whatever_stands_between_them(pieces: list[str]) -> None:
    def joined(image: str, text: str) -> bytes:
        return "".join(image if piece == "IMAGE" else text % piece for piece in pieces).encode()

    images = pieces.count("IMAGE")
    urls = joined(f'{{"url": "data:image/png;base64,{IMAGE}"}}, ', '"%s", ')
    assert find_media(urls, Api.CHAT) == (images, images * len(IMAGE))
    sources = joined(f'{{"type": "base64", "data": "{IMAGE}"}}, ', '"%s", ')
    assert find_media(sources, Api.MESSAGES) == (images, images * len(IMAGE))


def test_the_search_is_bounded() -> None:
    body = json.dumps(chat(*["data:a/b;base64,AAAA"] * (MAX_MEDIA + 10))).encode()
    assert find_media(body, Api.CHAT) == (MAX_MEDIA, 4 * MAX_MEDIA)

"""Deciders: which requests are worth a stage of their own."""

from __future__ import annotations

import pytest

from epp.plugins.approx_prefix_cache_producer import ApproxPrefixCacheProducer
from epp.plugins.deciders import (
    AlwaysDisaggMultimodalDecider,
    AlwaysDisaggPdDecider,
    Decider,
    PrefixBasedPdDecider,
)
from tests.plugins import Surroundings
from tests.pools import endpoint, request, store_of

PROMPT = bytes(range(1, 251)) * 40  # 10,000 bytes, 2,500 tokens


@pytest.mark.parametrize(
    ("non_cached", "least", "tokens", "worth_it"),
    [
        (0, 0, 2500, False),  # off
        (2500, 0, 2500, True),
        (2501, 0, 2500, False),
        (100, 2500, 2500, True),
        (100, 2501, 2500, False),
        (1, 0, 0, False),
    ],
)
def test_prompts_that_nobody_holds(non_cached: int, least: int, tokens: int, worth_it: bool) -> None:
    store = store_of(None)
    decider = Surroundings(store).set_up(PrefixBasedPdDecider(non_cached, least))
    assert decider.disaggregates(request(PROMPT[: 4 * tokens]), endpoint(store, 0)) == worth_it


def test_what_the_decoding_endpoint_holds_does_not_count() -> None:
    store = store_of(None, None)
    context = Surroundings(store)
    context.shared(ApproxPrefixCacheProducer).placed(request(PROMPT[:8000]), endpoint(store, 0), "decode")
    held = context.shared(ApproxPrefixCacheProducer).held(request(PROMPT), endpoint(store, 0))
    left = 2500 - held // 4  # tokens
    assert 300 < left < 1000
    for non_cached, on_first in ((left - 1, True), (left + 1, False)):
        decider = context.set_up(PrefixBasedPdDecider(non_cached))
        assert decider.disaggregates(request(PROMPT), endpoint(store, 0)) == on_first
        assert decider.disaggregates(request(PROMPT), endpoint(store, 1))


def test_always() -> None:
    assert AlwaysDisaggPdDecider().disaggregates(request(), endpoint(store_of(None), 0))


@pytest.mark.parametrize(
    ("prompt", "has_media"),
    [
        (b'[{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://a/b"}}]}]', True),
        (b'[{"role":"user","content":[{"type":"video_url","video_url" : {"url":"http://a/b"}}]}]', True),
        (b'[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":""}}]}]', True),
        (b'[{"role":"user","content":[{"type":"input_image","image_url":"http://a/b"}]}]', True),
        (b'[{"role":"user","content":[{"type":"image","source":{"type":"url","url":""}}]}]', True),
        (b'[{"role":"user","content":"what is \\"image_url\\": in a chat?"}]', False),
        (b'[{"role":"user","content":[{"type":"text","text":"image_url"}]}]', False),
        (b"", False),
    ],
)
def test_media(prompt: bytes, has_media: bool) -> None:
    decider = AlwaysDisaggMultimodalDecider()
    assert decider.disaggregates(request(prompt), endpoint(store_of(None), 0)) == has_media


@pytest.mark.parametrize("kind", [PrefixBasedPdDecider, AlwaysDisaggPdDecider, AlwaysDisaggMultimodalDecider])
def test_they_are_deciders(kind: type) -> None:
    assert isinstance(kind(), Decider)

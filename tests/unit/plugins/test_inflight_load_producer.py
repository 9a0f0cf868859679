"""inflight-load-producer: the tokens that a request counts for."""

from __future__ import annotations

import pytest

from epp.plugins.inflight_load_producer import InflightLoadProducer
from epp.types import Api, ParsedBody, Prompt


@pytest.mark.parametrize(
    ("producer", "prompt", "max_tokens", "tokens"),
    [
        (InflightLoadProducer(), 100, None, 250),
        (InflightLoadProducer(), 101, None, 252),  # 151.5 is 151
        (InflightLoadProducer(), 100, 10, 110),
        (InflightLoadProducer(), 100, 0, 100),
        (InflightLoadProducer(), 0, None, 0),
        (InflightLoadProducer(output_ratio=0.1), 100, None, 110),
        (InflightLoadProducer(max_estimated_output_tokens=50), 100, None, 150),
        (InflightLoadProducer(max_estimated_output_tokens=50), 100, 70, 150),
        (InflightLoadProducer(max_estimated_output_tokens=50), 100, 30, 130),
        (InflightLoadProducer(add_estimated_output_tokens=False), 100, 70, 100),
    ],
)
def test_tokens(producer: InflightLoadProducer, prompt: int, max_tokens: int | None, tokens: int) -> None:
    body = ParsedBody(Api.COMPLETIONS, "base", max_tokens=max_tokens, prompt=Prompt(tokens=prompt))
    assert producer.tokens(body) == tokens

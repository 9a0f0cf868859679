"""request-attribute-reporter: a number of the answer's tokens, as dynamic metadata."""

from __future__ import annotations

import pytest

from epp.plugins.request_attribute_reporter import AttributeKey, ReportedAttribute, RequestAttributeReporter
from epp.types import Usage
from epp.wire.messages import MetadataMap
from tests.pools import request

COST = AttributeKey("x-cost")


def reported(expression: str, condition: str = "", usage: Usage | None = None) -> MetadataMap:
    plugin = RequestAttributeReporter((ReportedAttribute(COST, expression, condition),))
    return plugin.used(request(), usage or Usage(100, 7, 64))


def cost(number: int) -> MetadataMap:
    return {"envoy.lb": {"x-cost": number}}


@pytest.mark.parametrize(
    ("expression", "condition", "number"),
    [
        ("usage.prompt_tokens + usage.completion_tokens", "", 107),
        ("usage.total_tokens", "", 107),
        ("usage.prompt_tokens - usage.prompt_tokens_details.cached_tokens", "", 36),
        ("usage.prompt_token_details.cached_tokens", "", 64),
        ("usage.prompt_tokens * 0.999", "", 99),  # cut
        ("-usage.prompt_tokens", "", -100),
        ("usage.completion_tokens", "has(usage.completion_tokens)", 7),
        ("usage.completion_tokens", "usage.completion_tokens > 5", 7),
    ],
)
def test_what_is_reported(expression: str, condition: str, number: int) -> None:
    assert reported(expression, condition) == cost(number)


@pytest.mark.parametrize(
    ("expression", "condition"),
    [
        ("usage.prompt_tokens", "usage.completion_tokens > 7"),
        ("usage.prompt_tokens", "has(usage.reasoning_tokens)"),
        ("usage.prompt_tokens", "usage.reasoning_tokens > 1"),
        ("usage.prompt_tokens", "1"),
        ("usage.reasoning_tokens", ""),
        ("usage.completion_tokens / 10", ""),  # 0
        ("usage.prompt_tokens > 1", ""),  # no number
        ("usage", ""),
        ("1e308 * 10", ""),
    ],
)
def test_what_is_not_reported(expression: str, condition: str) -> None:
    assert reported(expression, condition) == {}


def test_an_answer_that_does_not_tell_what_was_cached() -> None:
    assert reported("usage.prompt_tokens_details.cached_tokens", usage=Usage(100, 7)) == {}


def test_another_namespace() -> None:
    key = AttributeKey("tokens", "my.filter")
    plugin = RequestAttributeReporter((ReportedAttribute(key, "usage.total_tokens"),))
    assert plugin.used(request(), Usage(1, 2)) == {"my.filter": {"tokens": 3}}


def test_expressions_that_cannot_be_read() -> None:
    with pytest.raises(ValueError, match=r"attributes\[0\].expression: ends where a value should be"):
        reported("usage.prompt_tokens +")
    with pytest.raises(ValueError, match=r"attributes\[0\].condition: has the function"):
        reported("1", "exists(usage)")

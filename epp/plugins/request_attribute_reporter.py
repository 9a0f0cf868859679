"""request-attribute-reporter: tells Envoy what a request cost, by an expression over its token counts."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any

from epp.config.constraints import Doc, Length
from epp.plugins.cel import MAX_LENGTH, CelError, Expression, compile_cel
from epp.types import InferenceRequest, Usage
from epp.wire.messages import MetadataMap

_SomeText = Length(1, 253)


@dataclass(frozen=True)
class AttributeKey:
    """Where in the dynamic metadata the value goes."""

    name: Annotated[str, _SomeText, Doc("the key")]
    namespace: Annotated[str, _SomeText, Doc("the namespace")] = "envoy.lb"


@dataclass(frozen=True)
class ReportedAttribute:
    """One value."""

    key: Annotated[AttributeKey, Doc("where it goes")]
    expression: Annotated[str, Length(1, MAX_LENGTH), Doc("the value, in CEL over `usage`")]
    condition: Annotated[str, Doc("report it only where this, in CEL, is true; unset: always")] = ""


@dataclass
class RequestAttributeReporter:
    """Tells Envoy a number made of an answer's token counts, as dynamic metadata at the end of the answer.

    Expressions are CEL with the variable `usage`: prompt_tokens, completion_tokens, total_tokens and, if the
    answer tells it, prompt_tokens_details.cached_tokens (the reference's spelling prompt_token_details is
    understood, too). The number is cut to a whole one. Nothing is reported for 0, where the condition is not
    true, and where an expression has no value, as of a field that is missing.
    """

    attributes: Annotated[
        tuple[ReportedAttribute, ...], Length(1, 1), Doc("the value to report; exactly one")
    ]

    _reports: list[tuple[AttributeKey, Expression, Expression]] = field(
        init=False, repr=False, default_factory=list
    )

    def __post_init__(self) -> None:
        for index, each in enumerate(self.attributes):
            value = _compiled(each.expression, f"attributes[{index}].expression")
            condition = _compiled(each.condition or "true", f"attributes[{index}].condition")
            self._reports.append((each.key, value, condition))

    def used(self, request: InferenceRequest, usage: Usage) -> MetadataMap:
        """The metadata; empty if there is nothing to report."""
        variables = {"usage": _fields(usage)}
        metadata: dict[str, dict[str, float]] = {}
        for key, expression, condition in self._reports:
            number = _whole_number(expression, condition, variables)
            if number:
                metadata.setdefault(key.namespace, {})[key.name] = number
        return metadata


def _fields(usage: Usage) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
    if usage.cached_tokens is not None:
        details = {"cached_tokens": usage.cached_tokens}
        fields |= {"prompt_tokens_details": details, "prompt_token_details": details}
    return fields


def _whole_number(expression: Expression, condition: Expression, variables: dict[str, Any]) -> int:
    """The value; 0 where there is nothing to report."""
    try:
        if condition(variables) is not True:
            return 0
        value = expression(variables)
    except CelError:
        return 0
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return int(value) if is_number else 0


def _compiled(text: str, path: str) -> Expression:
    try:
        return compile_cel(text)
    except CelError as error:
        raise ValueError(f"{path}: {error}") from None

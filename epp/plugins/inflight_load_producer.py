"""inflight-load-producer: how many tokens a request is counted with while it is in flight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from epp.config.constraints import Doc, Range
from epp.types import ParsedBody


@dataclass
class InflightLoadProducer:
    """Says how many tokens a request counts for while it is in flight.

    The prompt's, estimated at 4 bytes each and counted for token ids, and those that it may generate: what
    the request allows, or `outputRatio` times the prompt. What was counted is given back, once, when the
    request ends, however it ends, and moves with it when the gateway goes to another endpoint; the reference
    counts the fallbacks too, and never gives those back. By default generated tokens count, as in v1.5 of
    the reference; in llm-d they do not.
    """

    add_estimated_output_tokens: Annotated[bool, Doc("count the tokens that may be generated, too")] = True
    output_ratio: Annotated[
        float,
        Range(0, 1e6),
        Doc("tokens generated for each of the prompt's, where the request sets no limit"),
    ] = 1.5
    max_estimated_output_tokens: Annotated[
        int | None, Range(0, 1 << 31), Doc("the most generated tokens that are counted; unset: all")
    ] = None

    def tokens(self, body: ParsedBody) -> int:
        """What a request with this body counts for."""
        prompt = body.prompt.tokens
        if not self.add_estimated_output_tokens:
            return prompt
        output = int(prompt * self.output_ratio) if body.max_tokens is None else body.max_tokens
        if self.max_estimated_output_tokens is not None:
            output = min(output, self.max_estimated_output_tokens)
        return prompt + output

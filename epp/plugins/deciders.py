"""Deciders: whether a request is worth a stage of its own on another server (disagg-profile-handler)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Protocol, runtime_checkable

from epp.config.constraints import Doc, Range
from epp.datastore.endpoints import Endpoint
from epp.plugin import Context
from epp.plugins.approx_prefix_cache_producer import ApproxPrefixCacheProducer
from epp.types import InferenceRequest

_Tokens = Range(0, 1 << 31)

# A part of a message that is no text: OpenAI's names its kind as the key of its content, Anthropic's by its
# type. Inside a text the quotes would be escaped.
_MEDIUM = re.compile(
    rb'"(?:image_url|input_audio|audio_url|video_url)"[ \t\r\n]*:'
    rb'|"type"[ \t\r\n]*:[ \t\r\n]*"(?:input_)?image"'
)


@runtime_checkable
class Decider(Protocol):
    """Says whether a stage runs by itself."""

    def disaggregates(self, request: InferenceRequest, endpoint: Endpoint) -> bool:
        """Whether the stage runs on another server than `endpoint`, which will decode."""


@dataclass
class PrefixBasedPdDecider:
    """Prefills elsewhere what the decoding endpoint would have to prefill much of.

    If at least `nonCachedTokens` of the prompt are not cached there, and the prompt has at least
    `promptTokens`. With `nonCachedTokens` 0 nothing is prefilled elsewhere. Tokens are estimated at 4 bytes
    each, and counted for token ids.
    """

    non_cached_tokens: Annotated[int, _Tokens, Doc("tokens not cached that are worth it; 0: never")] = 0
    prompt_tokens: Annotated[int, _Tokens, Doc("tokens that the prompt has to have at least")] = 0
    prefix_match_info_producer_name: Annotated[str, Doc("the producer to ask; unset: the first one")] = ""

    _producer: ApproxPrefixCacheProducer = field(
        init=False, repr=False, default_factory=ApproxPrefixCacheProducer
    )

    def setup(self, context: Context) -> None:
        """See NeedsContext."""
        self._producer = context.shared(ApproxPrefixCacheProducer, self.prefix_match_info_producer_name)

    def disaggregates(self, request: InferenceRequest, endpoint: Endpoint) -> bool:
        """See Decider."""
        prompt = request.body.prompt
        if not self.non_cached_tokens or prompt.tokens < max(self.prompt_tokens, self.non_cached_tokens):
            return False
        cached = self._producer.held(request, endpoint) / prompt.size if prompt.size else 0.0
        return prompt.tokens * (1.0 - cached) >= self.non_cached_tokens


@dataclass
class AlwaysDisaggPdDecider:
    """Prefills every prompt on another endpoint than the one that decodes."""

    def disaggregates(self, request: InferenceRequest, endpoint: Endpoint) -> bool:
        """See Decider."""
        return True


@dataclass
class AlwaysDisaggMultimodalDecider:
    """Encodes images, audio and video on other endpoints; requests without any are not split."""

    def disaggregates(self, request: InferenceRequest, endpoint: Endpoint) -> bool:
        """See Decider."""
        return any(_MEDIUM.search(part) for part in request.body.prompt.parts)

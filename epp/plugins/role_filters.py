"""encode-filter, prefill-filter and decode-filter: keep endpoints by the stage that they can run.

A server says so in its label `llm-d.ai/role`, with llm-d's words for the stages and for several of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from epp.datastore.endpoints import Candidates, Mask
from epp.plugins.label_selector_filter import ByLabelFilter
from epp.types import InferenceRequest

ROLE_LABEL = "llm-d.ai/role"

_ALL = "encode-prefill-decode"
_PREFILL_AND_DECODE = ("prefill-decode", "both")  # `both` is the older word


@dataclass
class _RoleFilter:
    """Keeps endpoints with one of the roles."""

    roles: ClassVar[tuple[str, ...]]
    unlabelled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._by_label = ByLabelFilter(ROLE_LABEL, self.roles, self.unlabelled)

    def filter(self, request: InferenceRequest, endpoints: Candidates) -> Mask | None:
        """True for those that can run the stage; None if all can."""
        return self._by_label.filter(request, endpoints)


@dataclass
class EncodeFilter(_RoleFilter):
    """Keeps endpoints that encode images, audio and video.

    By the label `llm-d.ai/role`: encode, encode-prefill or encode-prefill-decode.
    """

    roles = ("encode", "encode-prefill", _ALL)


@dataclass
class PrefillFilter(_RoleFilter):
    """Keeps endpoints that prefill prompts.

    By the label `llm-d.ai/role`: prefill, encode-prefill, prefill-decode, both or encode-prefill-decode.
    """

    roles = ("prefill", "encode-prefill", *_PREFILL_AND_DECODE, _ALL)


@dataclass
class DecodeFilter(_RoleFilter):
    """Keeps endpoints that generate answers.

    By the label `llm-d.ai/role`: decode, prefill-decode, both or encode-prefill-decode; and those without it.
    """

    roles = ("decode", *_PREFILL_AND_DECODE, _ALL)
    unlabelled = True

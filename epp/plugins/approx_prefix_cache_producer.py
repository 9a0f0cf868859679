"""approx-prefix-cache-producer: which endpoint holds how much of a prompt, from what was sent where.

Shared by whoever asks for matches (`Context.shared`). Without parameters prompts are cut in blocks that start
with the engine's block size and grow; with `blockSizeTokens` or a limit they are cut evenly, as the
reference does. One fault of the reference is not repeated: an endpoint that lacks an early block is not given
later ones, which an engine could not use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

from epp.config.constraints import Doc, Range
from epp.datastore.blocks import (
    BYTES_PER_TOKEN,
    DEFAULT_BLOCK_TOKENS,
    Blocks,
    Chain,
    even_blocks,
    growing_blocks,
    hash_prompt,
)
from epp.datastore.endpoints import Candidates, Endpoint, Floats
from epp.datastore.prefix import PrefixIndex
from epp.datastore.store import Datastore
from epp.plugin import UNWATCHED, Context, Watcher
from epp.types import InferenceRequest

# The reference's defaults: blocks that are matched at most, blocks that an endpoint's cache is taken to hold
# where it does not say.
_MAX_BLOCKS = 256
_CACHE_BLOCKS = 31_250

_Tokens = Range(1, 1 << 20)


class PrefixMatch(NamedTuple):
    """How much of a prompt the candidates hold: bytes of its start, of `size` bytes (0: there is none)."""

    matched: Floats
    size: int


@dataclass
class PrefixParameters:
    """How prompts are cut into blocks, and how many an endpoint holds."""

    auto_tune: Annotated[
        bool, Doc("take block size and capacity from what the endpoints tell of their KV cache")
    ] = True
    block_size_tokens: Annotated[
        int | None, _Tokens, Doc("tokens in a block, all of one size; unset: blocks grow with the position")
    ] = None
    block_size: Annotated[
        int | None, Doc("passed over, as in the reference: `blockSizeTokens` took its place")
    ] = None
    max_prefix_blocks_to_match: Annotated[
        int | None, Range(1, 1 << 20), Doc("blocks looked at; unset: all, or 256 if `blockSizeTokens` is set")
    ] = None
    max_prefix_tokens_to_match: Annotated[
        int, Range(0, 1 << 30), Doc("tokens looked at, in place of a number of blocks; 0: not used")
    ] = 0
    lru_capacity_per_server: Annotated[
        int, Range(1, 1 << 30), Doc("blocks that an endpoint holds which does not tell")
    ] = _CACHE_BLOCKS


@dataclass
class ApproxPrefixCacheProducer(PrefixParameters):
    """Knows which endpoint holds how much of a prompt, from what was sent where."""

    _index: PrefixIndex = field(init=False, repr=False, compare=False, default_factory=PrefixIndex)
    _store: Datastore | None = field(init=False, repr=False, compare=False, default=None)
    _watcher: Watcher = field(init=False, repr=False, compare=False, default=UNWATCHED)
    # The match and the chain of the request being scheduled; until it is placed no other request comes.
    _match: tuple[Chain, Candidates, PrefixMatch] | None = field(
        init=False, repr=False, compare=False, default=None
    )
    _latest: tuple[InferenceRequest, Chain] | None = field(
        init=False, repr=False, compare=False, default=None
    )

    def setup(self, context: Context) -> None:
        """See NeedsContext."""
        self._store = context.store
        self._watcher = context.watcher

    @property
    def blocks_held(self) -> int:
        """Blocks in the index."""
        return len(self._index)

    def match(self, request: InferenceRequest, endpoints: Candidates) -> PrefixMatch:
        """How much of the request's prompt each candidate holds."""
        chain = self._chain(request)
        latest = self._match
        if latest is None or latest[0] is not chain or latest[1] is not endpoints:
            found = PrefixMatch(self._index.match(chain, endpoints.slots), chain.size)
            self._match = latest = (chain, endpoints, found)
        return latest[2]

    def held(self, request: InferenceRequest, endpoint: Endpoint) -> int:
        """Bytes of the request's prompt that one endpoint holds."""
        return self._index.held(self._chain(request), endpoint.slot)

    def placed(self, request: InferenceRequest, endpoint: Endpoint, profile: str) -> None:
        """The endpoint will hold this prompt."""
        chain = self._chain(request)
        self._latest = self._match = None
        if chain.size:
            held = self._index.record(endpoint.slot, chain, self._capacity(endpoint.slot))
            self._watcher.prefix_matched(held, chain.size)

    def left(self, slot: int) -> None:
        """The endpoint's cache is gone."""
        self._index.removed(slot)

    def _chain(self, request: InferenceRequest) -> Chain:
        latest = self._latest
        if latest is None or latest[0] is not request:
            chain = hash_prompt(request.body.prompt, request.target_model, self._cuts())
            self._latest = latest = (request, chain)
        return latest[1]

    def _cuts(self) -> Blocks:
        tokens = self.block_size_tokens
        if self.auto_tune and self._store is not None:
            tokens = self._store.endpoints.block_tokens or tokens
        size = (tokens or DEFAULT_BLOCK_TOKENS) * BYTES_PER_TOKEN
        if self.max_prefix_tokens_to_match:
            return even_blocks(size, self.max_prefix_tokens_to_match * BYTES_PER_TOKEN // size)
        if self.block_size_tokens is None and self.max_prefix_blocks_to_match is None:
            return growing_blocks(size)
        return even_blocks(size, self.max_prefix_blocks_to_match or _MAX_BLOCKS)

    def _capacity(self, slot: int) -> int:
        if self.auto_tune and self._store is not None:
            tokens = float(self._store.endpoints.cache_tokens[slot])
            if not math.isnan(tokens):
                return int(tokens) * BYTES_PER_TOKEN
        block = self.block_size_tokens or DEFAULT_BLOCK_TOKENS
        return self.lru_capacity_per_server * block * BYTES_PER_TOKEN

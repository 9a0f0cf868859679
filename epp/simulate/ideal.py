"""How much of the prompts one prefix cache without end, shared by all engines, would have had.

It goes by the pieces that prompts are made of, not by blocks of tokens, so that it stays small: a few numbers
for each piece. A prompt and its answer are in it from when the request is submitted: engines share the blocks
of an answer while they are still at it, and none is to have more than the ideal.
"""

from __future__ import annotations

import xxhash

from epp.simulate.workload import Arrival, Piece


class IdealCache:
    """The pieces known so far, each by all before it. `ask` for every request that is served, in order."""

    def __init__(self) -> None:
        # What came before a piece, and its key -> the most tokens that are known of it. The text of a shorter
        # piece of the same key is the beginning of the longer one's.
        self._known: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<IdealCache {len(self._known)} pieces>"

    def ask(self, arrival: Arrival) -> tuple[int, int]:
        """The tokens of the prompt that are known, never the last, which is computed for its logits; and the
        place at its end, for `answered`. From now on all of the prompt is known.
        """
        place = xxhash.xxh64_intdigest(arrival.adapter.encode())
        prompt = cached = 0
        unbroken = True
        for piece in arrival.prompt:
            prompt += piece.tokens
            key, place = _follow(place, piece)
            known = self._known.get(key, 0)
            if unbroken:
                cached += min(known, piece.tokens)
                unbroken = known >= piece.tokens
            self._known[key] = max(known, piece.tokens)
        return min(cached, prompt - 1), place

    def answered(self, place: int, answer: str, tokens: int) -> None:
        """The prompt that ends at `place` gets this answer, whose last token is never read."""
        key, _ = _follow(place, Piece(answer, tokens))
        self._known[key] = max(self._known.get(key, 0), tokens - 1)


def _follow(place: int, piece: Piece) -> tuple[int, int]:
    """The key of `piece` at `place`, and the place after it."""
    key = xxhash.xxh64_intdigest(piece.key.encode(), seed=place)
    return key, xxhash.xxh64_intdigest(piece.tokens.to_bytes(8), seed=key)

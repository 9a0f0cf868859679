"""Answers of a stream that wait for credit (RFC 9113, section 5.2)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from epp.transport.h2.frames import Buffer


class SendQueue:
    """Pieces in the order in which they go out. Whoever fills it bounds it."""

    __slots__ = ("_pieces", "size")

    def __init__(self) -> None:
        self._pieces: deque[Buffer] = deque()
        self.size = 0

    def __repr__(self) -> str:
        return f"<SendQueue {self.size} bytes in {len(self._pieces)}>"

    def add(self, pieces: Sequence[Buffer]) -> None:
        """Put pieces at the end."""
        self._pieces.extend(pieces)
        self.size += sum(map(len, pieces))

    def take(self, size: int) -> list[Buffer]:
        """The next `size` bytes, or all there are; large pieces are cut without copying."""
        taken: list[Buffer] = []
        pieces = self._pieces
        missing = size = min(size, self.size)
        while missing:
            piece = pieces.popleft()
            if len(piece) > missing:
                view = memoryview(piece)
                pieces.appendleft(view[missing:])
                piece = view[:missing]
            taken.append(piece)
            missing -= len(piece)
        self.size -= size
        return taken

    def clear(self) -> None:
        """Forget everything."""
        self._pieces.clear()
        self.size = 0

"""gRPC's messages in the body of a request or an answer: five bytes of prefix, then the message.

The prefix is a flag, 1 for a compressed message, and the message's length, big-endian (gRPC over HTTP/2,
"Length-Prefixed-Message").
"""

from __future__ import annotations

PREFIX_SIZE = 5

# The longest message that is kept while it comes. Token counts come in messages of a few hundred bytes, with
# an embedding of up to some tens of thousands.
MAX_MESSAGE_BYTES = 1 << 20


def first_message(body: bytes, *, complete: bool = True) -> memoryview:
    """The message of a call that has one. Raises ValueError if it is compressed, or not as long as it says.

    Not `complete`: what has come of it.
    """
    if len(body) < PREFIX_SIZE:
        raise ValueError("no message")
    if body[0]:
        raise ValueError("the message is compressed")
    message = memoryview(body)[PREFIX_SIZE:]
    if complete and len(message) != int.from_bytes(body[1:PREFIX_SIZE]):
        raise ValueError("the message is not as long as it says")
    return message


class FrameReader:
    """Cuts what comes in pieces into messages. Those that are compressed or too long are left out."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._skip = 0  # bytes to come that belong to no message

    def __repr__(self) -> str:
        return f"<FrameReader held={len(self._held)} skip={self._skip}>"

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole now."""
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        self._held += memoryview(data)[skipped:]
        messages = []
        while len(self._held) >= PREFIX_SIZE:
            compressed, size = self._held[0], int.from_bytes(self._held[1:PREFIX_SIZE])
            end = PREFIX_SIZE + size
            if compressed or size > MAX_MESSAGE_BYTES:
                self._skip = max(0, end - len(self._held))
            elif len(self._held) < end:
                break
            else:
                messages.append(bytes(self._held[PREFIX_SIZE:end]))
            del self._held[:end]
        return messages

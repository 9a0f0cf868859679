"""What a gRPC method of the picker is, whatever transport carries it: bytes in, bytes out.

A transport is given a mapping of paths to methods. It opens a `Call` for each stream, runs the method on it
and ends the stream with OK, or with the status that `Faults` finds for what the method raised. All methods
read and write streams; a unary one reads one message and writes one, which is the same on the wire.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from epp.errors import GrpcStatus, ProtocolError
from epp.logs import FaultLog

log = logging.getLogger(__name__)

# What a message holds beside a body, at most: header block and metadata. Envoy lets headers grow to 8 MiB
# (max_request_headers_kb).
MESSAGE_SLACK = 8 << 20


class Call(Protocol):
    """One stream as a method sees it. The method is cancelled when the client gives the call up."""

    def read(self) -> Awaitable[bytes | None]:
        """The client's next message; None when it has said that no more will come."""

    def write(self, messages: Sequence[bytes]) -> Awaitable[None]:
        """Send messages in this order; returns when the transport has taken them."""


# A coroutine function. A transport may run it outside any task for as long as it waits for nothing but its
# call; what needs a task from the start, as asyncio.timeout does, comes after an `await asyncio.sleep(0)`.
Method = Callable[[Call], Coroutine[Any, Any, None]]


class Faults:
    """Finds the gRPC status for what a method raised, and logs faults of ours."""

    def __init__(self) -> None:
        self._log = FaultLog(log)

    def status(self, error: Exception) -> tuple[GrpcStatus, str]:
        """The status and message that the client gets; it learns nothing of what broke inside."""
        if isinstance(error, ProtocolError):
            return error.status, str(error)
        self._log.report("a stream", error)
        return GrpcStatus.INTERNAL, "internal error of the endpoint picker"

"""A gateway that opens streams, says so, and waits: `python -m tests.e2e.vanishing PORT COUNT`."""

from __future__ import annotations

import asyncio
import sys

from tests.e2e.soak import request
from tests.e2e.streams import gateway

# Bytes of each prompt: its echo fills the windows of the connection and of the socket.
SIZE = 220_000


async def main(port: int, count: int) -> None:
    """Asks, and never tells how it ended."""
    async with gateway(port, tls=False) as connected:
        for _ in range(count):
            await connected.open().write(*request(SIZE))
        print("asked", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))

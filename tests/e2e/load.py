"""A steady load on the gateway, and what became of each of its requests."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx

from tests.e2e.asks import CHAT, ask, chat
from tests.e2e.process import eventually

# Requests under way at a time: enough to be in every part when one is harmed, and few enough for two cores.
WIDTH = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request: the phases of the test in which it began and ended, and its status or error."""

    began: int
    ended: int
    status: int
    error: str = ""

    @property
    def lost(self) -> bool:
        """Whether its client has nothing of it."""
        return self.status != 200


class Load:
    """Inside `async with`, sends one request after the other, `WIDTH` at a time, every second one streamed.

    `next_phase` divides the time: what a test does to the stack falls between two phases.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.outcomes: list[Outcome] = []
        self._client = client
        self._phase = 0
        self._under_way: Counter[int] = Counter()  # by the phase in which they began
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        kinds = Counter((each.began, each.ended, each.status, each.error) for each in self.lost())
        return f"<Load of {len(self.outcomes)} requests; lost (began, ended, status, error): {dict(kinds)}>"

    async def __aenter__(self) -> Self:
        self._tasks = [
            asyncio.create_task(self._send(number), name=f"load {number}") for number in range(WIDTH)
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def next_phase(self) -> int:
        """Begins another phase; its number."""
        self._phase += 1
        return self._phase

    async def more(self, count: int) -> None:
        """Waits until so many requests have begun and ended in this phase."""
        phase = self._phase
        await eventually(
            lambda: sum(each.began == phase for each in self.outcomes) >= count, f"{count} more requests"
        )

    async def none_of(self, phase: int) -> None:
        """Waits until no request that began in `phase` is under way.

        A client may hear of a broken connection long after it broke.
        """
        await eventually(lambda: not self._under_way[phase], f"the end of all requests of phase {phase}")

    def lost(self, phase: int | None = None) -> list[Outcome]:
        """Requests without a whole answer; of those that began in `phase` if it is given."""
        return [each for each in self.outcomes if each.lost and phase in (None, each.began)]

    async def _send(self, number: int) -> None:
        while True:
            began = self._phase
            number += 1
            self._under_way[began] += 1
            status, error = await self._ask(f"question {number}", stream=bool(number % 2))
            self._under_way[began] -= 1
            self.outcomes.append(Outcome(began, self._phase, status, error))
            if error or status != 200:
                await asyncio.sleep(0.01)  # what is away answers at once, and would drown the rest

    async def _ask(self, text: str, *, stream: bool) -> tuple[int, str]:
        try:
            response = await ask(self._client, CHAT, chat(text, max_tokens=20, stream=stream))
        except httpx.TransportError as error:
            return 0, repr(error)
        return response.status_code, "" if response.status_code == 200 else response.text

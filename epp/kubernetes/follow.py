"""Follows one collection of the API for as long as it is asked to: does what epp.kubernetes.watch decides."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any

from epp.kubernetes.client import ApiError, Client
from epp.kubernetes.collection import Collection, Expired
from epp.kubernetes.watch import STALLED_AFTER, ListAll, Step, Stream, Watch

_log = logging.getLogger(__name__)

# Events after which the event loop gets its turn, if the API sends them without a pause: at 30 us each, 2 ms.
_EVENTS_A_TURN = 64


class Follower:
    """Keeps `collection` as the API has it. `on_news` is called after whatever was heard or tried.

    `optional`: nobody minds if the kind is not there or may not be read. `stalled_after`: seconds of silence.
    """

    def __init__(
        self,
        client: Client,
        path: str,
        collection: Collection[Any],
        on_news: Callable[[], object],
        *,
        params: Mapping[str, str] | None = None,
        optional: bool = False,
        stalled_after: float = STALLED_AFTER,
        rng: random.Random | None = None,
    ) -> None:
        self.tried = False  # whether the API was asked at least once
        self._client = client
        self._path = path
        self._collection = collection
        self._on_news = on_news
        self._params = dict(params or {})
        self._optional = optional
        self._stalled_after = stalled_after
        self._watch = Watch((rng or random.Random()).uniform)
        self._trouble = ""  # what was logged last

    async def run(self) -> None:
        """Until it is cancelled."""
        step = self._watch.begin()
        while True:
            if step.after:
                await asyncio.sleep(step.after)
            step = await self._do(step)
            self.tried = True
            self._on_news()

    async def _do(self, step: Step) -> Step:
        try:
            return await self._list() if isinstance(step, ListAll) else await self._stream(step)
        except (ApiError, Expired) as error:
            following = self._watch.failed(error.status)
            if self._watch.absent:
                self._collection.absent()
            self._report(error, following.after)
            return following

    async def _list(self) -> Step:
        listing = await self._client.list(self._path, self._params)
        self._collection.listed(listing.objects)
        self._recovered()
        return self._watch.listed(listing.resource_version)

    async def _stream(self, step: Stream) -> Step:
        params = {
            **self._params,
            "resourceVersion": step.version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(step.life),
        }
        clock = asyncio.get_running_loop().time
        began, events = clock(), 0
        lines = self._client.watch(self._path, params, stalled_after=self._stalled_after)
        async with aclosing(lines):
            async for line in lines:
                before = self._collection.changes
                self._watch.told(self._collection.event(line))
                self._recovered()
                if self._collection.changes != before:
                    self._on_news()
                events += 1
                if events % _EVENTS_A_TURN == 0:
                    await asyncio.sleep(0)
        return self._watch.ended(clock() - began)

    def _report(self, error: ApiError | Expired, pause: float) -> None:
        if error.status == 410 or str(error) == self._trouble:
            return
        self._trouble = str(error)
        quiet = self._optional and error.status in (403, 404)
        _log.log(
            logging.INFO if quiet else logging.WARNING,
            "%s cannot be watched, tried again in %.1f s; what is known stays: %s",
            self._collection.kind,
            pause,
            error,
        )

    def _recovered(self) -> None:
        if self._trouble:
            self._trouble = ""
            _log.info("%s are watched again", self._collection.kind)

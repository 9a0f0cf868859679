import asyncio

import aiohttp
import pytest
from aiohttp import web

from epp.sim.listener import Listener


class Station:
    """A listener with two pages: one that answers, and one that never does."""

    def __init__(self) -> None:
        self.listener = Listener("127.0.0.1", 0)
        self.arrived = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.app = web.Application()
        self.app.add_routes([web.get("/", self._answer), web.get("/never", self._never)])

    async def _answer(self, request: web.Request) -> web.Response:
        return web.Response(text="here")

    async def _never(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        self.listener.busy.add(request.transport)
        self.arrived.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        raise AssertionError("nobody sets that event")

    async def ask(self, path: str = "/") -> str:
        address = f"http://{self.listener.address}{path}"
        async with aiohttp.ClientSession() as client, client.get(address) as response:
            return await response.text()


async def test_a_free_port_is_kept_over_a_cut() -> None:
    station = Station()
    await station.listener.start(station.app)
    port = station.listener.port
    assert port
    assert await station.ask() == "here"

    station.listener.cut()
    assert not station.listener.is_open
    with pytest.raises(aiohttp.ClientConnectorError):
        await station.ask()

    await station.listener.open()
    assert (station.listener.port, station.listener.is_open) == (port, True)
    assert await station.ask() == "here"
    await station.listener.close()


async def test_a_cut_ends_what_is_in_work() -> None:
    station = Station()
    await station.listener.start(station.app)
    request = asyncio.create_task(station.ask("/never"), name="client")
    await station.arrived.wait()
    station.listener.cut()
    with pytest.raises(aiohttp.ClientError):
        await request
    await station.cancelled.wait()
    await station.listener.close()


async def test_a_client_that_leaves_cancels_its_handler() -> None:
    station = Station()
    await station.listener.start(station.app)
    request = asyncio.create_task(station.ask("/never"), name="client")
    await station.arrived.wait()
    request.cancel()
    await station.cancelled.wait()
    await station.listener.close()


async def test_closing_what_never_opened_is_nothing() -> None:
    listener = Listener("::1", 7)
    assert listener.address == "[::1]:7"
    await listener.close()

"""The poller on a loop whose clock jumps from timer to timer, then against real servers."""

from __future__ import annotations

import asyncio
import gzip
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest
import uvloop
from aiohttp import web

from epp.scrape.engines import ENGINES, override
from epp.scrape.http_client import ScrapeError, ScrapeFailure, connector
from epp.scrape.poller import Poller, ScrapeSettings
from epp.types import EndpointSpec, LoadSample

IDLE_PAGE = b"vllm:num_requests_waiting 0\nvllm:num_requests_running 0\nvllm:kv_cache_usage_perc 0\n"
BUSY_PAGE = b"vllm:num_requests_waiting 5\nvllm:num_requests_running 4\nvllm:kv_cache_usage_perc 0.5\n"
MODELS = b'{"data": [{"id": "tiny"}, {"id": "food-review", "parent": "tiny"}]}'


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """A loop that never waits: with nothing left to do it is at once as late as the next timer."""

    _now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        timers = [timer.when() for timer in self._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        if timers and not self._ready:  # type: ignore[attr-defined]
            self._now = max(self._now, min(timers))
        super()._run_once()  # type: ignore[misc]


def play(scenario: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        runner.run(scenario)


class Pool:
    """Servers that exist in this process, by "host:port", and what was asked of them when."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes | Exception | None] = {}  # None hangs
        self.models: bytes | Exception = MODELS
        self.asked: list[tuple[float, str, str]] = []
        self.open: Counter[str] = Counter()

    def connect(self, host: str, port: int) -> Connection:
        return Connection(self, f"{host}:{port}")

    def polls(self, address: str, path: str = "/metrics") -> list[float]:
        return [round(at, 6) for at, who, what in self.asked if (who, what) == (address, path)]


class Connection:
    def __init__(self, pool: Pool, address: str) -> None:
        self.pool = pool
        self.address = address
        self.is_open = False

    async def get(self, path: str, timeout: float) -> bytes:
        if not self.is_open:
            self.pool.open[self.address] += 1
            self.is_open = True
        self.pool.asked.append((asyncio.get_running_loop().time(), self.address, path))
        answer = self.pool.models if path == "/v1/models" else self.pool.pages.get(self.address, IDLE_PAGE)
        await asyncio.sleep(0.002 if answer is not None else timeout)
        if answer is None:
            raise ScrapeError(ScrapeFailure.TIMEOUT, "no answer")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        if self.is_open:
            self.pool.open[self.address] -= 1
            self.is_open = False


class Recorder:
    """An observer that writes down what it is told."""

    def __init__(self) -> None:
        self.loads: dict[str, LoadSample] = {}
        self.intervals: list[float] = []
        self.pages: Counter[str] = Counter()
        self.failures: list[tuple[str, str]] = []
        self.models: list[tuple[float, str, frozenset[str], frozenset[str]]] = []
        self.took: list[float] = []
        self.fault: Exception | None = None
        self.told = asyncio.Event()

    def scraped(self, name: str, sample: LoadSample, expected_interval: float, now: float) -> None:
        if self.fault:
            raise self.fault
        self.loads[name] = sample
        self.pages[name] += 1
        self.intervals.append(round(expected_interval, 3))
        self.told.set()

    def scrape_failed(self, name: str, kind: str, now: float) -> None:
        self.failures.append((name, kind))
        self.told.set()
        if self.fault:
            raise self.fault

    def scrape_took(self, name: str, seconds: float) -> None:
        self.took.append(seconds)

    def models_listed(self, name: str, base: frozenset[str], adapters: frozenset[str], now: float) -> None:
        if self.fault:
            raise self.fault
        self.models.append((round(now), name, base, adapters))
        self.told.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.told.clear()
            await self.told.wait()


class Polling:
    """A running poller, its observer and its servers, as an asynchronous context."""

    def __init__(self, *names: str, settings: ScrapeSettings | None = None, **options: Any) -> None:
        self.pool = Pool()
        self.seen = Recorder()
        rng = random.Random(1)
        self.poller = Poller(settings or ScrapeSettings(), self.seen, self.pool.connect, rng=rng, **options)
        self.poller.set_endpoints(endpoint(name) for name in names)

    async def __aenter__(self) -> Polling:
        self.running = asyncio.create_task(self.poller.run(), name="poller")
        return self

    async def __aexit__(self, *error: object) -> None:
        assert not self.running.done()
        self.running.cancel()
        await asyncio.wait([self.running])
        assert self.running.cancelled()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert self.pool.open.total() == 0

    async def until(self, time: float, *, requests: bool = False, answers: str = "") -> None:
        """Lets time pass; with a request, or answers of some endpoints, every 10 ms."""
        loop = asyncio.get_running_loop()
        while loop.time() < time:
            if requests:
                self.poller.requested(loop.time())
            for name in answers.split():
                self.poller.answered(name, loop.time())
            await asyncio.sleep(min(0.01, time - loop.time()) if requests else time - loop.time())


def endpoint(name: str, port: int = 8000, **fields: Any) -> EndpointSpec:
    return EndpointSpec(name, name, port, **fields)


# When -----------------------------------------------------------------------------------------------------


def test_a_busy_pools_endpoints_are_polled_every_interval_each_at_its_moment() -> None:
    names = [f"e{number}" for number in range(20)]

    async def scenario() -> None:
        async with Polling(*names) as polling:
            await polling.until(2.0, requests=True)
            for name in names:
                polls = polling.pool.polls(f"{name}:8000")
                gaps = [round(later - earlier, 3) for earlier, later in pairwise(polls)]
                assert set(gaps) == {0.05}
                assert len(polls) in (39, 40)
            together = Counter(at for at, _, path in polling.pool.asked if path == "/metrics")
            assert max(together.values()) <= 4

    play(scenario())


def test_an_idle_pool_is_polled_slowly_and_the_first_request_wakes_it() -> None:
    async def scenario() -> None:
        async with Polling("a") as polling:
            await polling.until(10.5)
            assert len(polling.pool.polls("a:8000")) == 11
            assert set(polling.seen.intervals) == {0.998}
            polling.poller.requested(10.5)
            await polling.until(10.551)
            assert len(polling.pool.polls("a:8000")) == 12
            assert polling.seen.intervals[-1] == 0.048
            await polling.until(11.551)
            assert len(polling.pool.polls("a:8000")) == 32

    play(scenario())


def test_an_endpoint_that_answers_with_its_load_is_polled_less() -> None:
    async def scenario() -> None:
        async with Polling("a", "b") as polling:
            await polling.until(10.0, requests=True, answers="a")
            assert 20 <= len(polling.pool.polls("a:8000")) <= 22
            assert len(polling.pool.polls("b:8000")) == 200
            await polling.until(11.0, requests=True)
            assert 38 <= len(polling.pool.polls("a:8000")) <= 42

    play(scenario())


def test_what_an_answer_told_is_expected_anew_by_the_next_poll() -> None:
    async def scenario() -> None:
        async with Polling("a") as polling:
            await polling.until(1.0, requests=True)
            before = polling.seen.pages["a"]
            expected = polling.poller.answered("a", 1.0)
            assert 0.05 <= expected <= 0.1
            await polling.until(1.0 + expected + 0.003)
            assert polling.seen.pages["a"] == before + 1
            assert polling.poller.answered("unknown", 1.0) == 0.0

    play(scenario())


def test_an_endpoint_that_fails_is_left_alone_for_longer_and_longer() -> None:
    async def scenario() -> None:
        async with Polling("a") as polling:
            polling.pool.pages["a:8000"] = ScrapeError(ScrapeFailure.CONNECT, "refused")
            await polling.until(60.0, requests=True)
            polls = polling.pool.polls("a:8000")
            assert 60 <= len(polls) <= 130
            assert polls[5] < 2.0
            assert set(polling.seen.failures) == {("a", "connect")}
            polling.pool.pages["a:8000"] = BUSY_PAGE
            await polling.until(61.1, requests=True)
            assert polling.seen.loads["a"] == LoadSample(waiting=5, running=4, kv_usage=0.5)
            before = polling.seen.pages["a"]
            await polling.until(62.1, requests=True)
            assert polling.seen.pages["a"] == before + 20

    play(scenario())


# What -----------------------------------------------------------------------------------------------------


def test_an_endpoint_is_read_by_its_engine_an_unknown_one_as_vllm() -> None:
    async def scenario() -> None:
        vllm = override(ENGINES["vllm"], queue="custom_queue", running="", kv="")
        async with Polling(engines={"vllm": vllm, "sglang": ENGINES["sglang"]}) as polling:
            both = b"custom_queue 7\nsglang:num_queue_reqs 3\n"
            polling.pool.pages = {"a:8000": both, "b:8000": both, "c:8000": both}
            polling.poller.set_endpoints(
                [endpoint("a"), endpoint("b", engine="sglang"), endpoint("c", engine="own")]
            )
            await polling.until(0.1)
            assert {name: load.waiting for name, load in polling.seen.loads.items()} == {
                "a": 7,
                "b": 3,
                "c": 7,
            }

    play(scenario())


@pytest.mark.parametrize(
    "page", [b"", b"\x00\xff" * 50, b"<html>hello</html>\n", b'vllm:cache_config_info{block_size="16"} 1\n']
)
def test_a_page_that_tells_no_load_is_a_failure(page: bytes) -> None:
    async def scenario() -> None:
        async with Polling("a") as polling:
            polling.pool.pages["a:8000"] = page
            await polling.until(0.1)
            assert polling.seen.loads == {}
            assert set(polling.seen.failures) == {("a", "no_metrics")}
            assert polling.poller.settled()

    play(scenario())


def test_metrics_may_have_a_path_and_a_port_of_their_own_models_have_not() -> None:
    async def scenario() -> None:
        async with Polling("a", settings=ScrapeSettings(path="/stats", port=9400)) as polling:
            await polling.until(0.1)
            assert {(who, what) for _, who, what in polling.pool.asked} == {
                ("a:9400", "/stats"),
                ("a:8000", "/v1/models"),
            }

    play(scenario())


def test_how_long_pages_took_is_told_for_each_that_came() -> None:
    async def scenario() -> None:
        async with Polling("a", "b") as polling:
            polling.pool.pages["b:8000"] = ScrapeError(ScrapeFailure.CLOSED, "closed")
            await polling.until(3.0)
            assert len(polling.seen.took) == polling.seen.pages["a"]
            assert all(took >= 0 for took in polling.seen.took)

    play(scenario())


# Who ------------------------------------------------------------------------------------------------------


def test_endpoints_come_and_go() -> None:
    async def scenario() -> None:
        async with Polling("a", "b") as polling:
            await polling.until(1.5)
            assert polling.pool.open == {"a:8000": 1, "b:8000": 1}
            polling.poller.set_endpoints([endpoint("b"), endpoint("c")])
            await polling.until(1.6)
            assert +polling.pool.open == {"b:8000": 1, "c:8000": 1}
            assert polling.poller.answered("a", 1.6) == 0.0
            await polling.until(3.5)
            assert polling.pool.polls("a:8000")[-1] < 1.5
            assert polling.pool.polls("c:8000")[0] < 1.56
            assert len(polling.pool.polls("b:8000")) == 4

    play(scenario())


def test_an_endpoint_that_moved_is_polled_where_it_is_one_with_other_labels_goes_on() -> None:
    async def scenario() -> None:
        async with Polling("a", "b") as polling:
            await polling.until(1.5)
            polling.poller.set_endpoints(
                [endpoint("a", port=8001), endpoint("b", labels={"zone": "1"}, ready=False)]
            )
            await polling.until(1.6)
            assert +polling.pool.open == {"a:8001": 1, "b:8000": 1}
            assert polling.pool.polls("a:8000")[-1] < 1.5 < polling.pool.polls("a:8001")[0]
            assert len(polling.pool.polls("b:8000")) == 2

    play(scenario())


def test_an_endpoint_that_goes_while_it_is_asked_is_heard_no_more() -> None:
    async def scenario() -> None:
        async with Polling("a") as polling:
            await polling.until(0.031)  # the first endpoint's first moment is at 0.03
            assert len(polling.pool.asked) == 1
            polling.poller.set_endpoints([])
            await polling.until(3.0)
            assert polling.seen.loads == {}
            assert polling.seen.failures == []
            assert len(polling.pool.asked) == 1

    play(scenario())


def test_settled_is_when_each_endpoint_was_scraped_or_failed_once() -> None:
    async def scenario() -> None:
        async with Polling() as polling:
            assert polling.poller.settled()
            polling.pool.pages = {"b:8000": ScrapeError(ScrapeFailure.CONNECT, "refused"), "c:8000": None}
            polling.poller.set_endpoints([endpoint("a"), endpoint("b"), endpoint("c")])
            assert not polling.poller.settled()
            await polling.until(0.5)
            assert not polling.poller.settled()  # c hangs
            assert repr(polling.poller) == "<Poller endpoints=3 settled=2 failing=1>"
            await polling.until(1.1)
            assert polling.poller.settled()
            assert repr(polling.poller) == "<Poller endpoints=3 settled=3 failing=2>"
            assert ("c", "timeout") in polling.seen.failures

    play(scenario())


def test_endpoints_may_be_known_before_it_runs() -> None:
    async def scenario() -> None:
        polling = Polling("a")
        polling.poller.set_endpoints([endpoint("b")])
        assert polling.poller.answered("b", 0.0) == 0.0
        assert not polling.poller.settled()
        async with polling:
            names = {task.get_name() for task in asyncio.all_tasks()}
            await polling.until(0.1)
            names |= {task.get_name() for task in asyncio.all_tasks()}
            assert {"scrape b", "models b"} <= names
            assert set(polling.seen.loads) == {"b"}

    play(scenario())


# Models ---------------------------------------------------------------------------------------------------


def test_models_are_listed_after_the_first_page_and_then_every_half_minute() -> None:
    async def scenario() -> None:
        async with Polling("a") as polling:
            await polling.until(95.0)
            base, adapters = frozenset({"tiny"}), frozenset({"food-review"})
            assert polling.seen.models == [(at, "a", base, adapters) for at in (0, 30, 60, 90)]

    play(scenario())


def test_an_endpoint_without_metrics_is_not_asked_for_models() -> None:
    async def scenario() -> None:
        async with Polling("a") as polling:
            polling.pool.pages["a:8000"] = ScrapeError(ScrapeFailure.STATUS, "404")
            await polling.until(50.0)
            assert polling.pool.polls("a:8000", "/v1/models") == []

    play(scenario())


def test_models_are_listed_soon_when_asked_for_but_not_more_than_once_a_second() -> None:
    async def scenario() -> None:
        async with Polling("a") as polling:
            await polling.until(10.0)
            polling.poller.refresh_models("a")
            polling.poller.refresh_models("gone")
            await polling.until(10.1)
            assert len(polling.seen.models) == 2
            for tick in range(100):
                polling.poller.refresh_models("a")
                await polling.until(10.1 + tick / 20)
            assert 6 <= len(polling.seen.models) <= 8
            await polling.until(20.0)
            assert len(polling.seen.models) <= 8

    play(scenario())


@pytest.mark.parametrize(
    "answer", [ScrapeError(ScrapeFailure.STATUS, "404"), b"<html>", RuntimeError("ours")]
)
def test_a_model_list_that_fails_is_harmless(answer: bytes | Exception) -> None:
    async def scenario() -> None:
        async with Polling("a") as polling:
            polling.pool.models = answer
            await polling.until(20.0)
            assert polling.seen.models == []
            assert polling.seen.failures == []
            assert polling.seen.pages["a"] == 20
            polling.pool.models = MODELS
            await polling.until(40.0)
            assert len(polling.seen.models) == 1

    play(scenario())


# Faults of ours, and the log ------------------------------------------------------------------------------


def test_a_fault_of_the_observer_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with Polling("a", "b") as polling:
            polling.seen.fault = RuntimeError("observer broke")
            await polling.until(5.0)
            assert {kind for _, kind in polling.seen.failures} == {"internal"}
            polling.seen.fault = None
            await polling.until(7.0)
            assert set(polling.seen.loads) == {"a", "b"}

    with caplog.at_level(logging.INFO, "epp.scrape"):
        play(scenario())
    internal = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(internal) == 2  # once for each endpoint
    assert all("observer broke" in record.getMessage() and record.exc_info for record in internal)


def test_the_log_tells_when_an_endpoint_begins_and_ceases_to_fail(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with Polling("a") as polling:
            for time, page in (
                (3.0, IDLE_PAGE),
                (6.0, ScrapeError(ScrapeFailure.CONNECT, "refused")),
                (9.0, ScrapeError(ScrapeFailure.STATUS, "HTTP status 503")),
                (12.0, IDLE_PAGE),
            ):
                polling.pool.pages["a:8000"] = page
                await polling.until(time)

    with caplog.at_level(logging.INFO, "epp.scrape"):
        play(scenario())
    assert [record.getMessage() for record in caplog.records] == [
        "endpoint a cannot be scraped: refused",
        "endpoint a cannot be scraped: HTTP status 503",
        "endpoint a is scraped again",
    ]


# Real servers ---------------------------------------------------------------------------------------------

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def healthy(request: web.Request) -> web.Response:
    return web.Response(body=MODELS if request.path == "/v1/models" else BUSY_PAGE)


async def redirects(request: web.Request) -> web.Response:
    raise web.HTTPFound("/elsewhere")


async def hangs(request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def breaks_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "10000"})
    await response.prepare(request)
    await response.write(BUSY_PAGE)
    assert request.transport
    request.transport.close()
    return response


BOMB = gzip.compress(BUSY_PAGE + bytes(30_000_000))


async def bomb(request: web.Request) -> web.Response:
    return web.Response(body=BOMB, headers={"Content-Encoding": "gzip"})


async def wrong_types(request: web.Request) -> web.Response:
    return web.json_response({"vllm:num_requests_waiting": "NaN"})


async def not_a_number(request: web.Request) -> web.Response:
    return web.Response(
        body=BUSY_PAGE.replace(b" 5", b" NaN").replace(b" 4", b" -4").replace(b" 0.5", b" half")
    )


SICK: dict[str, tuple[Handler, str]] = {
    "redirects": (redirects, "status"),
    "hangs": (hangs, "timeout"),
    "breaks off": (breaks_off, "closed"),
    "bomb": (bomb, "too_large"),
    "wrong types": (wrong_types, "no_metrics"),
    "not a number": (not_a_number, "no_metrics"),
}


async def among_sick_servers() -> None:
    runners: list[web.AppRunner] = []
    peers: set[object] = set()
    pages = 0

    async def counted(request: web.Request) -> web.Response:
        nonlocal pages
        if request.path == "/metrics":
            pages += 1
            peers.add(request.transport and request.transport.get_extra_info("peername"))
        return await healthy(request)

    async def serve(name: str, handler: Handler) -> EndpointSpec:
        app = web.Application()
        app.router.add_get("/{path:.*}", handler)
        runners.append(web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "127.0.0.1", 0).start()
        return EndpointSpec(name, "127.0.0.1", runners[-1].addresses[0][1])

    specs = [await serve(name, handler) for name, (handler, _) in SICK.items()]
    specs.append(await serve("healthy", counted))
    seen = Recorder()
    poller = Poller(ScrapeSettings(timeout=0.2), seen, connector("http", True))
    poller.set_endpoints(specs)
    poller.requested(asyncio.get_running_loop().time())
    running = asyncio.create_task(poller.run())
    expected = {(name, kind) for name, (_, kind) in SICK.items()}
    await seen.until(
        lambda: expected <= set(seen.failures) and seen.pages["healthy"] >= 5 and bool(seen.models)
    )
    assert seen.loads == {"healthy": LoadSample(waiting=5, running=4, kv_usage=0.5)}
    assert poller.settled()
    late = sum(1 for name, _ in seen.failures if name == "healthy")  # on a machine that is too busy
    assert len(peers) <= 1 + late
    assert pages >= seen.pages["healthy"]
    running.cancel()
    await asyncio.wait([running])
    for runner in runners:
        await runner.cleanup()


async def test_a_healthy_server_is_polled_on_among_sick_ones() -> None:
    await among_sick_servers()


def test_a_healthy_server_is_polled_on_among_sick_ones_on_uvloop() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(among_sick_servers())

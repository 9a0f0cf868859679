from __future__ import annotations

import asyncio

import pytest

from epp.scrape.engines import ENGINES
from epp.scrape.target import Alarm, Moments, Target
from epp.types import EndpointSpec


async def test_an_alarm_wakes_when_it_is_rung() -> None:
    alarm = Alarm(Moments())
    alarm.ring()  # nobody sleeps: nothing happens
    loop = asyncio.get_running_loop()
    sleeper = asyncio.create_task(alarm.sleep_until(loop.time() + 3600))
    await asyncio.sleep(0)
    assert not sleeper.done()
    alarm.ring()
    alarm.ring()
    await sleeper


async def test_an_alarm_wakes_at_its_time() -> None:
    loop = asyncio.get_running_loop()
    when = loop.time() + 0.01
    await Alarm(Moments()).sleep_until(when)
    assert loop.time() >= when - 0.001


async def test_sleepers_of_one_moment_share_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    call_at, timers = loop.call_at, []
    monkeypatch.setattr(loop, "call_at", lambda when, *call: timers.append(when) or call_at(when, *call))
    moments = Moments()
    soon, later = loop.time() + 0.01, loop.time() + 0.02
    first, second, third = (moments.sleeper(when) for when in (soon, later, soon))
    await first
    assert third.done()
    assert not second.done()
    await second
    assert timers == [soon, later]


async def test_one_that_is_gone_does_not_wake_the_others_less() -> None:
    moments = Moments()
    when = asyncio.get_running_loop().time() + 0.01
    gone, stays = moments.sleeper(when), moments.sleeper(when)
    gone.cancel()
    await stays


@pytest.mark.parametrize(
    ("changed", "moved"),
    [
        (EndpointSpec("a", "10.0.0.1", 8000, labels={"zone": "1"}, ready=False), False),
        (EndpointSpec("a", "10.0.0.2", 8000), True),
        (EndpointSpec("a", "10.0.0.1", 8001), True),
        (EndpointSpec("a", "10.0.0.1", 8000, engine="sglang"), True),
    ],
)
def test_an_endpoint_has_moved_if_it_is_to_be_asked_otherwise(changed: EndpointSpec, moved: bool) -> None:
    target = Target(EndpointSpec("a", "10.0.0.1", 8000), ENGINES["vllm"], Moments())
    assert target.moved(changed) is moved

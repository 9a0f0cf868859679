from __future__ import annotations

import asyncio

import pytest

from epp.scrape.engines import ENGINES
from epp.scrape.target import Alarm, Target
from epp.types import EndpointSpec


async def test_an_alarm_wakes_when_it_is_rung() -> None:
    alarm = Alarm()
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
    await Alarm().sleep_until(when)
    assert loop.time() >= when - 0.001


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
    target = Target(EndpointSpec("a", "10.0.0.1", 8000), ENGINES["vllm"])
    assert target.moved(changed) is moved

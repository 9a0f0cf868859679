import asyncio

import pytest

from epp.sim.answers import CompletionAnswer
from epp.sim.bodies import Ask
from epp.sim.engine import EngineConfig
from epp.sim.instance import Instance
from epp.sim.metrics_page import Gauges
from epp.sim.refusals import AdapterLoadedError, TooLongError, UnknownAdapterError, UnknownModelError
from epp.sim.reply import Reply

# Simulated seconds per real one: steps of 8 ms take 80 us.
FAST = 100.0


def new_instance(config: EngineConfig | None = None) -> Instance:
    return Instance(config or EngineConfig(lora_load_seconds=0), "base", ("food-review",), FAST)


async def served(instance: Instance, ask: Ask) -> Reply:
    reply = Reply(ask, CompletionAnswer("1", ask.model, 99), write=None)
    await instance.serve(ask, reply)
    return reply


def page(instance: Instance) -> str:
    return instance.metrics(process="").decode()


async def test_the_same_prompt_is_cached_the_second_time_but_not_for_another_adapter() -> None:
    instance = new_instance()
    prompt = b"four" * 100
    first = await served(instance, Ask("base", (prompt,), 2))
    second = await served(instance, Ask("", (prompt,), 2))
    adapted = await served(instance, Ask("food-review", (prompt,), 2))
    assert [reply.usage.cached for reply in (first, second, adapted)] == [0, 96, 0]
    assert first.texts == second.texts


async def test_an_answer_is_cached_for_the_next_turn() -> None:
    instance = new_instance()
    first = await served(instance, Ask("base", (b"four" * 20,), 20))
    following = await served(instance, Ask("base", (b"four" * 20 + first.texts[0].encode() + b"more",), 1))
    assert following.usage.cached == 32  # two full blocks of prompt and answer


async def test_adapters_show_once_they_have_output() -> None:
    instance = new_instance()
    assert "running_lora_adapters=" not in page(instance)
    await served(instance, Ask("food-review", (b"four",), 3))
    assert 'running_lora_adapters="food-review"' in page(instance)
    assert 'running_lora_adapters=""' in page(instance)


async def test_whoever_stops_waiting_leaves_nothing_behind() -> None:
    instance = new_instance(EngineConfig(max_num_seqs=2))
    waiting = asyncio.create_task(served(instance, Ask("base", (b"four",), 100_000, n=3)), name="client")
    await asyncio.sleep(0)
    assert instance.gauges == Gauges(running=0, waiting=3, deferred=0, kv_usage=0.0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert (instance.engine.running, instance.engine.waiting, instance.engine.blocks_in_use) == (0, 0, 0)
    assert instance.engine.counters.cancelled == 3


async def test_pinned_gauges_hide_the_engine() -> None:
    instance = new_instance()
    instance.pinned = {"waiting": 9, "kv_usage": 0.75}
    assert instance.gauges == Gauges(running=0, waiting=9, deferred=0, kv_usage=0.75)


async def test_adapters_come_and_go() -> None:
    instance = new_instance()
    instance.load_adapter("sql", "/somewhere/sql")
    with pytest.raises(AdapterLoadedError):
        instance.load_adapter("sql", "/elsewhere/sql")
    assert [(card["id"], card["root"], card["parent"]) for card in instance.model_cards()] == [
        ("base", "base", None),
        ("food-review", "/adapters/food-review", "base"),
        ("sql", "/somewhere/sql", "base"),
    ]
    instance.unload_adapter("sql")
    with pytest.raises(UnknownAdapterError):
        instance.unload_adapter("sql")
    with pytest.raises(UnknownModelError):
        instance.check(Ask("sql", (b"four",), 1))


async def test_unknown_models_and_too_long_requests_are_refused() -> None:
    instance = new_instance(EngineConfig(num_blocks=10, block_size=16))
    assert instance.max_model_len == 160
    instance.check(Ask("", (b"four" * 100,), 60))
    with pytest.raises(UnknownModelError, match="`nobody` does not exist"):
        instance.check(Ask("nobody", (b"four",), 1))
    with pytest.raises(TooLongError, match=r"160 tokens, .* 161 tokens"):
        instance.check(Ask("base", (b"four", b"four" * 100), 61))

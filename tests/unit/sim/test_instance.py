import pytest

from epp.sim.answers import CompletionAnswer
from epp.sim.bodies import Ask
from epp.sim.engine import EngineConfig
from epp.sim.instance import Instance, TooLongError, UnknownModelError
from epp.sim.metrics_page import Gauges
from epp.sim.reply import Reply

# Simulated seconds per real one: steps of 8 ms take 80 us.
FAST = 100.0


def new_instance(config: EngineConfig | None = None) -> Instance:
    return Instance(config or EngineConfig(lora_load_seconds=0), "base", ("food-review",), FAST)


def submitted(instance: Instance, ask: Ask) -> Reply:
    reply = Reply(ask, CompletionAnswer(str(id(ask)), ask.model, 99), write=None)
    instance.submit(ask, reply)
    return reply


async def test_the_same_prompt_is_cached_the_second_time_but_not_for_another_adapter() -> None:
    instance = new_instance()
    prompt = b"four" * 100
    first = submitted(instance, Ask("base", (prompt,), 2))
    await first.done
    second = submitted(instance, Ask("", (prompt,), 2))
    await second.done
    adapted = submitted(instance, Ask("food-review", (prompt,), 2))
    await adapted.done
    assert [reply.usage.cached for reply in (first, second, adapted)] == [0, 96, 0]
    assert first.texts == second.texts


async def test_an_answer_is_cached_for_the_next_turn() -> None:
    instance = new_instance()
    first = submitted(instance, Ask("base", (b"four" * 20,), 20))
    await first.done
    following = submitted(instance, Ask("base", (b"four" * 20 + first.texts[0].encode() + b"more",), 1))
    await following.done
    assert following.usage.cached == 32  # two full blocks of prompt and answer


async def test_adapters_show_once_they_have_output() -> None:
    instance = new_instance()
    assert "running_lora_adapters=" not in page(instance)
    await submitted(instance, Ask("food-review", (b"four",), 3)).done
    assert 'running_lora_adapters="food-review"' in page(instance)
    assert 'running_lora_adapters=""' in page(instance)


async def test_cancelling_a_reply_gives_everything_back() -> None:
    instance = new_instance(EngineConfig(max_num_seqs=2))
    reply = submitted(instance, Ask("base", (b"four",), 100_000, n=3))
    assert instance.engine.waiting == 3
    instance.cancel(reply)
    assert (instance.engine.running, instance.engine.waiting, instance.engine.blocks_in_use) == (0, 0, 0)


async def test_pinned_gauges_hide_the_engine() -> None:
    instance = new_instance()
    reply = submitted(instance, Ask("base", (b"four",), 100))
    assert instance.gauges == Gauges(running=0, waiting=1, deferred=0, kv_usage=0.0)
    instance.pinned = {"waiting": 9, "kv_usage": 0.75}
    assert instance.gauges == Gauges(running=0, waiting=9, deferred=0, kv_usage=0.75)
    instance.cancel(reply)


async def test_unknown_models_and_too_long_requests_are_refused() -> None:
    instance = new_instance(EngineConfig(num_blocks=10, block_size=16))
    assert instance.max_model_len == 160
    instance.check(Ask("", (b"four" * 100,), 60))
    with pytest.raises(UnknownModelError, match="`nobody` does not exist"):
        instance.check(Ask("nobody", (b"four",), 1))
    with pytest.raises(TooLongError, match=r"160 tokens, .* 161 tokens"):
        instance.check(Ask("base", (b"four", b"four" * 100), 61))


def page(instance: Instance) -> str:
    return instance.metrics.render(instance.gauges, instance.engine.counters, "").decode()

"""A reply without an engine: the test hands it its tokens."""

from epp.sim import tokens
from epp.sim.answers import CompletionAnswer, TokenUsage
from epp.sim.bodies import Ask
from epp.sim.reply import Choice, Reply
from epp.sim.sequence import Sequence, SimRequest


def submitted(choice: Choice, output_tokens: int, cached_tokens: int = 0) -> Sequence:
    request = SimRequest(choice.id, tokens.count(choice.prompt), output_tokens)
    choice.sequence = Sequence(request, arrived_at=0, cached_tokens=cached_tokens)
    return choice.sequence


def say(choice: Choice, sequence: Sequence) -> None:
    sequence.produced += 1
    choice.on_token(sequence)


async def test_a_streamed_reply_writes_each_token_as_it_comes() -> None:
    written: list[bytes] = []
    reply = Reply(Ask("base", (b"four",), 2, stream=True), CompletionAnswer("1", "base", 99), written.append)
    [choice] = reply.choices
    sequence = submitted(choice, 2)
    say(choice, sequence)
    assert len(written) == 2  # the opening, empty for completions, and the token
    assert not reply.done.done()

    say(choice, sequence)
    assert reply.done.done()
    assert f'"text":"{choice.text[:4]}"'.encode() in written[1]
    assert f'"text":"{choice.text[4:]}"'.encode() in written[2]
    assert len(choice.text) == 8


async def test_a_reply_is_done_with_its_last_choice() -> None:
    reply = Reply(Ask("base", (b"four", b"five"), 1), CompletionAnswer("1", "base", 99), write=None)
    first, second = reply.choices
    say(first, submitted(first, 1))
    assert not reply.done.done()
    say(second, submitted(second, 1))
    assert reply.done.done()


async def test_a_prompt_that_is_answered_twice_counts_once() -> None:
    reply = Reply(Ask("base", (b"four" * 8, b"five"), 3, n=2), CompletionAnswer("1", "base", 99), write=None)
    for choice, cached in zip(reply.choices, (4, 8, 0, 0), strict=True):
        sequence = submitted(choice, 3, cached)
        for _ in range(3):
            say(choice, sequence)
    assert reply.usage == TokenUsage(prompt=9, completion=12, cached=4)
    assert len(set(reply.texts)) > 1


async def test_tokens_after_the_client_has_gone_do_no_harm() -> None:
    reply = Reply(Ask("base", (b"four",), 1), CompletionAnswer("1", "base", 99), write=None)
    [choice] = reply.choices
    sequence = submitted(choice, 1)
    reply.done.cancel()
    say(choice, sequence)
    assert reply.done.cancelled()

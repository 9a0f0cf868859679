"""The ext_proc method as a dialogue: what comes over the call, what the conversation says, what goes back."""

import asyncio
from collections.abc import Sequence

import pytest
from envoy.service.ext_proc.v3 import external_processor_pb2 as envoy

from epp.errors import ProtocolError
from epp.transport.ext_proc import ext_proc_methods
from epp.wire.codec import encode_answer
from epp.wire.messages import (
    Answer,
    HeadersAnswer,
    HttpBody,
    HttpHeaders,
    ImmediateResponse,
    Message,
    Phase,
    StreamedBody,
)

HEADERS = envoy.ProcessingRequest(request_headers={}).SerializeToString()  # type: ignore[arg-type]
BODY = envoy.ProcessingRequest(request_body={"body": b"{}", "end_of_stream": True}).SerializeToString()  # type: ignore[arg-type]
TWO_ANSWERS = (HeadersAnswer(Phase.REQUEST), StreamedBody(Phase.REQUEST, b"{}", end_of_stream=True))


class ScriptedConversation:
    """Answers each message with the next line of its script; a line may be an error to raise."""

    def __init__(self, *script: Sequence[Answer] | Exception) -> None:
        self.script = list(script)
        self.received: list[Message] = []
        self.ended = False
        self.closed = 0

    async def receive(self, message: Message) -> Sequence[Answer]:
        self.received.append(message)
        line = self.script.pop(0)
        if isinstance(line, Exception):
            raise line
        self.ended = any(isinstance(answer, ImmediateResponse) for answer in line)
        return line

    def close(self) -> None:
        self.closed += 1


class ScriptedCall:
    """A client that sends these messages and then says that it is done."""

    def __init__(self, *messages: bytes) -> None:
        self.messages = list(messages)
        self.writes: list[Sequence[bytes]] = []

    async def read(self) -> bytes | None:
        return self.messages.pop(0) if self.messages else None

    async def write(self, messages: Sequence[bytes]) -> None:
        self.writes.append(messages)


async def run(conversation: ScriptedConversation, call: ScriptedCall) -> None:
    methods = ext_proc_methods(lambda: conversation)
    await methods["/envoy.service.ext_proc.v3.ExternalProcessor/Process"](call)


async def test_messages_go_in_and_answers_come_out_together() -> None:
    conversation = ScriptedConversation((), TWO_ANSWERS)
    call = ScriptedCall(HEADERS, BODY)
    await run(conversation, call)
    assert conversation.received == [
        HttpHeaders(Phase.REQUEST, ()),
        HttpBody(Phase.REQUEST, b"{}", end_of_stream=True),
    ]
    assert call.writes == [[encode_answer(answer) for answer in TWO_ANSWERS]]
    assert conversation.closed == 1


async def test_nothing_is_read_after_an_immediate_response() -> None:
    conversation = ScriptedConversation((ImmediateResponse(503),))
    call = ScriptedCall(HEADERS, BODY)
    await run(conversation, call)
    assert call.messages == [BODY]
    assert call.writes == [[encode_answer(ImmediateResponse(503))]]
    assert conversation.closed == 1


async def test_client_that_sends_nothing() -> None:
    conversation = ScriptedConversation()
    await run(conversation, ScriptedCall())
    assert conversation.closed == 1


@pytest.mark.parametrize("error", [ProtocolError("twice"), RuntimeError("broken")])
async def test_errors_pass_and_the_conversation_is_closed(error: Exception) -> None:
    conversation = ScriptedConversation(error)
    with pytest.raises(type(error)):
        await run(conversation, ScriptedCall(HEADERS))
    assert conversation.closed == 1


async def test_bytes_that_are_no_message_never_reach_the_conversation() -> None:
    conversation = ScriptedConversation()
    with pytest.raises(ProtocolError, match="holds no message"):
        await run(conversation, ScriptedCall(b""))
    assert (conversation.received, conversation.closed) == ([], 1)


async def test_cancelled_while_the_conversation_waits() -> None:
    waiting = asyncio.Event()

    class Waits(ScriptedConversation):
        async def receive(self, message: Message) -> Sequence[Answer]:
            waiting.set()
            await asyncio.Event().wait()
            raise AssertionError

    conversation = Waits()
    task = asyncio.create_task(run(conversation, ScriptedCall(HEADERS)), name="call")
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert conversation.closed == 1

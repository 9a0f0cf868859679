"""The same random dialogues over both transports to equal pickers: every answer and status is the same."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from envoy.service.ext_proc.v3 import external_processor_pb2 as envoy
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.transport.ext_proc import SERVICE, ext_proc_methods
from epp.transport.grpcio_server import GrpcioServer
from epp.transport.h2_server import H2Server
from epp.types import Rewrite, RewriteTarget
from tests.pickers import Picker, body_of
from tests.pools import load

PATIENCE = 30.0  # seconds that a dialogue may take
LARGE = body_of(prompt="long " * 30_000)


# Messages as they are drawn: what they are, what they hold, and whether they end their phase.
Said = tuple[str, str, bool]

HEADERS = {
    "post": {":method": "POST", ":path": "/v1/completions", "x-request-id": "r-1"},
    "ok": {":status": "200", "content-type": "application/json"},
    "error": {":status": "503"},
    "none": {},
}
BODIES = {
    "whole": body_of("alias"),
    "head": body_of()[:9],
    "tail": body_of()[9:],
    "large": LARGE,
    "much": LARGE[:70_000],
    "answer": b'{"usage": {"prompt_tokens": 1, "completion_tokens": 2}}',
    "nothing": b"",
    "broken": b"{",
}
GARBAGE = {"empty": b"", "noise": b"\xff\xff", "no kind": b"\x0a\x00"}

phases = st.sampled_from(["request", "response"])
anything = st.one_of(
    st.tuples(phases.map("{}_headers".format), st.sampled_from([*HEADERS]), st.booleans()),
    st.tuples(phases.map("{}_body".format), st.sampled_from([*BODIES]), st.booleans()),
    st.tuples(phases.map("{}_trailers".format), st.just(""), st.just(False)),
    st.tuples(st.just("garbage"), st.sampled_from([*GARBAGE]), st.just(False)),
)


def exchange(pieces: list[str]) -> list[Said]:
    """A request in these pieces, and its answer."""
    asked = [("request_body", piece, at == len(pieces)) for at, piece in enumerate(pieces, 1)]
    answered = [("response_headers", "ok", False), ("response_body", "answer", True)]
    return [("request_headers", "post", False), *asked, *answered]


pieces = st.sampled_from([["whole"], ["head", "tail"], ["head", "nothing", "tail"], ["large"], ["much"]])
dialogues = st.one_of(pieces.map(exchange), st.lists(anything, max_size=8))


def wire(kind: str, what: str, end: bool) -> bytes:
    """The message as Envoy would send it."""
    fields: dict[str, Any] = {}
    if kind == "garbage":
        return GARBAGE[what]
    if kind.endswith("body"):
        fields = {"body": BODIES[what], "end_of_stream": end}
    elif kind.endswith("headers"):
        listed = [{"key": name, "raw_value": value.encode()} for name, value in HEADERS[what].items()]
        fields = {"headers": {"headers": listed}, "end_of_stream": end}
    return envoy.ProcessingRequest(**{kind: fields}).SerializeToString()  # type: ignore[arg-type]


@dataclass
class Side:
    """One server, its client, and the picker of the dialogue at hand."""

    server: GrpcioServer | H2Server
    channel: grpc.Channel
    picker: Picker


def fresh_picker() -> Picker:
    canary = Rewrite("canary", ("alias",), (RewriteTarget("base"),))
    return Picker(load(3, 0.2, "base"), load(9, 0.9), rewrites=[canary], max_request_bytes=100_000)


async def open_side(server_class: type[GrpcioServer] | type[H2Server]) -> Side:
    side: Side
    methods = ext_proc_methods(lambda: side.picker.conversation())
    server = server_class(methods, "127.0.0.1:0", certificate=None, max_body_bytes=1 << 20)
    await server.start()
    side = Side(server, grpc.insecure_channel(f"127.0.0.1:{server.port}"), fresh_picker())
    return side


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[asyncio.Runner, list[Side]]]:
    async def start() -> list[Side]:
        return [await open_side(GrpcioServer), await open_side(H2Server)]

    async def stop(sides: list[Side]) -> None:
        for side in sides:
            side.channel.close()
            await side.server.drain(0)

    with asyncio.Runner() as runner:
        sides = runner.run(start())
        yield runner, sides
        runner.run(stop(sides))


async def outcome(side: Side, dialogue: Sequence[Said]) -> tuple[list[bytes], Any, str]:
    """The answers, and how the call ended."""
    side.picker = fresh_picker()
    return await asyncio.to_thread(converse, side.channel, [wire(*message) for message in dialogue])


def converse(channel: grpc.Channel, dialogue: list[bytes]) -> tuple[list[bytes], Any, str]:
    # The synchronous client: that of grpc.aio makes an error of its own of a call that ends while it writes.
    stream: Any = channel.stream_stream(f"/{SERVICE}/Process")(iter(dialogue), timeout=PATIENCE)
    answers: list[bytes] = []
    with suppress(grpc.RpcError):
        answers.extend(stream)  # keeps those before an error
    return answers, stream.code(), stream.details()


@settings(max_examples=150)
@given(dialogue=dialogues)
def test_every_answer_is_the_same(both: tuple[asyncio.Runner, list[Side]], dialogue: list[Said]) -> None:
    runner, sides = both

    async def compare() -> None:
        over_grpc, over_h2 = [await outcome(side, dialogue) for side in sides]
        assert over_h2 == over_grpc
        assert sides[0].picker.samples() == sides[1].picker.samples()

    runner.run(compare())

"""Messages in orders that Envoy would never send, straight to the picker.

A stream that breaks a rule gets a gRPC status that says so; the streams beside it do not notice. The client
speaks with Envoy's own protobuf classes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any

import grpc
import pytest
import pytest_asyncio
from envoy.extensions.filters.http.ext_proc.v3.processing_mode_pb2 import ProcessingMode
from envoy.service.ext_proc.v3 import external_processor_pb2 as envoy
from google.protobuf import text_format

from tests.e2e.asks import connection
from tests.e2e.process import PATIENCE, eventually
from tests.e2e.stack import Picker, Pool, Simulators

pytestmark = pytest.mark.asyncio(loop_scope="module")

METHOD = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"

# The picker's limit on bodies in these tests; a message may be 8 MiB longer.
MAX_REQUEST_BYTES = 1 << 20
MESSAGE_LIMIT = MAX_REQUEST_BYTES + (8 << 20)

OK = grpc.StatusCode.OK
INVALID = grpc.StatusCode.INVALID_ARGUMENT

# The letters of a conversation: Envoy's messages in protobuf's text form.
POST = """headers {
    headers { key: ":method" raw_value: "POST" }
    headers { key: ":path" raw_value: "/v1/completions" }
}"""
HEADERS = f"request_headers {{ {POST} }}"
NO_BODY = f"request_headers {{ {POST} end_of_stream: true }}"
BODY = 'request_body { body: "{\\"model\\": \\"m\\", \\"prompt\\": \\"hi\\"}" end_of_stream: true }'
PIECE = 'request_body { body: "{\\"model\\": \\"m\\", " }'
REST = 'request_body { body: "\\"prompt\\": \\"hi\\"}" end_of_stream: true }'
NO_JSON = 'request_body { body: "}" end_of_stream: true }'
END = "request_body { end_of_stream: true }"
TRAILERS = "request_trailers { }"
ANSWER = 'response_headers { headers { headers { key: ":status" raw_value: "200" } } }'
ANSWER_BODY = 'response_body { body: "{}" end_of_stream: true }'
ANSWER_PIECE = 'response_body { body: "data: " }'
ANSWER_TRAILERS = "response_trailers { }"
NOTHING = ""

Letter = str | bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back on a stream: the kind of each answer, the HTTP status of an immediate one, the end."""

    answers: tuple[str, ...]
    status: grpc.StatusCode
    http_status: int = 0


class Client:
    """A gRPC client of the picker."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.aio.insecure_channel(address)
        # The asynchronous client says INTERNAL itself when it writes to a stream that has just been ended.
        self._blocking = grpc.insecure_channel(address)

    async def close(self) -> None:
        await self.channel.close()
        self._blocking.close()

    def open(self) -> Any:
        """A stream to write to and read from."""
        call = self.channel.stream_stream(
            METHOD, request_serializer=serialize, response_deserializer=envoy.ProcessingResponse.FromString
        )
        return call(timeout=PATIENCE)

    async def converse(self, letters: Sequence[Letter], method: str = METHOD) -> Outcome:
        """Says everything, whatever is answered, and listens to the end."""
        return await asyncio.to_thread(self._converse, letters, method)

    def _converse(self, letters: Sequence[Letter], method: str) -> Outcome:
        open_call = self._blocking.stream_stream(
            method, request_serializer=serialize, response_deserializer=envoy.ProcessingResponse.FromString
        )
        call = open_call(iter(letters), timeout=PATIENCE)
        answers = []
        with suppress(grpc.RpcError):
            for answer in call:
                answers.append(answer)  # noqa: PERF402  what came before an error counts
        kinds = tuple(answer.WhichOneof("response") for answer in answers)
        immediate = sum(answer.immediate_response.status.code for answer in answers)
        return Outcome(kinds, call.code(), immediate)


def serialize(letter: Letter) -> bytes:
    """Text becomes the message that it describes; bytes are sent as they are."""
    if isinstance(letter, bytes):
        return letter
    message: bytes = text_format.Parse(letter, envoy.ProcessingRequest()).SerializeToString()
    return message


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def picker(tmp_path_factory: pytest.TempPathFactory, transport: str) -> AsyncIterator[Picker]:
    folder = tmp_path_factory.mktemp("orders")
    limit = f"--max-request-bytes={MAX_REQUEST_BYTES}"
    async with Simulators(folder) as sim:
        pool = Pool(folder / "pool", sim.addresses)
        async with Picker(folder, pool, limit, transport=transport, tls=False) as picker:
            yield picker


@pytest_asyncio.fixture(loop_scope="module")
async def client(picker: Picker) -> AsyncIterator[Client]:
    client = Client(picker.address)
    yield client
    await client.close()
    await eventually(picker.is_idle)
    assert '"level":"error"' not in picker.output()


PLACED = ("request_headers", "request_body")


@pytest.mark.parametrize(
    ("letters", "outcome"),
    [
        ([], Outcome((), OK)),
        ([HEADERS, BODY], Outcome(PLACED, OK)),
        ([HEADERS, PIECE, REST], Outcome(PLACED, OK)),
        ([HEADERS, PIECE], Outcome((), OK)),
        ([HEADERS, BODY, END, END], Outcome(PLACED, OK)),
        ([HEADERS, PIECE, REST, TRAILERS], Outcome((*PLACED, "request_trailers"), OK)),
        ([NO_BODY], Outcome(("request_headers",), OK)),
        (
            [ANSWER, ANSWER_PIECE, ANSWER_TRAILERS],
            Outcome(("response_headers", "response_body", "response_trailers"), OK),
        ),
        ([HEADERS, ANSWER, ANSWER_BODY], Outcome(("response_headers", "response_body"), OK)),
        ([HEADERS, NO_JSON], Outcome(("immediate_response",), OK, 400)),
        ([HEADERS, NO_JSON, BODY, HEADERS, ANSWER], Outcome(("immediate_response",), OK, 400)),
        (
            [HEADERS, f'request_body {{ body: "{"x" * (MAX_REQUEST_BYTES + 1)}" }}'],
            Outcome(("immediate_response",), OK, 413),
        ),
        ([BODY], Outcome((), INVALID)),
        ([TRAILERS], Outcome((), INVALID)),
        ([HEADERS, HEADERS], Outcome((), INVALID)),
        ([NO_BODY, BODY], Outcome(("request_headers",), INVALID)),
        ([ANSWER, HEADERS], Outcome(("response_headers",), INVALID)),
        ([ANSWER, ANSWER], Outcome(("response_headers",), INVALID)),
        ([ANSWER_BODY], Outcome((), INVALID)),
        ([ANSWER_TRAILERS], Outcome((), INVALID)),
        ([NOTHING], Outcome((), INVALID)),
        ([HEADERS, b"\xff\xff\xff"], Outcome((), INVALID)),
        ([b"\x12\x7f" + b"\0" * 3], Outcome((), INVALID)),
        ([b"\x9a\x3e\x01a"], Outcome((), INVALID)),  # a field that nobody knows, and no message
    ],
    ids=lambda value: (
        None if isinstance(value, Outcome) else " ".join(name_of(letter) for letter in value) or "-"
    ),
)
async def test_an_order(client: Client, letters: list[Letter], outcome: Outcome) -> None:
    assert await client.converse(letters) == outcome


def name_of(letter: Letter) -> str:
    names = [name for name, value in globals().items() if name.isupper() and value == letter]
    return names[0] if names else "BYTES"


LETTERS: Sequence[Letter] = (
    *(HEADERS, NO_BODY, BODY, PIECE, REST, NO_JSON, END, TRAILERS, NOTHING),
    *(ANSWER, ANSWER_BODY, ANSWER_PIECE, ANSWER_TRAILERS),
)


def random_orders(count: int, seed: int) -> list[list[Letter]]:
    """Conversations of up to a dozen messages, half of them with body modes, some with noise."""
    rng = Random(seed)
    modes = [name for name in ProcessingMode.BodySendMode.keys() if name != "GRPC"]  # noqa: SIM118  no dict
    orders = []
    for _ in range(count):
        letters = rng.choices(LETTERS, k=rng.randrange(1, 13))
        if rng.random() < 0.7:
            letters[0] = rng.choice((HEADERS, NO_BODY))
        if rng.random() < 0.5:
            first = f"request_body_mode: {rng.choice(modes)} response_body_mode: {rng.choice(modes)}"
            letters[0] = f"{letters[0]!s} protocol_config {{ {first} }}"
        if rng.random() < 0.1:
            letters[rng.randrange(len(letters))] = rng.randbytes(rng.randrange(1, 40))
        orders.append(letters)
    return orders


async def test_any_order_ends_and_harms_no_other_stream(client: Client, picker: Picker) -> None:
    neighbour = client.open()
    await neighbour.write(HEADERS)
    await neighbour.write(PIECE)

    orders = iter(random_orders(600, seed=1))
    statuses: set[grpc.StatusCode] = set()

    async def talk() -> None:
        for letters in orders:
            outcome = await client.converse(letters)
            statuses.add(outcome.status)
            assert outcome.status in (OK, INVALID), letters
            assert outcome.http_status < 500, letters

    async with asyncio.TaskGroup() as group:
        for number in range(16):
            group.create_task(talk(), name=f"client {number}")
    assert statuses == {OK, INVALID}

    await neighbour.write(REST)
    kinds = [(await neighbour.read()).WhichOneof("response") for _ in PLACED]
    assert kinds == list(PLACED)
    assert await picker.in_flight() == 1
    await neighbour.write(ANSWER)
    assert (await neighbour.read()).WhichOneof("response") == "response_headers"
    await neighbour.write(ANSWER_BODY)
    assert (await neighbour.read()).response_body.response.body_mutation.streamed_response.body == b"{}"
    await neighbour.done_writing()
    assert await neighbour.code() is OK


async def test_streams_that_are_given_up_give_everything_back(client: Client, picker: Picker) -> None:
    calls = [client.open() for _ in range(100)]
    for call in calls:
        await call.write(HEADERS)
        await call.write(BODY)
    await eventually(lambda: holds(picker, 100), "a hundred reservations")
    for call in calls:
        call.cancel()
    await eventually(picker.is_idle)


async def test_a_client_that_vanishes_gives_everything_back(picker: Picker) -> None:
    client = Client(picker.address)
    calls = [client.open() for _ in range(10)]
    for call in calls:
        await call.write(HEADERS)
        await call.write(BODY)
    await eventually(lambda: holds(picker, 10), "ten reservations")
    await client.close()
    await eventually(picker.is_idle)


async def holds(picker: Picker, count: int) -> bool:
    return await picker.in_flight() == count


async def test_a_message_over_the_limit(client: Client) -> None:
    huge = f'request_body {{ body: "{"x" * MESSAGE_LIMIT}" }}'
    outcome = await client.converse([HEADERS, huge])
    assert outcome == Outcome((), grpc.StatusCode.RESOURCE_EXHAUSTED)


async def test_a_method_that_there_is_not(client: Client) -> None:
    outcome = await client.converse([HEADERS], "/envoy.service.ext_proc.v3.ExternalProcessor/Other")
    assert outcome == Outcome((), grpc.StatusCode.UNIMPLEMENTED)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nhost: here\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100,
        b"\0" * 1000,
    ],
    ids=["HTTP/1.1", "TLS", "frames of noise", "zeros"],
)
async def test_a_connection_that_is_no_grpc(client: Client, picker: Picker, data: bytes) -> None:
    async with connection(picker.port) as (reader, writer):
        writer.write(data)
        writer.write_eof()
        await reader.read()
    assert await client.converse([HEADERS, BODY]) == Outcome(PLACED, OK)

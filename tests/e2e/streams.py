"""A gateway's half of ext_proc over one HTTP/2 connection, by the `h2` library, which checks what it gets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest, ProcessingResponse
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)

METHOD = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"

_PREFIX = 5  # bytes before a gRPC message


class StreamGoneError(Exception):
    """The picker reset the stream, or closed the connection."""


class Stream:
    """One ext_proc stream: messages to write, answers to read."""

    def __init__(self, gateway: Gateway, number: int) -> None:
        self.status = ""  # grpc-status, once the picker has ended the stream
        self.number = number
        self.received = bytearray()
        self.over = False
        self.gone = False
        self.news = asyncio.Event()
        self._gateway = gateway

    async def write(self, *messages: ProcessingRequest) -> None:
        """Sends messages as flow control allows."""
        data = bytearray()
        for message in messages:
            encoded = message.SerializeToString()
            data += b"\0" + len(encoded).to_bytes(4, "big") + encoded
        await self._gateway.send(self, data)

    async def read(self) -> ProcessingResponse:
        """The next answer."""
        while True:
            received = self.received
            end = _PREFIX + int.from_bytes(received[1:_PREFIX], "big")
            if len(received) >= _PREFIX and end <= len(received):
                message = bytes(received[_PREFIX:end])
                del received[:end]
                return ProcessingResponse.FromString(message)
            await self.wait()

    async def end(self) -> str:
        """Ends this side and waits for the other; the gRPC status."""
        self._gateway.finish(self)
        while not self.over:
            await self.wait()
        assert not self.received
        return self.status

    def reset(self) -> None:
        """Gives the stream up."""
        self._gateway.reset(self)

    async def wait(self) -> None:
        """Waits for anything new."""
        if self.gone or self.over:
            raise StreamGoneError(self.status)
        self.news.clear()
        await self.news.wait()


class Gateway:
    """One connection to a picker."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._streams: dict[int, Stream] = {}
        self._h2.initiate_connection()
        self._flush()

    def open(self) -> Stream:
        """Begins a stream."""
        stream = Stream(self, self._h2.get_next_available_stream_id())
        self._streams[stream.number] = stream
        pseudo = [(":method", "POST"), (":scheme", "http"), (":path", METHOD), (":authority", "picker")]
        self._h2.send_headers(
            stream.number, [*pseudo, ("content-type", "application/grpc"), ("te", "trailers")]
        )
        self._flush()
        return stream

    async def send(self, stream: Stream, data: bytearray) -> None:
        """Sends data in frames, waiting for credit."""
        while data:
            if stream.gone or stream.over:
                raise StreamGoneError(stream.status)
            window = self._h2.local_flow_control_window(stream.number)
            size = min(len(data), window, self._h2.max_outbound_frame_size)
            if size <= 0:
                await stream.wait()
                continue
            self._h2.send_data(stream.number, bytes(data[:size]))
            del data[:size]
            self._flush()

    def finish(self, stream: Stream) -> None:
        """END_STREAM."""
        self._h2.end_stream(stream.number)
        self._flush()

    def reset(self, stream: Stream) -> None:
        """RST_STREAM, after which nothing that comes for it counts."""
        del self._streams[stream.number]
        self._h2.reset_stream(stream.number, 8)  # CANCEL
        self._flush()

    async def listen(self, reader: asyncio.StreamReader) -> None:
        """Takes what comes until the connection ends."""
        try:
            while data := await reader.read(1 << 16):
                for event in self._h2.receive_data(data):
                    self._take(event)
                self._flush()
        finally:
            for stream in self._streams.values():
                stream.gone = True
                stream.news.set()

    def _take(self, event: Event) -> None:
        if isinstance(event, RemoteSettingsChanged) or (
            isinstance(event, WindowUpdated) and not event.stream_id
        ):
            for stream in self._streams.values():
                stream.news.set()
            return
        if isinstance(event, DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if (stream := self._streams.get(getattr(event, "stream_id", 0))) is None:
            return
        match event:
            case DataReceived():
                stream.received += event.data
            case ResponseReceived() | TrailersReceived():
                stream.status = dict(event.headers).get("grpc-status", stream.status)
            case StreamEnded():
                stream.over = True
                del self._streams[stream.number]
            case StreamReset():
                stream.gone = True
                del self._streams[stream.number]
        stream.news.set()

    def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())


@asynccontextmanager
async def gateway(port: int, *, tls: bool) -> AsyncIterator[Gateway]:
    """A connection to a local picker, whose certificate is taken as it is."""
    context = None
    if tls:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    connected = Gateway(writer)
    listening = asyncio.create_task(connected.listen(reader), name="gateway")
    try:
        yield connected
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
        writer.close()
        await writer.wait_closed()

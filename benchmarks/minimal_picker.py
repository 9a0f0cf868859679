"""The least that a picker on grpc.aio can do: names one endpoint and passes bodies on. Schedules nothing.

The measure for `epp serve`: what grpc.aio, protobuf and the protocol cost by themselves. Its constant answers
are made once.

    python -m benchmarks.minimal_picker PORT ENDPOINT
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import uvloop

from epp.wire import ext_proc_pb2 as pb

CHUNK = 62_000  # what proxies take in one message, as the reference cuts bodies


def header_answer(endpoint: str) -> pb.ProcessingResponse:
    answer = pb.ProcessingResponse()
    common = answer.request_headers.response
    common.clear_route_cache = True
    header = common.header_mutation.set_headers.add().header
    header.key, header.raw_value = "x-gateway-destination-endpoint", endpoint.encode()
    fields = answer.dynamic_metadata.fields["envoy.lb"].struct_value.fields
    fields["x-gateway-destination-endpoint"].string_value = endpoint
    return answer


def piece(response: bool, data: bytes, end: bool) -> pb.ProcessingResponse:
    answer = pb.ProcessingResponse()
    body = answer.response_body if response else answer.request_body
    streamed = body.response.body_mutation.streamed_response
    streamed.body, streamed.end_of_stream = data, end
    return answer


class Picker:
    def __init__(self, endpoint: str) -> None:
        self._request_headers = header_answer(endpoint)
        self._response_headers = pb.ProcessingResponse(response_headers=pb.HeadersResponse())

    async def process(
        self, requests: AsyncIterator[pb.ProcessingRequest], _: Any
    ) -> AsyncIterator[pb.ProcessingResponse]:
        held = bytearray()
        async for request in requests:
            kind = request.WhichOneof("request")
            if kind == "request_body":
                held += request.request_body.body
                if request.request_body.end_of_stream:
                    yield self._request_headers
                    for start in range(0, len(held), CHUNK):
                        end = start + CHUNK
                        yield piece(False, bytes(held[start:end]), end >= len(held))
            elif kind == "response_headers":
                yield self._response_headers
            elif kind == "response_body":
                yield piece(True, request.response_body.body, request.response_body.end_of_stream)


async def main(port: int, endpoint: str) -> None:
    handler = grpc.stream_stream_rpc_method_handler(
        Picker(endpoint).process, pb.ProcessingRequest.FromString, pb.ProcessingResponse.SerializeToString
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        [
            grpc.method_handlers_generic_handler(
                "envoy.service.ext_proc.v3.ExternalProcessor", {"Process": handler}
            )
        ]
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))

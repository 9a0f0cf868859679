"""What only the server over grpc.aio does; what both do is in test_servers.py."""

import pytest

from epp.transport.grpcio_server import GrpcioServer


async def test_unix_socket_that_cannot_be_is_named() -> None:
    server = GrpcioServer({}, "unix:/nowhere/at/all/epp.sock", certificate=None, max_body_bytes=0)
    with pytest.raises(OSError, match=r"cannot listen on unix:/nowhere/at/all/epp\.sock"):
        await server.start()
    await server.drain(0)

import socket

import aiohttp
import pytest

from epp.sim.cluster import Cluster, PortError
from epp.sim.settings import SimSettings


def free_ports(count: int) -> int:
    """The first of `count` free consecutive ports."""
    for _ in range(100):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first = int(probe.getsockname()[1])
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")


async def test_servers_have_consecutive_ports_and_are_gone_afterwards() -> None:
    port = free_ports(3)
    async with Cluster(SimSettings(port=port)) as cluster, aiohttp.ClientSession() as client:
        assert [server.port for server in cluster.servers] == [port, port + 1, port + 2]
        assert repr(cluster) == f"Cluster(127.0.0.1:{port}, 127.0.0.1:{port + 1}, 127.0.0.1:{port + 2})"
        for index, server in enumerate(cluster.servers):
            async with client.get(f"http://{server.address}/sim/state") as response:
                assert (await response.json())["server"] == index
    for number in range(port, port + 3):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", number))


async def test_a_taken_port_is_named_and_nothing_is_left_behind() -> None:
    port = free_ports(2)
    with socket.create_server(("127.0.0.1", port + 1)):
        with pytest.raises(PortError, match=f"127.0.0.1:{port + 1}: .*in use"):
            async with Cluster(SimSettings(port=port, servers=2)):
                pass
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


async def test_ipv6() -> None:
    async with (
        Cluster(SimSettings(servers=1, port=0, host="::1")) as cluster,
        aiohttp.ClientSession() as client,
    ):
        [server] = cluster.servers
        async with client.get(f"http://{server.address}/health") as response:
            assert response.headers["x-served-by"] == f"[::1]:{server.port}"

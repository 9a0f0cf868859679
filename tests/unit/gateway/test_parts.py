from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from epp.config.flags import parse_flags
from epp.config.settings import read_settings
from epp.gateway.files import Files
from epp.gateway.parts import ADAPTERS, parts_in_order
from epp.gateway.up_settings import UpSettings
from epp.sim.settings import SimSettings

FILES = Files(Path("pool.yaml"), Path("config.yaml"), Path("envoy.json"), Path("eds.json"))


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def test_each_part_comes_after_those_that_it_needs(http):
    assert [part.name for part in parts_in_order(UpSettings(), FILES, http)] == ["sim", "picker", "envoy"]
    real = UpSettings(backend=("http://10.0.0.1",))
    assert [part.name for part in parts_in_order(real, FILES, http)] == ["picker", "envoy"]


async def test_the_simulators_understand_their_arguments(http):
    sim, _, _ = parts_in_order(UpSettings(sim=2, sim_port=9001), FILES, http)
    settings = parse_flags(SimSettings, sim.argv[4:], program="epp sim")
    assert (settings.servers, settings.port, settings.host) == (2, 9001, "127.0.0.1")
    assert settings.adapters == ADAPTERS


async def test_the_picker_understands_its_arguments(http):
    up = UpSettings(grpc_port=1, grpc_health_port=2, metrics_port=3)
    _, picker, _ = parts_in_order(up, FILES, http)
    settings = read_settings(picker.argv[4:], {})
    assert (settings.grpc_port, settings.grpc_health_port, settings.metrics_port) == (1, 2, 3)
    assert (settings.pool_file, settings.config_file) == ("pool.yaml", "config.yaml")
    assert (settings.bind_address, settings.secure_serving, settings.health_checking) == (
        "127.0.0.1",
        True,
        True,
    )


async def test_without_a_configuration_the_picker_is_given_none(http):
    files = Files(FILES.pool, None, FILES.bootstrap, FILES.eds)
    _, picker, _ = parts_in_order(UpSettings(), files, http)
    assert not read_settings(picker.argv[4:], {}).config_file


async def test_a_part_is_ready_when_it_says_so(http, free_port):
    port = free_port()
    _, picker, _ = parts_in_order(UpSettings(metrics_port=port), FILES, http)
    status = 503
    assert not await picker.ready()  # nobody listens

    async def readyz(_):
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get("/readyz", readyz)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    assert not await picker.ready()
    status = 200
    assert await picker.ready()
    await runner.cleanup()

"""The three kinds of process that `epp up` runs: how each is called, and when it is ready."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable

import aiohttp

from epp.gateway.envoy import envoy_argv, find_envoy
from epp.gateway.files import Files
from epp.gateway.processes import Part
from epp.gateway.up_settings import HOST, UpSettings

# What the simulated servers serve: the model of the reference's deployment guide, and adapters for it.
MODEL = "meta-llama/Llama-3.1-8B-Instruct"
ADAPTERS = ("food-review", "cad-fabricator")


def parts_in_order(settings: UpSettings, files: Files, http: aiohttp.ClientSession) -> list[Part]:
    """The parts, each after those that it needs; StartError if Envoy is not installed.

    `http` asks them whether they are ready, with its own limit of time.
    """
    servers = [_simulators(settings, http)] if settings.simulated else []
    return [*servers, _picker(settings, files, http), _envoy(settings, files, http)]


def _simulators(settings: UpSettings, http: aiohttp.ClientSession) -> Part:
    """All the simulated servers, in one process."""
    argv = [
        *(sys.executable, "-m", "epp", "sim"),
        *("--servers", str(settings.sim)),
        *("--port", str(settings.sim_port)),
        *("--host", HOST),
        *("--model", MODEL),
        *("--adapters", ",".join(ADAPTERS)),
    ]
    return Part("sim", argv, _answers(http, *(f"http://{HOST}:{port}/health" for port in settings.sim_ports)))


def _picker(settings: UpSettings, files: Files, http: aiohttp.ClientSession) -> Part:
    """The picker, on loopback alone, over TLS as it serves by default."""
    argv = [
        *(sys.executable, "-m", "epp", "serve"),
        *("--bind-address", HOST),
        *("--grpc-port", str(settings.grpc_port)),
        *("--grpc-health-port", str(settings.grpc_health_port)),
        *("--metrics-port", str(settings.metrics_port)),
        *("--pool-file", str(files.pool)),
        *(("--config-file", str(files.config)) if files.config else ()),
        "--health-checking",
        *("--drain-timeout", "0s"),  # Envoy ends with it, so there are no streams to wait for
    ]
    return Part("picker", argv, _answers(http, f"http://{HOST}:{settings.metrics_port}/readyz"))


def _envoy(settings: UpSettings, files: Files, http: aiohttp.ClientSession) -> Part:
    argv = envoy_argv(find_envoy(), files.bootstrap)
    return Part("envoy", argv, _answers(http, f"http://{HOST}:{settings.admin_port}/ready"))


def _answers(http: aiohttp.ClientSession, *urls: str) -> Callable[[], Awaitable[bool]]:
    async def ready() -> bool:
        return all([await _is_ok(http, url) for url in urls])

    return ready


async def _is_ok(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as answer:
            return answer.status == 200
    except (TimeoutError, aiohttp.ClientError):
        return False

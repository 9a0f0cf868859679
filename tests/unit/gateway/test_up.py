"""The whole of it, as processes: a real Envoy, the picker, and a simulated server."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from epp.gateway.up import until_signal

PARTS = ("sim", "picker", "envoy")
FLAGS = ("port", "sim-port", "grpc-port", "grpc-health-port", "metrics-port", "admin-port")


@pytest.fixture
def ports(free_port):
    return {flag: free_port() for flag in FLAGS}


@pytest.fixture
def epp_up(tmp_path, ports):
    """Starts `epp up` on ports and in a directory of its own."""
    started = []

    def start(*argv):
        own = [word for flag, port in ports.items() for word in (f"--{flag}", str(port))]
        process = subprocess.Popen(
            [sys.executable, "-m", "epp", "up", "--sim", "1", *own, *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(tmp_path)},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def read_until(process, last):
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if last in line:
            return lines
    raise AssertionError("\n".join([*lines, process.stderr.read()]))


def children_of(process):
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGKILL, -9)]
)
def test_it_serves_until_a_signal_and_leaves_nothing_behind(epp_up, ports, tmp_path, gone, number, code):
    process = epp_up()
    said = read_until(process, "Ctrl-C ends it all")
    assert [line for line in said if line.startswith("starting")] == [f"starting {part}" for part in PARTS]
    answer = httpx.post(
        f"http://127.0.0.1:{ports['port']}/v1/completions",
        json={"model": "food-review", "prompt": "Hello", "max_tokens": 2},
    )
    assert (answer.status_code, answer.headers["x-served-by"]) == (200, f"127.0.0.1:{ports['sim-port']}")
    children = children_of(process)
    assert len(children) == len(PARTS)
    process.send_signal(number)
    assert process.wait(timeout=5) == code
    for child in children:
        gone(child)
    if number != signal.SIGKILL:
        assert list(tmp_path.iterdir()) == []
        assert process.stderr.read() == ""


def test_a_signal_before_everything_runs(epp_up, tmp_path, gone):
    process = epp_up()
    read_until(process, "starting picker")
    children = children_of(process)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=5) == 0
    for child in children:
        gone(child)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flag", ["port", "sim-port"])
def test_a_taken_port_is_named_before_anything_starts(epp_up, ports, flag):
    with socket.create_server(("127.0.0.1", ports[flag])):
        out, error = epp_up().communicate(timeout=20)
    assert (out, error) == ("", f"epp up: port {ports[flag]} is taken; --{flag} chooses another\n")


def test_a_part_that_does_not_start_ends_everything(epp_up, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("kind: nonsense\n")
    process = epp_up("--config", str(config))
    out, error = process.communicate(timeout=30)
    assert "picker | " in out
    assert f"{config}:1: kind: " in out
    assert error == "epp up: picker did not start: exit code 2\n"
    assert process.returncode == 1
    assert list(tmp_path.iterdir()) == [config]


def test_a_pool_file_with_faults_is_refused(epp_up, tmp_path):
    pool = tmp_path / "pool.yaml"
    pool.write_text("pool: {name: a}\nendpoints: [{port: 1}]\n")
    process = epp_up("--pool", str(pool))
    out, error = process.communicate(timeout=30)
    assert (out, process.returncode) == ("", 2)
    assert error.startswith(f"{pool}:2: endpoints[0]")


async def test_endpoints_follow_the_pool_file(epp_up, ports, backends, eventually_ok, tmp_path):
    pool = tmp_path / "pool.yaml"

    def write(backend):
        draft = tmp_path / "draft"
        draft.write_text(f"pool: {{name: mine}}\nendpoints: [{{address: localhost, port: {backend.port}}}]\n")
        draft.replace(pool)

    write(backends[0])
    process = epp_up("--pool", str(pool))
    said = await asyncio.to_thread(read_until, process, "Ctrl-C ends it all")
    assert f"servers  {backends[0].address}" in said
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports['port']}") as client:
        assert (await client.get("/health")).headers["x-served-by"] == backends[0].address
        write(backends[1])
        await eventually_ok(client, lambda answer: answer.headers.get("x-served-by") == backends[1].address)


def test_the_demonstration(epp_up):
    process = epp_up("--demo")
    out, error = process.communicate(timeout=120)
    assert out.endswith("60 of 60 requests got HTTP 200 from the server that the picker chose\n")
    assert (error, process.returncode) == ("", 0)


async def test_work_without_a_signal():
    async def work():
        return True

    assert await until_signal(work()) is True


async def test_a_second_signal_does_not_hurry_the_cleaning_up():
    steps = []

    async def work():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            steps.append("interrupted")
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(10):
                await asyncio.sleep(0)
            steps.append("clean")
        return True

    assert await until_signal(work()) is None
    assert steps == ["interrupted", "clean"]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().remove_signal_handler(number)

"""Foreign HTTP/2 programs at a running picker: h2load (nghttp2) and curl. `make test-foreign` needs both."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest
from google.protobuf import text_format

from tests.e2e.process import PATIENCE, eventually
from tests.e2e.stack import Picker, Pool, Simulators

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHECK = "/grpc.health.v1.Health/Check"
PROCESS = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"
GRPC = ["-H", "content-type: application/grpc", "-H", "te: trailers"]

HEADERS = """request_headers { headers {
    headers { key: ":method" raw_value: "POST" } headers { key: ":path" raw_value: "/v1/completions" }
} }"""
BODY = 'request_body { body: "{\\"model\\": \\"m\\", \\"prompt\\": \\"%s\\"}" end_of_stream: true }'


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[True, False], ids=["TLS", "plain"])
async def picker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Picker]:
    folder = tmp_path_factory.mktemp("foreign")
    async with Simulators(folder) as sim:
        pool = Pool(folder / "pool", sim.addresses)
        async with Picker(folder, pool, "--health-checking", tls=request.param) as picker:
            yield picker
            assert not await picker.metric("epp_transport_limits_total")
            assert '"level":"error"' not in picker.output()


def url(picker: Picker, path: str) -> str:
    return f"{'https' if picker.tls else 'http'}://{picker.address}{path}"


async def run(*argv: str | Path) -> tuple[int, str]:
    """What a program prints, and its exit code."""
    program = await asyncio.create_subprocess_exec(
        *map(str, argv), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await asyncio.wait_for(program.communicate(), PATIENCE)
    finally:
        if program.returncode is None:
            program.kill()
    return await program.wait(), output.decode()


# h2load -----------------------------------------------------------------------------------------------------


def call(folder: Path, *messages: bytes) -> Path:
    """A file with a request's messages, as gRPC frames them."""
    file = folder / "body"
    file.write_bytes(b"".join(b"\0" + len(each).to_bytes(4, "big") + each for each in messages))
    return file


async def load(picker: Picker, path: str, body: Path, count: int, *flags: str) -> None:
    """So many calls, each of which has to succeed."""
    code, output = await run("h2load", "-n", str(count), "-d", body, *flags, *GRPC, url(picker, path))
    assert code == 0, output
    assert re.search(rf"requests: {count} total, {count} started, {count} done, {count} succeeded", output), (
        output
    )
    assert f"status codes: {count} 2xx" in output
    await eventually(picker.is_idle)


@pytest.mark.parametrize(
    "flags",
    [
        ["-c", "16", "-m", "64"],
        ["-c", "2", "-m", "1000"],
        ["-c", "64", "-m", "1"],
        ["-c", "4", "-m", "32", "-w", "4", "-W", "16"],
    ],
    ids=["many streams", "as many as are allowed", "one after the other", "windows of 15 bytes"],
)
async def test_health_checks(picker: Picker, tmp_path: Path, flags: list[str]) -> None:
    await load(picker, CHECK, call(tmp_path, b""), 5000, *flags)


@pytest.mark.parametrize(("size", "count"), [(100, 2000), (220_000, 200)])
async def test_ext_proc(picker: Picker, tmp_path: Path, size: int, count: int) -> None:
    """Requests that are placed, and whose gateway then ends the stream."""
    letters = (HEADERS, BODY % ("p" * size))
    messages = [text_format.Parse(letter, ProcessingRequest()).SerializeToString() for letter in letters]
    before = await picker.metric("inference_objective_request_total")
    await load(picker, PROCESS, call(tmp_path, *messages), count, "-c", "8", "-m", "32")
    assert await picker.metric("inference_objective_request_total") == before + count


# curl -------------------------------------------------------------------------------------------------------


async def curl(picker: Picker, path: str, *flags: str) -> tuple[int, str]:
    """The exit code, and what came: headers and body."""
    return await run("curl", "-sS", "-i", "-k", "-m", str(PATIENCE), *flags, url(picker, path))


# With TLS, ALPN chooses HTTP/2.
PRIOR = "--http2-prior-knowledge"
AS_GRPC = ["-H", "content-type: application/grpc"]


@pytest.mark.parametrize(
    ("path", "flags", "status", "told"),
    [
        ("/", [], 415, "the content-type must be application/grpc"),
        (CHECK, ["-d", "{}"], 415, "the content-type must be application/grpc"),
        (CHECK, ["-d", "{}", "-H", "content-type: application/json"], 415, "must be application/grpc"),
        (PROCESS, ["-d", "{}", "-H", "content-type: application/grpc-web"], 415, "must be application/grpc"),
        (PROCESS, AS_GRPC, 405, "allow: POST"),
        (PROCESS, ["-X", "PUT", "-d", "", *AS_GRPC], 405, "the method must be POST"),
        ("/nothing/here", ["-d", "", *AS_GRPC], 200, "grpc-status: 12"),
        (PROCESS, ["-d", "no message", *AS_GRPC], 200, "grpc-status: "),
    ],
)
async def test_what_is_no_call(picker: Picker, path: str, flags: list[str], status: int, told: str) -> None:
    code, output = await curl(picker, path, PRIOR, *flags)
    assert code == 0, output
    assert output.startswith(f"HTTP/2 {status} "), output
    assert told in output


async def test_head_has_no_body(picker: Picker) -> None:
    code, output = await curl(picker, "/", PRIOR, "--head")
    assert (code, output.split()[:2]) == (0, ["HTTP/2", "415"])
    assert output.endswith("\r\n\r\n")


async def test_a_large_body_that_nobody_reads(picker: Picker, tmp_path: Path) -> None:
    """It goes over the windows many times."""
    file = tmp_path / "large"
    file.write_bytes(bytes(40 << 20))
    code, output = await curl(picker, "/", PRIOR, "--data-binary", f"@{file}", "-H", "expect:")
    assert code == 0, output
    assert output.startswith("HTTP/2 415 "), output


async def test_http_1_is_turned_away(picker: Picker) -> None:
    code, output = await curl(picker, "/", "--http1.1")
    assert code != 0
    assert "HTTP/1.1 200" not in output

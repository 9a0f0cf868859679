"""`epp sim` as a process of its own."""

import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

COMMAND = [sys.executable, "-c", "import sys; from epp.sim.main import main; sys.exit(main(sys.argv[1:]))"]

# Generous for a busy machine; the process needs a fraction of a second for each.
TIMEOUT = 30


def start(*argv: str) -> subprocess.Popen[str]:
    return subprocess.Popen([*COMMAND, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_ends_on_a_signal(number: signal.Signals) -> None:
    with start("--port", "0", "--servers", "2") as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        addresses = re.findall(r"127\.0\.0\.1:\d+", said)
        assert said.startswith("sim: 2 servers on 127.0.0.1:")
        with urllib.request.urlopen(f"http://{addresses[0]}/health", timeout=TIMEOUT) as response:
            assert response.status == 200
        process.send_signal(number)
        _, errors = process.communicate(timeout=TIMEOUT)
        assert (process.returncode, errors) == (0, "")


def test_one_server() -> None:
    with start("--port", "0", "--servers", "1") as process:
        assert process.stdout is not None
        assert re.fullmatch(r"sim: 1 server on 127\.0\.0\.1:\d+\n", process.stdout.readline())
        process.terminate()
        process.communicate(timeout=TIMEOUT)


def test_a_taken_port_is_an_error_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with start("--port", str(port), "--servers", "1") as process:
            _, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1
    assert errors == f"epp sim: cannot listen on 127.0.0.1:{port}: Address already in use\n"

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from epp.gateway import processes
from epp.gateway.processes import Part, StartError, Supervisor, next_pause

# Says where it runs, and gets ready by making a file; SIGTERM ends it.
STEADY = 'echo "I am $$"; touch "$0"; exec sleep 600'


class Transcript(list):
    """What the user was told; `until` waits for a line."""

    def __init__(self):
        super().__init__()
        self._news = asyncio.Event()

    def __call__(self, line):
        self.append(line)
        self._news.set()

    async def until(self, text, times=1):
        async with asyncio.timeout(20):
            while sum(text in line for line in self) < times:
                self._news.clear()
                await self._news.wait()
        return [line for line in self if text in line][-1]


@pytest.fixture
def said():
    return Transcript()


@pytest.fixture
def part(tmp_path):
    def make(script, name="cook"):
        flag = tmp_path / name

        async def ready():
            made = flag.exists()
            flag.unlink(missing_ok=True)
            return made

        return Part(name, ["sh", "-c", script, str(flag)], ready)

    return make


async def test_a_part_is_ready_when_start_returns_and_gone_after_the_block(said, part, children):
    async with Supervisor(said) as supervisor:
        await supervisor.start(part(STEADY))
        pid = int((await said.until("I am")).removeprefix("cook | I am "))
        assert pid in children()
    assert children() == []
    assert said == [f"cook | I am {pid}"]


async def test_a_part_that_ends_before_it_is_ready(said, part, children):
    async with Supervisor(said) as supervisor:
        with pytest.raises(StartError, match=r"^cook did not start: exit code 3$"):
            await supervisor.start(part("echo the stove is cold >&2; exit 3"))
    assert said == ["cook | the stove is cold"]
    assert children() == []


async def test_a_part_that_never_gets_ready(said, part, monkeypatch, children):
    monkeypatch.setattr(processes, "START_TIMEOUT", 0.2)
    async with Supervisor(said) as supervisor:
        with pytest.raises(StartError, match=r"cook was not ready after 0.2 s"):
            await supervisor.start(part("exec sleep 600"))
    assert children() == []


async def test_a_part_that_fails_ends_those_before_it(said, part, children):
    async def serve():
        async with Supervisor(said) as supervisor:
            await supervisor.start(part(STEADY))
            await supervisor.start(part(STEADY))  # the same name twice is no matter
            await supervisor.start(part("exit 1", name="waiter"))

    with pytest.raises(StartError, match="waiter"):
        await serve()
    assert children() == []


async def test_a_part_that_dies_is_started_again(said, part, monkeypatch):
    monkeypatch.setattr(processes, "FIRST_PAUSE", 0.01)
    async with Supervisor(said) as supervisor:
        await supervisor.start(part(STEADY))
        first = await said.until("I am")
        os.kill(int(first.removeprefix("cook | I am ")), signal.SIGKILL)
        await said.until("ready again")
        await said.until("I am", times=2)
    assert said[:2] == [first, "cook ended: killed by signal 9 (Killed); starts again in 0.01 s"]


async def test_a_part_that_does_not_come_back_is_tried_again(said, part, monkeypatch, tmp_path):
    monkeypatch.setattr(processes, "FIRST_PAUSE", 0.01)
    script = f"test -e {tmp_path}/broken && exit 1; {STEADY}"
    async with Supervisor(said) as supervisor:
        await supervisor.start(part(script))
        first = await said.until("I am")
        (tmp_path / "broken").touch()
        os.kill(int(first.removeprefix("cook | I am ")), signal.SIGTERM)
        await said.until("cook did not start: exit code 1; starts again in 0.02 s")
        (tmp_path / "broken").unlink()
        await said.until("ready again")


async def test_a_part_that_ignores_sigterm_is_killed(said, part, monkeypatch, children):
    monkeypatch.setattr(processes, "STOP_GRACE", 0.1)
    async with Supervisor(said) as supervisor:
        await supervisor.start(part('trap "" TERM; touch "$0"; while :; do sleep 0.05; done'))
    assert children() == []


async def test_what_a_part_says_while_it_is_ended_is_not_passed_on(said, part):
    script = 'trap "echo farewell; exit" TERM; echo hello; touch "$0"; while :; do sleep 0.05; done'
    async with Supervisor(said) as supervisor:
        await supervisor.start(part(script))
        await said.until("hello")
    assert said == ["cook | hello"]


async def test_a_grandchild_that_holds_the_output_open_does_not_delay_the_end(said, part, monkeypatch, gone):
    monkeypatch.setattr(processes, "OUTPUT_GRACE", 0.1)
    async with Supervisor(said) as supervisor:
        await supervisor.start(part(f'sleep 600 & echo "child $!"; {STEADY}'))
        grandchild = int((await said.until("child")).removeprefix("cook | child "))
    os.kill(grandchild, signal.SIGKILL)
    gone(grandchild)


async def test_output_of_any_length_and_encoding(said, part):
    script = f"printf 'caf\\351\\n\\nlast'; head -c {processes.LONGEST_LINE + 10} /dev/zero; exit 1"
    async with Supervisor(said) as supervisor:
        with pytest.raises(StartError):
            await supervisor.start(part(script))
    assert said[:2] == ["cook | caf\ufffd", "cook | "]
    assert "".join(line.removeprefix("cook | ") for line in said[2:]) == "last" + "\0" * (
        processes.LONGEST_LINE + 10
    )


def test_pauses_double_up_to_a_limit_and_begin_anew_after_a_steady_life():
    pauses = [0.0]
    for _ in range(9):
        pauses.append(next_pause(pauses[-1], lived=1.0))
    assert pauses == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert next_pause(10.0, lived=processes.STEADY_AFTER) == 0.1


# A program that supervises one part and says its process id.
SUPERVISING = """
import asyncio
from epp.gateway.processes import Part, Supervisor

async def ready():
    return True

async def main():
    async with Supervisor(lambda line: print(line, flush=True)) as supervisor:
        await supervisor.start(Part("cook", ["sh", "-c", "echo $$; exec sleep 600"], ready))
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_nothing_outlives_a_supervisor_that_is_killed(gone):
    with subprocess.Popen([sys.executable, "-c", SUPERVISING], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline().removeprefix("cook | "))
        parent.kill()
    gone(child)

"""Tasks in processes: their results, their errors, and how the processes end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import pytest

from epp.errors import ConfigError, Fault
from epp.simulate.parallel import run_all
from epp.simulate.progress import Gauge


def square(number: int, gauge: Gauge) -> int:
    gauge.expect(1)
    gauge(1.0, 1)
    return number * number


def pid(gauge: Gauge) -> int:
    return os.getpid()


def faulty(gauge: Gauge) -> int:
    raise ConfigError([Fault("a.yaml", 3, "x", "is wrong"), Fault("b.yaml", 0, "", "too")])


def killed(gauge: Gauge) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def endless(path: str, gauge: Gauge) -> None:
    Path(path, str(os.getpid())).touch()
    threading.Event().wait()


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_the_order_of_the_tasks(processes: int) -> None:
    timed = run_all([partial(square, number) for number in range(5)], processes)
    assert [each.result for each in timed] == [0, 1, 4, 9, 16]
    assert all(each.seconds >= 0 for each in timed)


def test_one_task_needs_no_process() -> None:
    assert [each.result for each in run_all([pid], 8)] == [os.getpid()]


def test_several_tasks_have_processes_of_their_own() -> None:
    assert os.getpid() not in [each.result for each in run_all([pid, pid], 2)]


def test_an_error_comes_as_it_was_raised_and_ends_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.yaml:3: x: is wrong\nb\.yaml: too") as raised:
        run_all([partial(endless, str(tmp_path)), faulty], 2)
    assert raised.value.faults[0] == Fault("a.yaml", 3, "x", "is wrong")
    assert not multiprocessing.active_children()


def test_a_process_that_is_killed() -> None:
    with pytest.raises(BrokenProcessPool):
        run_all([killed, killed], 2)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_parent(ending: signal.Signals, tmp_path: Path) -> None:
    program = (
        "from functools import partial\n"
        "from epp.simulate.parallel import run_all\n"
        "from tests.unit.simulate.test_parallel import endless\n"
        "if __name__ == '__main__':\n"
        f"    run_all([partial(endless, {str(tmp_path)!r})] * 2, 2)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    while len(workers := [int(path.name) for path in tmp_path.iterdir()]) < 2:
        assert parent.poll() is None
    parent.send_signal(ending)
    assert parent.wait() != 0
    for worker in workers:
        wait_for_end(worker)


def wait_for_end(process: int) -> None:
    """Of one that is no child of ours: until it is nowhere, or a zombie."""
    stat = Path(f"/proc/{process}/stat")
    while True:
        try:
            if stat.read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except (FileNotFoundError, ProcessLookupError):
            return

"""Tasks in processes of their own, with results in the order of the tasks.

Processes are started afresh ("spawn"), which is safe whatever threads and libraries are about; a task and its
result have to be small and picklable. A worker ends with the process that started it, however that ended.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, MutableSequence, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from multiprocessing.process import BaseProcess
from typing import Generic, NamedTuple, TypeVar

from epp.discovery import load_catalogue
from epp.simulate.progress import CELLS, Bar, Gauge

T = TypeVar("T")

# Seconds between two looks at the gauges: as often as an eye wants it.
_LOOK = 0.2

# In a worker: the gauges of all tasks.
_cells: MutableSequence[float] = []


class Timed(NamedTuple, Generic[T]):
    """What a task gave, and the real seconds that it took."""

    result: T
    seconds: float


def run_all(tasks: Sequence[Callable[[Gauge], T]], processes: int, plugin_path: str = "") -> list[Timed[T]]:
    """The results of `tasks`, at most `processes` at a time; with one, here and one after the other.

    The first error of a task ends all and is raised; BrokenProcessPool if a process is killed. `plugin_path`
    is that of the plugins which tasks may hold.
    """
    if min(processes, len(tasks)) <= 1:
        return _run_here(tasks)
    context = multiprocessing.get_context("spawn")
    cells = context.RawArray("d", CELLS * len(tasks))
    others = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(min(processes, len(tasks)), context, _begin, (cells, plugin_path))
    try:
        with Bar(len(tasks), cells) as bar:
            futures = [executor.submit(_run_there, task, number) for number, task in enumerate(tasks)]
            pending = set(futures)
            while pending:
                done, pending = wait(pending, _LOOK, FIRST_EXCEPTION)
                for future in done:
                    future.result()  # raises what the task raised
                bar.draw()
        return [future.result() for future in futures]
    except BaseException:
        # The executor would wait for the tasks under way.
        for process in set(multiprocessing.active_children()) - others:
            process.kill()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def _run_here(tasks: Sequence[Callable[[Gauge], T]]) -> list[Timed[T]]:
    cells = [0.0] * (CELLS * len(tasks))
    with Bar(len(tasks), cells) as bar:
        return [_timed(task, Gauge(cells, number, bar.draw)) for number, task in enumerate(tasks)]


def _run_there(task: Callable[[Gauge], T], number: int) -> Timed[T]:
    return _timed(task, Gauge(_cells, number))


def _timed(task: Callable[[Gauge], T], gauge: Gauge) -> Timed[T]:
    began = time.perf_counter()
    result = task(gauge)
    gauge.end()
    return Timed(result, time.perf_counter() - began)


def _begin(cells: MutableSequence[float], plugin_path: str) -> None:
    """In a new worker."""
    global _cells
    _cells = cells
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the parent's, which ends its workers
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent,), name="end-with-parent", daemon=True).start()
    load_catalogue(plugin_path)  # so that the classes of plugins in tasks are found


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)  # there is nobody left to tell anything

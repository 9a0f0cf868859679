"""How long the steps of unknown servers take, told from outside: probes, and the model fitted to them.

A request that is alone on its server is answered

    overhead + step(tokens of its prompt)    after it came
    step(b)                                  from token to token, with b requests in the batch

where step(n) = floor + token * n + pair * n^2 / 2, in seconds. All servers are probed at the same moments, so
that they take processors from each other as they do at work.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.validity.comparison import Answered
from epp.sim.steptime import StepTime
from epp.simulate.workload import Arrival, Piece

_PROMPTS = (8, 64, 128, 256, 384, 480)  # tokens; the tiny model takes 512
_BATCHES = (2, 4)
_OUTPUT = 24
_ROUNDS = 7
_PAUSE = 1.2  # seconds: longer than any probe takes

# None of a model's numbers may be 0.
_LEAST = 1e-9


class Shape(NamedTuple):
    """What a server is probed with: requests at a time, and tokens of their prompts."""

    batch: int
    prompt: int


class Probe(NamedTuple):
    """Medians of all rounds, in seconds."""

    shape: Shape
    ttft: float
    gap: float  # from token to token


@dataclass(frozen=True, slots=True)
class Fit:
    """What the probes come to."""

    overhead: float  # seconds of a request outside of steps
    step_time: StepTime
    worst: float  # relative error of the model at a probe, the largest


SHAPES = (*(Shape(1, prompt) for prompt in _PROMPTS), *(Shape(batch, _PROMPTS[0]) for batch in _BATCHES))


def probing(shapes: Sequence[Shape], servers: int) -> Iterator[tuple[Shape, Arrival]]:
    """The requests of all rounds, for a gateway that spreads them evenly over so many servers."""
    moments = [shape for _ in range(_ROUNDS) for shape in shapes]
    for number, shape in enumerate(moments):
        for turn in range(shape.batch * servers):
            prompt = (Piece(f"probe {number} {turn}", shape.prompt),)
            yield shape, Arrival(number * _PAUSE, prompt, _OUTPUT, f"probe {number} {turn}")


def probes(shapes: Iterable[Shape], answers: Iterable[Answered]) -> list[Probe]:
    """What the requests of these shapes were answered."""
    by_shape = defaultdict(list)
    for shape, answer in zip(shapes, answers, strict=True):
        by_shape[shape].append((answer.ttft, (answer.latency - answer.ttft) / (_OUTPUT - 1)))
    return [Probe(shape, *map(median, zip(*some, strict=True))) for shape, some in by_shape.items()]


def overhead(found: Iterable[Probe], step_time: StepTime) -> float:
    """What requests that are alone take outside of steps, if it is known how long those take."""
    return median(
        probe.ttft - step_time.step_seconds(0, 0, [(probe.shape.prompt, 0)])
        for probe in found
        if probe.shape.batch == 1
    )


def fit(found: Sequence[Probe]) -> Fit:
    """The model with the least squares of relative errors."""
    rows, seconds = [], []
    for shape, ttft, gap in found:
        if shape.batch == 1:
            rows.append((1.0, 1.0, shape.prompt, shape.prompt**2 / 2))
            seconds.append(ttft)
        rows.append((0.0, 1.0, shape.batch, 0.0))
        seconds.append(gap)
    matrix, measured = np.array(rows), np.array(seconds)
    solved = _least_squares(matrix / measured[:, None])
    errors = matrix @ solved / measured - 1
    outside, floor, token, pair = (max(float(each), _LEAST) for each in solved)
    return Fit(outside, step_time(floor, token, pair), float(np.abs(errors).max()))


def _least_squares(relative: NDArray[np.float64]) -> NDArray[np.float64]:
    """What makes all rows nearly 1. Not negative: columns that would be are left out, the worst first."""
    columns = list(range(relative.shape[1]))
    while True:
        solved, *_ = np.linalg.lstsq(relative[:, columns], np.ones(len(relative)), rcond=None)
        if min(solved) >= 0:
            whole = np.zeros(relative.shape[1])
            whole[columns] = solved
            return whole
        del columns[int(np.argmin(solved * np.abs(relative[:, columns]).mean(axis=0)))]


def step_time(floor: float, token: float, pair: float) -> StepTime:
    """The model of a server whose KV cache costs nothing to read, in seconds."""
    return StepTime(
        host_seconds=floor,
        weights_seconds=_LEAST,
        token_seconds=token,
        decode_launch_seconds=_LEAST,
        kv_bytes_per_second=1 / _LEAST**2,
        prefill_launch_seconds=_LEAST,
        first_chunk_token_seconds=_LEAST,
        first_chunk_pair_seconds=pair,
        past_token_seconds=_LEAST,
        later_chunk_pair_seconds=pair,
    )

"""The model of step times against measurements (h100_step_times.json says of what)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest

from epp.sim import steptime
from epp.sim.steptime import StepTime

MODEL = StepTime()
MEASURED: dict[str, Any] = json.loads(Path(__file__).with_name("h100_step_times.json").read_text())

# Of smaller batches the measured kernel tells nothing: see the docstring of epp/sim/steptime.py.
LEAST_BATCH = 16

MODELS: dict[str, Callable[..., float]] = {
    "dense": MODEL.dense_seconds,
    "decode_attention": lambda batch, context: MODEL.decode_seconds(batch * context),
    "prefill_attention": MODEL.prefill_seconds,
}


def rows(kind: str) -> Iterator[tuple[tuple[int, ...], float]]:
    """What was varied, and the milliseconds measured."""
    for *key, ms in MEASURED[kind]["rows"]:
        if kind != "decode_attention" or key[0] >= LEAST_BATCH:
            yield tuple(key), ms


def errors(kind: str) -> dict[tuple[int, ...], float]:
    """Model against measurement, per cent, by row."""
    return {key: 100 * (1e3 * MODELS[kind](*key) / ms - 1) for key, ms in rows(kind)}


@pytest.mark.parametrize(
    ("kind", "number", "worst", "usual"),
    [("dense", 21, 2.7, 1.7), ("decode_attention", 22, 13, 5), ("prefill_attention", 30, 7.1, 5)],
)
def test_each_row_is_within_the_bound_of_its_kind(kind: str, number: int, worst: float, usual: float) -> None:
    found = [abs(error) for error in errors(kind).values()]
    assert len(found) == number
    assert max(found) < worst
    assert sum(each * each for each in found) / len(found) < usual**2


def test_the_errors_are_those_that_the_module_tells() -> None:
    for line in [*lines_of_dense(), *table("decode_attention"), *table("prefill_attention")]:
        assert f"\n{line}\n" in (steptime.__doc__ or "")


def lines_of_dense() -> Iterator[str]:
    """As the docstring has them: tokens above, errors below."""
    found = list(errors("dense").items())
    for some in (found[:11], found[11:]):
        yield "        tokens        " + "".join(f"{tokens:7d}" for (tokens,), _ in some)
        yield "                      " + "".join(f"{error:7.1f}" for _, error in some)


def table(kind: str) -> Iterator[str]:
    """As the docstring has it."""
    found = errors(kind)
    first, second = (list(dict.fromkeys(values)) for values in zip(*found, strict=True))
    line_head, column_head, _ = MEASURED[kind]["columns"]
    yield f"        {line_head:>5}  {column_head:>7}" + "".join(f"{each:7d}" for each in second)
    for each in first:
        cells = (f"{found[each, other]:7.1f}" if (each, other) in found else "" for other in second)
        yield f"        {each:5d}         " + "".join(cells)


# Whole steps ---------------------------------------------------------------------------------------------


def measured_dense(tokens: int) -> float:
    """Milliseconds, on the line between the two measurements beside it."""
    known = MEASURED["dense"]["rows"]
    for (low, low_ms), (high, high_ms) in pairwise(known):
        if low <= tokens <= high:
            return float(low_ms + (high_ms - low_ms) * (tokens - low) / (high - low))
    raise AssertionError(f"no step of {tokens} tokens was measured")


def whole_steps(with_decodes: bool, with_prefill: bool) -> Iterator[float]:
    """Model against the sum of the parts measured, per cent, the host's time left out of both."""
    nothing: Iterable[tuple[tuple[int, ...], float]] = [((0, 0), 0.0)]
    decodings = rows("decode_attention") if with_decodes else nothing
    prefills = rows("prefill_attention") if with_prefill else nothing
    for ((batch, context), decode_ms), ((chunk, past), prefill_ms) in product(decodings, prefills):
        if batch + chunk <= 8192:
            modelled = MODEL.step_seconds(batch, batch * context, [(chunk, past)] if chunk else [])
            measured = measured_dense(batch + chunk) + decode_ms + prefill_ms
            yield 100 * (1e3 * (modelled - MODEL.host_seconds) / measured - 1)


@pytest.mark.parametrize(
    ("with_decodes", "with_prefill", "number", "worst", "usual"),
    [(True, False, 22, 3.7, 2), (False, True, 30, 6.1, 3), (True, True, 550, 6.1, 2.7)],
)
def test_whole_steps(with_decodes: bool, with_prefill: bool, number: int, worst: float, usual: float) -> None:
    found = [abs(error) for error in whole_steps(with_decodes, with_prefill)]
    assert len(found) == number
    assert max(found) < worst
    assert sum(each * each for each in found) / len(found) < usual**2


def test_a_small_decoding_batch_reads_its_cache_at_full_bandwidth() -> None:
    bytes_read = 4 * 32768 * 131_072
    assert MODEL.decode_seconds(4 * 32768) == pytest.approx(bytes_read / 3.0e12, rel=0.05)


def test_a_step_is_the_sum_of_its_parts() -> None:
    step = MODEL.step_seconds(decodes=10, decode_context=5000, prefills=[(1000, 0), (24, 4096)])
    parts = (
        MODEL.dense_seconds(10 + 1000 + 24),
        MODEL.decode_seconds(5000),
        MODEL.prefill_seconds(1000, 0),
        MODEL.prefill_seconds(24, 4096),
        MODEL.host_seconds,
    )
    assert step == pytest.approx(sum(parts))


def test_a_step_without_decoding_has_no_decode_attention() -> None:
    prefill_only = MODEL.step_seconds(0, 0, [(100, 0)])
    assert prefill_only == pytest.approx(
        MODEL.host_seconds + MODEL.dense_seconds(100) + MODEL.prefill_seconds(100, 0)
    )

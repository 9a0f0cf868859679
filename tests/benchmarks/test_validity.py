"""The comparison of both worlds, the probes of unknown servers, and that both worlds are asked the same."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.validity.asking import request_body
from benchmarks.validity.comparison import Answered, Compared, Figures, figures, middle, swapped, table
from benchmarks.validity.probes import SHAPES, Probe, Shape, fit, overhead, probes, probing, step_time
from benchmarks.validity.worlds import Servers, simulated
from epp.sim.engine import EngineConfig
from epp.sim.steptime import StepTime
from epp.sim.tokens import count, encode
from epp.simulate.workloads import arrivals

# Comparison ----------------------------------------------------------------------------------------------


def test_figures_of_a_run() -> None:
    answers = [Answered("a" if number < 6 else "b", number / 8, number / 4) for number in range(11)]
    run = figures(answers, servers=3, hit_rate=0.25)
    assert run == Figures(ttft=0.625, ttft_p90=1.125, latency=1.25, hit_rate=0.25, fullest=6 * 3 / 11)


def run(ttft: float) -> Figures:
    return Figures(ttft, 2 * ttft, 3 * ttft, 0.5, 1.2)


def test_the_middle_of_runs_is_that_of_each_figure() -> None:
    assert middle([run(1), run(9), Figures(2, 0, 0, 0, 0)]) == Figures(2, 2, 3, 0.5, 1.2)


COMPARED = {
    "one": Compared([run(0.1), run(0.3), run(0.2)], [run(0.1)]),
    "two": Compared([run(0.4)], [run(0.3)]),
    "three": Compared([run(0.3)], [run(0.4)]),
}


def test_policies_that_come_in_another_order_are_named() -> None:
    assert list(swapped(COMPARED)) == [("three", "two")]


def test_a_table_says_what_agrees_and_what_does_not() -> None:
    assert table(COMPARED) == (
        "| policy | mean TTFT ms | range of the real | ratio | p90 ms | hits | fullest |\n"
        "|---|---|---|---|---|---|---|\n"
        "| `one` | 200 / 100 | 100 to 300 | 2.00 | 400 / 200 | 50% / 50% | 1.20 / 1.20 |\n"
        "| `two` | 400 / 300 | 400 to 400 | 1.33 | 800 / 600 | 50% / 50% | 1.20 / 1.20 |\n"
        "| `three` | 300 / 400 | 300 to 300 | 0.75 | 600 / 800 | 50% / 50% | 1.20 / 1.20 |\n"
        "\n"
        "Order by mean TTFT: 2 of 3 pairs of policies agree.\n"
        "Not so: `three` before `two` in reality.\n"
    )


# Probes --------------------------------------------------------------------------------------------------


def answers_of(outside: float, model: StepTime, servers: int) -> Iterator[Answered]:
    """What servers with these step times answer to the probes, each alone with its batch."""
    for shape, arrival in probing(SHAPES, servers):
        ttft = outside + model.step_seconds(0, 0, [(shape.prompt, 0)])
        gap = model.step_seconds(shape.batch, shape.batch * shape.prompt)
        yield Answered("", ttft, ttft + gap * (arrival.output_tokens - 1))


@given(
    outside=st.floats(1e-3, 1e-1),
    floor=st.floats(1e-3, 1e-1),
    token=st.floats(1e-5, 1e-3),
    pair=st.floats(1e-7, 1e-5),
)
def test_a_model_is_found_again_from_what_its_servers_answer(
    outside: float, floor: float, token: float, pair: float
) -> None:
    model = step_time(floor, token, pair)
    found = fit(probes([shape for shape, _ in probing(SHAPES, 2)], answers_of(outside, model, 2)))
    assert found.overhead == pytest.approx(outside, rel=1e-3)
    for prompt in (10, 100, 500):
        step = model.step_seconds(0, 0, [(prompt, 0)])
        assert found.step_time.step_seconds(0, 0, [(prompt, 0)]) == pytest.approx(step, rel=1e-3)
    assert found.step_time.step_seconds(4, 2000) == pytest.approx(model.step_seconds(4, 2000), rel=1e-3)
    assert found.worst < 1e-3


def test_no_part_of_a_model_is_negative() -> None:
    # The prompt of 480 tokens is answered as fast as that of 8: no slope, and none that falls.
    flat = [Probe(shape, ttft=0.1 - shape.prompt * 1e-5, gap=0.01) for shape in SHAPES]
    found = fit(flat)
    assert found.overhead == pytest.approx(0.088, rel=0.02)
    assert found.step_time.step_seconds(0, 0, [(480, 0)]) == pytest.approx(0.01, rel=0.02)
    assert found.worst < 0.03


def test_what_requests_take_outside_of_known_steps() -> None:
    model = StepTime()
    found = probes([shape for shape, _ in probing(SHAPES, 2)], answers_of(0.015, model, 2))
    assert overhead(found, model) == pytest.approx(0.015)


def test_probes_of_a_shape_come_together_and_one_after_the_other() -> None:
    asked = list(probing(SHAPES, servers=2))
    at_once = [arrival.at for shape, arrival in asked if shape == Shape(4, 8)]
    assert {at_once.count(at) for at in at_once} == {4 * 2}
    assert {shape for shape, _ in asked} == set(SHAPES)
    assert len({arrival.prompt for _, arrival in asked}) == len(asked)


# Worlds --------------------------------------------------------------------------------------------------


def test_both_worlds_are_asked_the_same() -> None:
    for arrival in arrivals("shared-prefix:groups=3,prefix=100,question=7", 20, 1.0, 1):
        body = json.loads(request_body("tiny", arrival))
        assert count(encode(body["prompt"])) == sum(piece.tokens for piece in arrival.prompt)
        assert (body["model"], body["max_tokens"]) == ("tiny", arrival.output_tokens)


def test_the_virtual_world_adds_what_requests_take_outside_of_engines() -> None:
    fleet = {"127.0.0.1:1": EngineConfig(), "127.0.0.1:2": EngineConfig()}
    asked = list(arrivals("shared-prefix:groups=3", 20, 1.0, 1))
    without, added = (simulated("random", Servers("", fleet, overhead=each), asked, 1) for each in (0.0, 0.5))
    assert added.ttft == pytest.approx(without.ttft + 0.5)
    assert added.latency == pytest.approx(without.latency + 0.5)
    assert (added.hit_rate, added.fullest) == (without.hit_rate, without.fullest)

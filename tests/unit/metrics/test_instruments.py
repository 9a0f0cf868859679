"""Counters, gauges, histograms and their text, read back by Prometheus' own parsers."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_prometheus

from epp.metrics.instruments import MAX_CHILDREN, MAX_PENDING, Family, Readout, counter, gauge, histogram


def text(family: Family | Readout, openmetrics: bool = False) -> str:
    return "".join(family.text(openmetrics))


def samples(families: Iterable[object]) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples  # type: ignore[attr-defined]
    }


def test_a_counter() -> None:
    family = counter("answers_total", "Answers.", "code")
    family.at("200").add()
    family.at("200").add(2)
    family.at("503").add(0.5)
    assert text(family) == (
        "# HELP answers_total Answers.\n"
        "# TYPE answers_total counter\n"
        'answers_total{code="200"} 3\n'
        'answers_total{code="503"} 0.5\n'
    )
    assert text(family, openmetrics=True).splitlines()[:3] == [
        "# HELP answers Answers.",
        "# TYPE answers counter",
        'answers_total{code="200"} 3',
    ]


def test_without_labels_there_is_a_zero_from_the_start() -> None:
    assert text(gauge("open", "Open.")) == "# HELP open Open.\n# TYPE open gauge\nopen 0\n"
    assert text(gauge("open", "Open.", "kind")) == "# HELP open Open.\n# TYPE open gauge\n"


@pytest.mark.parametrize(
    ("value", "shown"), [(float("nan"), "NaN"), (float("inf"), "+Inf"), (-float("inf"), "-Inf")]
)
def test_values_that_are_no_numbers(value: float, shown: str) -> None:
    family = gauge("open", "Open.")
    family.at().value = value
    assert text(family).endswith(f"open {shown}\n")


def test_a_histogram() -> None:
    family = histogram("seconds", "Seconds.", (0.00005, 0.1, 1, 2.5), "who")
    for amount in (0.1, 0.11, 3, 0):
        family.at("me").observe(amount)
    assert text(family) == (
        "# HELP seconds Seconds.\n"
        "# TYPE seconds histogram\n"
        'seconds_bucket{who="me",le="5e-05"} 1\n'
        'seconds_bucket{who="me",le="0.1"} 2\n'
        'seconds_bucket{who="me",le="1"} 3\n'
        'seconds_bucket{who="me",le="2.5"} 3\n'
        'seconds_bucket{who="me",le="+Inf"} 4\n'
        'seconds_sum{who="me"} 3.21\n'
        'seconds_count{who="me"} 4\n'
    )


def test_a_histogram_is_read_again_and_again() -> None:
    family = histogram("seconds", "Seconds.", (1, 2))
    seen = []
    for amount in (0.5, 1.5, 2.5):
        family.at().observe(amount)
        seen.append([line.split(" ")[1] for line in text(family).splitlines()[2:]])
    assert seen == [["1", "1", "1", "0.5", "1"], ["1", "2", "2", "2.0", "2"], ["1", "2", "3", "4.5", "3"]]


def test_label_values_without_an_observation_are_not_shown() -> None:
    family = histogram("seconds", "Seconds.", (1, 2), "who")
    family.at("me")
    assert text(family) == "# HELP seconds Seconds.\n# TYPE seconds histogram\n"
    assert 'seconds_bucket{le="1"} 0\n' in text(histogram("seconds", "Seconds.", (1, 2)))


def test_bounds_are_written_as_go_writes_them() -> None:
    family = histogram("bytes", "Bytes.", (64, 524288, 1048576, 1073741824))

    def bounds(openmetrics: bool) -> list[str]:
        return [line.split('"')[1] for line in text(family, openmetrics).splitlines() if 'le="' in line]

    assert bounds(openmetrics=False) == ["64", "524288", "1.048576e+06", "1.073741824e+09", "+Inf"]
    assert bounds(openmetrics=True) == ["64.0", "524288.0", "1.048576e+06", "1.073741824e+09", "+Inf"]


# Enough of them that some are counted before the page is made.
@given(st.lists(st.floats(0, 100), max_size=20), st.integers(0, 2 * MAX_PENDING))
def test_the_same_numbers_as_prometheus_client(amounts: list[float], more: int) -> None:
    amounts += [float(number % 7) for number in range(more)]
    bounds = (0.0, 1.0, 2.5, 50.0)
    registry = CollectorRegistry()
    theirs = Histogram("seconds", "Seconds.", buckets=bounds, registry=registry)
    ours = histogram("seconds", "Seconds.", bounds)
    for amount in amounts:
        theirs.observe(amount)
        ours.at().observe(amount)
    expected = samples(read_prometheus(generate_latest(registry).decode()))
    expected.pop(("seconds_created",))
    found = {
        (name, *(f"{float(bound)}" if bound != "+Inf" else bound for bound in rest)): value
        for (name, *rest), value in samples(read_prometheus(text(ours))).items()
    }
    assert found == pytest.approx(expected, rel=1e-12)  # of the order in which the sum was made


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_label_value_survives(value: str) -> None:
    family = counter("answers_total", "Answers.", "code")
    family.at(value).add()
    assert samples(read_prometheus(text(family))) == {("answers_total", value): 1}
    assert samples(read_openmetrics(text(family, openmetrics=True) + "# EOF\n")) == {
        ("answers_total", value): 1
    }


def test_a_readout_is_read_when_the_page_is_made() -> None:
    queues = {"pod-a": 1.0}
    family = Readout(
        "queue", "Queue.", ("pod",), lambda: (((name,), value) for name, value in queues.items())
    )
    queues["pod-b"] = 2.5
    assert text(family).splitlines()[2:] == ['queue{pod="pod-a"} 1.0', 'queue{pod="pod-b"} 2.5']


def test_label_sets_are_bounded() -> None:
    family = counter("answers_total", "Answers.", "code", "pod")
    for number in range(MAX_CHILDREN + 5):
        family.at(str(number), "p").add()
    family.at("0", "p").add()
    assert repr(family) == "<Family answers_total counter 10001>"
    counted = samples(read_prometheus(text(family)))
    assert counted[("answers_total", "other", "other")] == 5
    assert counted[("answers_total", "0", "p")] == 2


def test_children_may_come_while_the_page_is_made() -> None:
    family = counter("answers_total", "Answers.", "code")
    family.at("200").add()
    pieces = family.text(False)
    next(pieces)
    family.at("503").add()
    assert list(pieces) == ['answers_total{code="200"} 1\n', 'answers_total{code="503"} 1\n']

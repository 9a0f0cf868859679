import pytest

from epp.sim.histogram import Histogram, braces, number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.0"),
        (0.001, "0.001"),
        (12, "12.0"),
        (999999, "999999.0"),
        (1e6, "1.0e+06"),
        (1795346581.2442694, "1.7953465812442694e+09"),
        (131072000, "1.31072e+08"),
        (1e22, "1e+22"),
    ],
)
def test_numbers_as_prometheus_clients_write_them(value: float, text: str) -> None:
    assert number(value) == text
    assert float(text) == value


def test_quotes_in_labels_are_escaped() -> None:
    assert braces(name='a "b" \\ c\n') == '{name="a \\"b\\" \\\\ c\\n"}'


def test_labels_are_sorted() -> None:
    assert braces(model_name="base", engine=0, le="+Inf") == '{engine="0",le="+Inf",model_name="base"}'
    assert braces() == ""


def test_observations_are_counted_cumulatively() -> None:
    histogram = Histogram("seconds", (0.1, 1, 10), engine="0")
    for value in (0.05, 0.1, 0.5, 99):
        histogram.observe(value)
    assert histogram.render().splitlines() == [
        'seconds_bucket{engine="0",le="0.1"} 2.0',
        'seconds_bucket{engine="0",le="1.0"} 3.0',
        'seconds_bucket{engine="0",le="10.0"} 3.0',
        'seconds_bucket{engine="0",le="+Inf"} 4.0',
        'seconds_count{engine="0"} 4.0',
        'seconds_sum{engine="0"} 99.65',
    ]


def test_a_second_look_sees_what_came_in_between() -> None:
    histogram = Histogram("seconds", (1,))
    before = histogram.render()
    assert histogram.render() == before
    histogram.observe(2)
    assert histogram.render().splitlines() == [
        'seconds_bucket{le="1.0"} 0.0',
        'seconds_bucket{le="+Inf"} 1.0',
        "seconds_count 1.0",
        "seconds_sum 2.0",
    ]

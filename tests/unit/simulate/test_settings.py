"""The flags of `epp simulate`."""

from __future__ import annotations

import pytest

from epp.config.flags import parse_flags
from epp.errors import ConfigError
from epp.sim.steptime import StepTime
from epp.simulate.settings import SimulateSettings, slower


def read(*argv: str) -> SimulateSettings:
    return parse_flags(SimulateSettings, argv, program="epp simulate")


def test_policies_are_listed_or_repeated() -> None:
    assert read("--policy", "random", "--policy", "a.yaml,b.yaml").policy == ("random", "a.yaml", "b.yaml")


def test_the_slow_engines_come_first() -> None:
    slow, *others = read("--engines", "3", "--slow-engines", "1", "--slowdown", "4").fleet
    assert len(others) == 2
    usual = others[0].step_time.step_seconds(8, 9000, [(512, 0), (100, 2000)])
    assert slow.step_time.step_seconds(8, 9000, [(512, 0), (100, 2000)]) == pytest.approx(4 * usual)


def test_slower_by_one_is_the_same() -> None:
    assert slower(StepTime(), 1) == StepTime()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--engines", "0"), "--engines.*larger than 0"),
        (("--rate", "0"), "--rate.*larger than 0"),
        (("--requests", "-1"), "--requests.*larger than 0"),
        (("--slow-engines", "5"), "--slow-engines.*from 0 to --engines"),
        (("--policy", ""), "--policy.*names no policy"),
    ],
)
def test_what_cannot_be(argv: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(*argv)

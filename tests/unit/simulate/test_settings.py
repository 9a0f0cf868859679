"""The flags of `epp simulate`."""

from __future__ import annotations

import pytest

from epp.config.flags import parse_flags
from epp.errors import ConfigError
from epp.simulate.settings import SimulateSettings


def read(*argv: str) -> SimulateSettings:
    return parse_flags(SimulateSettings, argv, program="epp simulate")


def test_policies_are_listed_or_repeated() -> None:
    assert read("--policy", "random", "--policy", "a.yaml,b.yaml").policy == ("random", "a.yaml", "b.yaml")


def test_as_many_processes_as_asked_for_or_as_there_are_cpus() -> None:
    assert read("--jobs", "3").processes == 3
    assert read().processes >= 1


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--engines", "0"), "--engines.*larger than 0"),
        (("--rate", "0"), "--rate.*larger than 0"),
        (("--requests", "-1"), "--requests.*larger than 0"),
        (("--jobs", "0"), "--jobs.*larger than 0"),
        (("--scrape-lag", "-1s"), "--scrape-lag.*not be negative"),
        (("--engines", "5", "--fleet", "fleet.yaml"), "--engines.*cannot go together with --fleet"),
        (("--find-knee", "--sweep", "sweep.yaml"), "--find-knee.*cannot go together with --sweep"),
        (("--sweep-out", "best.yaml"), "--sweep-out.*needs --sweep"),
        (("--knee-share", "1.1"), "--knee-share.*at most 1"),
        (("--policy", ""), "--policy.*names no policy"),
    ],
)
def test_what_cannot_be(argv: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(*argv)

import pytest

from epp.config.flags import parse_flags
from epp.errors import ConfigError
from epp.sim.engine import EngineConfig
from epp.sim.faults import Faults
from epp.sim.settings import SimSettings


def parse(*argv: str) -> SimSettings:
    return parse_flags(SimSettings, argv, program="epp sim")


def test_defaults_are_three_servers_of_one_h100_each() -> None:
    settings = parse()
    assert (settings.servers, settings.host, settings.port) == (3, "127.0.0.1", 8001)
    assert settings.adapters == ("food-review", "cad-fabricator")
    assert settings.engine == EngineConfig()
    assert settings.faults == Faults()


def test_flags_reach_the_engine_and_the_faults() -> None:
    settings = parse(
        *("--max-num-seqs=4", "--max-num-batched-tokens=64", "--num-blocks=100", "--block-size=32"),
        *("--max-loras=1", "--lora-load-time=50ms", "--fail-rate=0.1", "--hang-rate=0.2", "--die-after=3"),
    )
    assert settings.engine == EngineConfig(4, 64, 100, 32, 1, 0.05)
    assert settings.faults == Faults(0.1, 0.2, 3)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--servers=0", "at least 1"),
        ("--num-blocks=0", "at least 1"),
        ("--block-size=-1", "at least 1"),
        ("--max-num-batched-tokens=255", "less than --max-num-seqs"),
        ("--max-loras=-1", "not be negative"),
        ("--die-after=0", "at least 1"),
        ("--port=65534", "room for 3 ports"),
        ("--port=-1", "room for 3 ports"),
        ("--time-scale=0", "larger than 0"),
        ("--fail-rate=1.1", "from 0 to 1"),
        ("--hang-rate=-0.1", "from 0 to 1"),
    ],
)
def test_impossible_servers_are_refused(flag: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(flag)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("--max-num-seqs=0", "--fail-rate=2", "--hang-rate=2")
    assert len(caught.value.faults) == 3

import pytest

from epp.sim.bodies import decode
from epp.sim.control import FaultChange, LoadPins
from epp.sim.faults import Faults
from epp.sim.refusals import BodyError


def test_only_what_is_given_changes() -> None:
    change = decode(b'{"hang_rate": 0.5}', FaultChange)
    assert change.server is None
    assert change.apply(Faults(fail_rate=0.1, die_after=3)) == Faults(0.1, 0.5, 3)


def test_null_takes_die_after_back() -> None:
    change = decode(b'{"server": 2, "die_after": null}', FaultChange)
    assert change.server == 2
    assert change.apply(Faults(die_after=3)) == Faults()


@pytest.mark.parametrize(
    "body",
    [
        b'{"fail_rate": 1.5}',
        b'{"fail_rate": -1}',
        b'{"die_after": -1}',
        b'{"failrate": 1}',
        b'{"server": "a"}',
        b"",
    ],
)
def test_what_makes_no_sense_is_refused(body: bytes) -> None:
    with pytest.raises(BodyError):
        decode(body, FaultChange)


def test_pins_stay_until_null_lets_go() -> None:
    pinned = decode(b'{"waiting": 9, "kv_usage": 0.5}', LoadPins).apply({})
    assert pinned == {"waiting": 9, "kv_usage": 0.5}
    pinned = decode(b'{"waiting": null, "running": 2}', LoadPins).apply(pinned)
    assert pinned == {"kv_usage": 0.5, "running": 2}


def test_a_share_is_no_more_than_one() -> None:
    with pytest.raises(BodyError, match="kv_usage"):
        decode(b'{"kv_usage": 50}', LoadPins)

from random import Random

from epp.sim.faults import Fate, Faults


def fates(faults: Faults, seed: int = 1) -> list[Fate]:
    rng = Random(seed)
    return [faults.fate(rng) for _ in range(1000)]


def test_without_faults_everybody_is_served() -> None:
    assert set(fates(Faults())) == {Fate.SERVED}


def test_rates_of_one_strike_everybody() -> None:
    assert set(fates(Faults(fail_rate=1))) == {Fate.FAILS}
    assert set(fates(Faults(hang_rate=1))) == {Fate.HANGS}


def test_rates_are_shares() -> None:
    found = fates(Faults(fail_rate=0.2, hang_rate=0.3))
    assert 150 < found.count(Fate.FAILS) < 250
    assert 250 < found.count(Fate.HANGS) < 350


def test_the_seed_decides() -> None:
    faults = Faults(fail_rate=0.5)
    assert fates(faults, seed=7) == fates(faults, seed=7)
    assert fates(faults, seed=7) != fates(faults, seed=8)

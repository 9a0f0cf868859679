"""The clock of a connection by itself; what a peer hears is in test_limits.py."""

from epp.transport.h2.lifetime import Lifetime
from epp.transport.h2.limits import Limits

LIMITS = Limits(handshake=1, unfinished=2, keepalive=3, keepalive_answer=4, idle=5)


def overdue(lifetime: Lifetime, now: float, *, greeted: bool = True, unfinished: bool = False) -> str:
    return lifetime.overdue(now, greeted=greeted, unfinished=unfinished)


def test_a_limit_is_passed_only_by_whom_it_is_for() -> None:
    lifetime = Lifetime(LIMITS, 100)
    assert overdue(lifetime, 101, greeted=False) == ""
    assert overdue(lifetime, 101.5, greeted=False) == "handshake"
    assert overdue(lifetime, 102.5, unfinished=True) == "unfinished"
    assert overdue(lifetime, 1000) == ""


def test_peer_is_asked_once_and_any_word_will_do() -> None:
    lifetime = Lifetime(LIMITS, 100)
    assert not lifetime.ask(103)
    assert lifetime.ask(104)
    assert not lifetime.ask(105)
    assert overdue(lifetime, 108) == ""
    assert overdue(lifetime, 108.5) == "keepalive"
    lifetime.heard(108.5)
    assert overdue(lifetime, 108.5) == ""
    assert not lifetime.ask(111)


def test_unused_since_the_last_stream() -> None:
    lifetime = Lifetime(LIMITS, 100)
    assert lifetime.unused(105.5)
    lifetime.idle(104)
    assert not lifetime.unused(109)

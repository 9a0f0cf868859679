import io
import os

import pytest

from epp.gateway.screen import Screen


@pytest.fixture
def terminal(monkeypatch):
    """The size of the terminal: columns, lines."""

    def resize(columns, lines):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("LINES", str(lines))

    resize(80, 24)
    return resize


def shown(out):
    """What a terminal shows of this output: it knows the two sequences that a screen writes."""
    lines = [""]
    for piece in out.getvalue().split("\x1b["):
        rest = piece
        if piece.startswith("J"):
            rest = piece[1:]
        elif piece[:1].isdigit():
            count, _, rest = piece.partition("F")
            lines = [*lines[: -1 - int(count)], ""]
        first, *more = rest.split("\n")
        lines[-1] += first
        lines += more
    return lines[:-1]


def test_without_a_terminal_there_are_only_lines():
    out = io.StringIO()
    screen = Screen(out, live=False)
    screen.say("one")
    screen.show(["a table"])
    screen.say("two")
    assert out.getvalue() == "one\ntwo\n"


def test_a_table_is_drawn_over_and_stays_below_the_lines(terminal):
    out = io.StringIO()
    screen = Screen(out, live=True)
    screen.say("one")
    screen.show(["head", "a 1"])
    assert shown(out) == ["one", "head", "a 1"]
    screen.say("two")
    assert shown(out) == ["one", "two", "head", "a 1"]
    screen.show(["head", "a 2", "b 1"])
    assert shown(out) == ["one", "two", "head", "a 2", "b 1"]
    screen.show(["head"])
    screen.say("three")
    assert shown(out) == ["one", "two", "three", "head"]


def test_a_reader_that_is_gone_ends_nothing():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as out:
        screen = Screen(out, live=False)
        screen.say("one")
        screen.say("two")


def test_a_table_never_outgrows_the_terminal(terminal):
    out = io.StringIO()
    screen = Screen(out, live=True)
    terminal(5, 4)
    screen.show(["a long line", "b", "c", "d", "e"])
    assert shown(out) == ["a lon", "b", "c"]
    terminal(80, 24)
    screen.show(["a long line"])
    assert shown(out) == ["a long line"]

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.config.durations import format_duration
from epp.config.flags import Complaint, HelpRequested, Seconds, flag, help_text, parse_flags
from epp.errors import ConfigError

NO_DURATION = '"1" is no duration; write a number and a unit, as in 50ms, 2s, 1m30s'


@dataclass(frozen=True, slots=True)
class Settings:
    pool_name: str = flag("", heading="The pool", help="Name of the pool.")
    port: int = flag(9002, help="Port to serve on.")
    ratio: float = flag(0.5, help="Ratio of things.")
    secure: bool = flag(True, help="Serve TLS.")
    interval: Seconds = flag(Seconds(0.05), heading="Load", help="Time between looks.")
    ports: tuple[int, ...] = flag((), help="Target ports.")
    backend: tuple[str, ...] = flag(("a", "b"), help="Servers.")
    scheme: Literal["http", "https"] = flag("http", help="Scheme.")
    metric: str | None = flag(None, help="Name of the metric.")
    verbosity: int = flag(2, name="v", help="Detail of the logs.")
    number: int = flag(3, name="sim", short="n", help="Number of servers.")

    def complaints(self) -> Iterator[Complaint]:
        if self.port == self.number:
            yield Complaint(("port", "sim"), "is the number of servers too")


def parse(*argv: str) -> Settings:
    return parse_flags(Settings, argv, program="epp try")


def faults(*argv: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(*argv)
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("--pool-name x", "pool_name", "x"),
        ("--pool-name=x", "pool_name", "x"),
        ("-pool-name x", "pool_name", "x"),
        ("-pool-name=x", "pool_name", "x"),
        ("--pool-name=a=b", "pool_name", "a=b"),
        ("--pool-name=", "pool_name", ""),
        ("--pool-name -x", "pool_name", "-x"),
        ("--pool-name --help", "pool_name", "--help"),
        ("--port 1 --port 2", "port", 2),
        ("--ratio -1", "ratio", -1.0),
        ("--v 3", "verbosity", 3),
        ("-v 3", "verbosity", 3),
        ("-v=3", "verbosity", 3),
        ("--v=3", "verbosity", 3),
        ("-n 5", "number", 5),
        ("--sim=5", "number", 5),
        ("--secure", "secure", True),
        ("--secure=false", "secure", False),
        ("--secure=F", "secure", False),
        ("--secure false", "secure", False),
        ("--secure true", "secure", True),
        ("--secure false --secure", "secure", True),
        ("--interval 1m30s", "interval", 90.0),
        ("--ports 1,2 --ports=3", "ports", (1, 2, 3)),
        ("--backend c", "backend", ("c",)),
        ("--backend=", "backend", ()),
        ("--scheme https", "scheme", "https"),
        ("--metric=", "metric", ""),
        ("--port 7 --", "port", 7),
    ],
)
def test_takes_gos_spellings(line: str, field: str, value: object) -> None:
    settings = parse(*line.split(" "))
    assert getattr(settings, field) == value


def test_an_empty_word_is_a_value() -> None:
    assert parse("--metric", "", "--pool-name", "").metric == ""


def test_nothing_given_is_every_default() -> None:
    assert parse() == Settings()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--prt 1", ["command line: --prt: is not a flag; did you mean --port?"]),
        ("--PoolName=x", ["command line: --PoolName: is not a flag; did you mean --pool-name?"]),
        ("--zzzz", ["command line: --zzzz: is not a flag"]),
        ("---port 1", ["command line: ---port: is not a flag; did you mean --port?"]),
        ("--port", ["command line: --port: needs a value (int)"]),
        ("--port x", ['command line: --port: "x" is no whole number']),
        ("--secure=maybe", ['command line: --secure: "maybe" is neither true nor false']),
        (
            "--interval 1 s",
            [
                f"command line: --interval: {NO_DURATION}",
                "command line: s: is no flag, and nothing else may stand here",
            ],
        ),
        ("extra", ["command line: extra: is no flag, and nothing else may stand here"]),
        ("-", ["command line: -: is no flag, and nothing else may stand here"]),
        ("--secure yes", ["command line: yes: is no flag, and nothing else may stand here"]),
        ("-- --port", ["command line: --port: is no flag, and nothing else may stand here"]),
        ("--port 3", ["command line: --port: is the number of servers too"]),
    ],
)
def test_says_what_is_wrong(line: str, expected: list[str]) -> None:
    assert faults(*line.split(" ")) == expected


def test_all_faults_are_said_at_once() -> None:
    assert faults("--prt", "1", "stray", "--ports=1,x", "--scheme", "ftp", "--metric") == [
        "command line: --prt: is not a flag; did you mean --port?",
        "command line: stray: is no flag, and nothing else may stand here",
        'command line: --ports: "x" is no whole number',
        'command line: --scheme: "ftp" is not one of http, https',
        "command line: --metric: needs a value (string)",
    ]


def test_what_follows_from_a_fault_is_no_second_one() -> None:
    assert parse("--port", "4", "--sim", "5").port == 4
    # 9002 servers would be as many as the default port, but the port that was asked for cannot be read.
    assert faults("--sim", "9002", "--port", "x") == ['command line: --port: "x" is no whole number']
    assert faults("--sim", "9002", "--prt", "4") == [
        "command line: --prt: is not a flag; did you mean --port?"
    ]


@pytest.mark.parametrize("word", ["-h", "--help", "-help"])
def test_help_is_an_answer_and_no_fault(word: str) -> None:
    with pytest.raises(HelpRequested) as caught:
        parse("--port", "x", word)
    assert caught.value.text == help_text(Settings, "epp try")


def test_help_says_everything() -> None:
    assert (
        help_text(Settings, "epp try")
        == """\
Usage: epp try [flags]

The pool:
  --pool-name string
      Name of the pool.
  --port int
      Port to serve on. Default: 9002.
  --ratio number
      Ratio of things. Default: 0.5.
  --secure
      Serve TLS. Default: true.

Load:
  --interval duration
      Time between looks. Default: 50ms.
  --ports int,...
      Target ports.
  --backend string,...
      Servers. Default: a,b.
  --scheme http|https
      Scheme. Default: http.
  --metric string
      Name of the metric.
  --v int
      Detail of the logs. Default: 2.
  -n, --sim int
      Number of servers. Default: 3.
"""
    )


WORDS = (
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters=","), min_size=1)
    .map(str.strip)
    .filter(bool)
)


@st.composite
def vectors(draw: st.DrawFn) -> tuple[list[str], dict[str, Any]]:
    """An argument vector, in spellings drawn at random, and the values that it asks for."""
    values = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "pool_name": st.text(),
                "port": st.integers(10**4, 2**63 - 1),
                "ratio": st.floats(allow_nan=False, allow_infinity=False),
                "secure": st.booleans(),
                "interval": st.integers(0, 10**9).map(lambda ms: ms / 1000),
                "ports": st.lists(st.integers(1, 65535), min_size=1).map(tuple),
                "backend": st.lists(WORDS, min_size=1).map(tuple),
                "scheme": st.sampled_from(["http", "https"]),
                "metric": st.text(),
                "verbosity": st.integers(-9, 9),
            },
        )
    )
    argv: list[str] = []
    for field, value in values.items():
        name = draw(st.sampled_from(["-", "--"])) + {"verbosity": "v"}.get(field, field.replace("_", "-"))
        texts = [str(value)]
        if field == "secure":
            texts = [str(value).lower()]
        elif field == "interval":
            texts = [format_duration(value)]
        elif isinstance(value, tuple):
            cut = draw(st.integers(0, len(value) - 1))
            texts = [",".join(map(str, part)) for part in (value[:cut], value[cut:]) if part]
        for text in texts:
            argv += [f"{name}={text}"] if draw(st.booleans()) else [name, text]
    return argv, values


@given(vectors())
def test_every_spelling_of_a_value_gives_the_value(case: tuple[list[str], dict[str, Any]]) -> None:
    argv, values = case
    assert parse(*argv) == Settings(**values)


@given(
    st.lists(st.one_of(st.text(), st.sampled_from(["--port", "--secure", "-v", "--ports=", "--", "-", "="])))
)
def test_any_words_are_read_or_refused(argv: list[str]) -> None:
    assert isinstance(outcome(argv), Settings | ConfigError | HelpRequested)


def outcome(argv: list[str]) -> object:
    try:
        return parse(*argv)
    except (ConfigError, HelpRequested) as refusal:
        return refusal


def test_words_that_are_no_flags_go_to_the_operands() -> None:
    operands: list[str] = []
    settings = parse_flags(
        Settings, ["a", "--port", "7", "-", "--", "--port"], program="p", operands=operands
    )
    assert settings.port == 7
    assert operands == ["a", "-", "--port"]

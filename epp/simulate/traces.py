"""Request traces in two public formats, as workloads.

Mooncake's JSON lines name the 512-token blocks of each prompt, so that shared prefixes are known:

    {"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47, 2353]}   (ms)

Azure's tables have lengths alone, and so no two of their prompts share anything:

    TIMESTAMP,ContextTokens,GeneratedTokens
    2023-11-16 18:15:46.6805900,374,44
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import count, islice
from pathlib import Path

import msgspec

from epp.errors import ConfigError, Fault
from epp.simulate.workload import Arrival, Piece

# Tokens in a block of Mooncake's traces, by their description.
MOONCAKE_BLOCK = 512


class _Line(msgspec.Struct):
    """A line of Mooncake's."""

    timestamp: float  # ms
    input_length: int
    output_length: int
    hash_ids: list[int] = msgspec.field(default_factory=list)


class Traced(msgspec.Struct, frozen=True, gc=False):
    """One request of a trace: seconds since its start, lengths in tokens, names of blocks."""

    at: float
    prompt_tokens: int
    output_tokens: int
    blocks: tuple[int, ...] = ()


def read_trace(path: Path) -> list[Traced]:
    """The requests of a trace in order of time; ConfigError if the file is none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            read = _azure if path.suffix == ".csv" else _mooncake
            requests = sorted(read(file, str(path)), key=lambda request: request.at)
    except (OSError, UnicodeDecodeError) as error:
        raise _fault(path, 0, f"cannot be read: {error}") from error
    if not requests:
        raise _fault(path, 0, "has no requests")
    start = requests[0].at
    return [msgspec.structs.replace(request, at=request.at - start) for request in requests]


def replay(
    trace: Sequence[Traced], requests: int | None = None, rate: float | None = None
) -> Iterator[Arrival]:
    """`requests` of the trace (None: each once) at a mean of `rate` a second (None: as they came).

    The trace begins again as often as it takes, each time with other prompts: the same ones would all be
    cached by then.
    """
    wanted = len(trace) if requests is None else requests
    span = max(trace[-1].at, 1e-9) * len(trace) / max(1, len(trace) - 1)  # with the gap before the next round
    stretch = 1.0 if rate is None else len(trace) / (span * rate)
    rounds = ((turn, index, each) for turn in count() for index, each in enumerate(trace))
    for turn, index, each in islice(rounds, wanted):
        at = (turn * span + each.at) * stretch
        yield Arrival(at, _prompt(each, turn, index), each.output_tokens, f"answer {turn} {index}")


def _prompt(request: Traced, turn: int, index: int) -> tuple[Piece, ...]:
    if not request.blocks:
        return (Piece(f"prompt {turn} {index}", request.prompt_tokens),)
    pieces: list[Piece] = []
    left = request.prompt_tokens
    for block in request.blocks[:-1]:
        tokens = min(left, MOONCAKE_BLOCK)
        pieces.append(Piece(f"{turn} {block}", tokens))
        left -= tokens
    return (*pieces, Piece(f"{turn} {request.blocks[-1]}", left))


def _mooncake(lines: Iterable[str], name: str) -> Iterator[Traced]:
    decoder = msgspec.json.Decoder(_Line)
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            line = decoder.decode(text)
        except msgspec.DecodeError as error:
            raise _fault(name, number, str(error)) from error
        yield _checked(
            Traced(line.timestamp / 1000, line.input_length, line.output_length, tuple(line.hash_ids)),
            name,
            number,
        )


def _azure(lines: Iterable[str], name: str) -> Iterator[Traced]:
    rows = csv.DictReader(lines)
    for row in rows:
        try:
            request = Traced(
                _seconds(row["TIMESTAMP"]), int(row["ContextTokens"]), int(row["GeneratedTokens"])
            )
        except (KeyError, ValueError, TypeError) as error:
            raise _fault(name, rows.line_num, f"is no request: {error!r}") from error
        yield _checked(request, name, rows.line_num)


def _seconds(timestamp: str) -> float:
    """Unix seconds of a UTC time whose fraction may have more digits than Python reads."""
    whole, _, fraction = timestamp.removesuffix("+00:00").partition(".")
    return datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp() + float(f"0.{fraction or 0}")


def _checked(request: Traced, name: str, line: int) -> Traced:
    if request.prompt_tokens < 1 or request.output_tokens < 1:
        raise _fault(name, line, "a request has at least one token of prompt and one of output")
    return request


def _fault(name: Path | str, line: int, message: str) -> ConfigError:
    return ConfigError([Fault(str(name), line, "", message)])

"""Request traces in two public formats, as workloads.

Mooncake's JSON lines name the 512-token blocks of each prompt, so that shared prefixes are known:

    {"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47, 2353]}   (ms)

Azure's tables have lengths alone, and so no two of their prompts share anything:

    TIMESTAMP,ContextTokens,GeneratedTokens
    2023-11-16 18:15:46.6805900,374,44

Files whose name ends in .gz are unpacked while they are read. Where a trace says that a request had no tokens
of prompt or output, which occurs in published ones, it is given one, the least that an engine computes.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import count, islice
from pathlib import Path

import msgspec

from epp.errors import ConfigError, Fault
from epp.simulate.workload import Arrival, Piece

# Tokens in a block of Mooncake's traces, by their description.
MOONCAKE_BLOCK = 512

# Of Azure's tables.
_COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")

# Tokens; more is no request but a slip of the file.
_LONGEST = 10_000_000

# Date, time, fraction, zone.
_TIME = re.compile(r"([^.]{19})(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})?")


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


def read_trace(path: Path, most: int | None = None) -> list[Traced]:
    """The first `most` requests of a trace in order of time; ConfigError if the file is none."""
    read = _azure if path.name.removesuffix(".gz").endswith(".csv") else _mooncake
    opened = gzip.open if path.name.endswith(".gz") else open
    try:
        with opened(path, "rt", encoding="utf-8", newline="") as file:
            requests = sorted(islice(read(file, str(path)), most), key=lambda request: request.at)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, csv.Error) as error:
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
            yield _traced(line.timestamp / 1000, line.input_length, line.output_length, tuple(line.hash_ids))
        except (msgspec.DecodeError, ValueError) as error:
            raise _fault(name, number, str(error)) from error


def _azure(lines: Iterable[str], name: str) -> Iterator[Traced]:
    rows = csv.DictReader(lines)
    for row in rows:
        try:
            at, prompt, output = (row[column] for column in _COLUMNS)
            yield _traced(_seconds(at), int(prompt), int(output))
        except KeyError as error:
            raise _fault(name, 1, f"has no column {error}") from error
        except (ValueError, TypeError) as error:
            raise _fault(name, rows.line_num, f"is no request: {error}") from error


def _seconds(timestamp: str) -> float:
    """Unix seconds of a time, of UTC if it names no zone, whose fraction may be longer than Python reads."""
    match = _TIME.fullmatch(timestamp)
    if match is None:
        raise ValueError(f'"{timestamp}" is no time')
    whole, fraction, zone = match.groups()
    return datetime.fromisoformat(whole + (zone or "+00:00")).timestamp() + float(fraction or 0)


def _traced(at: float, prompt: int, output: int, blocks: tuple[int, ...] = ()) -> Traced:
    if not 0 <= prompt <= _LONGEST or not 0 <= output <= _LONGEST:
        raise ValueError(f"lengths are from 0 to {_LONGEST} tokens")
    return Traced(at, max(1, prompt), max(1, output), blocks)


def _fault(name: Path | str, line: int, message: str) -> ConfigError:
    return ConfigError([Fault(str(name), line, "", message)])

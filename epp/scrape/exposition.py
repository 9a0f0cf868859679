"""Reads a few wanted samples out of a page in Prometheus' text format, without parsing the page.

A model server's page is 50 KB of histograms around five values. `bytes.find` finds the lines that open with a
wanted name; only those are taken apart. The page is foreign: whatever its bytes, nothing here raises, and the
time is linear in its size. What is broken is missing, never zero:

- A value that is no finite decimal number (NaN, Inf, garbage) makes its line missing.
- A line without its line feed is missing: the page was cut off there, and the number perhaps too ("4" of
  "48"). The format ends every line with one.
- A name is whole: `x` finds neither `x_by_reason` nor `x_total`. A counter is wanted by the name on its line,
  which ends in `_total`. The TYPE comment is not asked.

Format: "Exposition formats" in the Prometheus documentation (text format 0.0.4), which also demands that the
samples of one name stand together; reading stops where they end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from epp.scrape.values import number

# Samples read of one name. vLLM keeps a line for every order and combination of active adapters it ever had
# (15 seen with two); reading this many takes about 10 ms.
MAX_SAMPLES = 10_000

# Most lines are the same from scrape to scrape, so they are remembered: as many as 100 endpoints have wanted
# ones, none longer than this many bytes (vLLM's longest, cache_config_info, has 1,100). 16 MB at most.
_REMEMBERED_LINES = 2048
_REMEMBERED_BYTES = 4096

# All lines of a name together are remembered for each server, if they are not longer than this: 10 lists of
# adapters, or 5 MB for the five names of 100 servers at most.
_REMEMBERED_TEXT = 10_000

# Names that are asked for: a dozen for all engines.
_REMEMBERED_NAMES = 100

# What follows the name on a sample's line: labels, value, timestamp. All repeats are possessive, so no page
# can make the match go back and try again.
_SAMPLE = re.compile(
    rb"""(?: [ \t]*+ \{ ( [^"}]*+ (?: " [^"\\]*+ (?: \\. [^"\\]*+ )*+ " [^"}]*+ )*+ ) \} [ \t]*+
       | [ \t]++ )
    ( [-+.\deE]++ ) (?: [ \t]++ ( [-+.\deE]++ ) )? [ \t\r]*+""",
    re.VERBOSE | re.DOTALL,
)
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*+)[ \t]*+=[ \t]*+"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)")

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_MATCHER = re.compile(
    r"""\s*([a-zA-Z_]\w*)\s*=(?![=~])\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\s"',{}]*))\s*"""
)

_NO_TIMESTAMP = float("-inf")


@dataclass(frozen=True, slots=True)
class Selector:
    """Which samples: those called `name` that carry each of `labels`; one that must be "" may be absent."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        matchers = ",".join(f'{key}="{value}"' for key, value in self.labels)
        return f"{self.name}{{{matchers}}}" if matchers else self.name


class Sample(NamedTuple):
    """One line of the page. `label_text`: what stands between its braces."""

    value: float
    timestamp: float  # as on the page; -inf without one
    label_text: bytes

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels by name, values unescaped. Shared: not to be written to."""
        read = _read_labels if len(self.label_text) <= _REMEMBERED_BYTES else _read_labels.__wrapped__
        return read(self.label_text)


def parse_selector(text: str) -> Selector:
    """Reads `name`, `name{k=v}` or `name{k="v",k2='v2'}`; quotes around the whole are taken off.

    That is the syntax of the v1.0.1 flags, and of a PromQL instant vector with equality matchers. Raises
    ValueError, which says what is wrong with `text`.
    """
    bare = text.strip()
    if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'":
        bare = bare[1:-1].strip()
    name, brace, rest = bare.partition("{")
    name = name.strip()
    if not _NAME.fullmatch(name):
        raise ValueError(f"{text!r} does not begin with a metric name")
    if not brace:
        return Selector(name)
    if not rest.endswith("}"):
        raise ValueError(f"{text!r} has no closing brace at its end")
    return Selector(name, tuple(_matchers(rest[:-1], text)))


def _matchers(body: str, text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while body[at:].strip():
        match = _MATCHER.match(body, at)
        if match is None:
            raise ValueError(f"{text!r}: expected label=value at {body[at:]!r} (only equality is understood)")
        key, double, single, plain = match.groups()
        yield key, re.sub(r"\\(.)", r"\1", double) if double is not None else single or plain or ""
        at = match.end()
        if body[at : at + 1] not in ("", ","):
            raise ValueError(f"{text!r}: expected a comma at {body[at:]!r}")
        at += 1


class Seen(NamedTuple):
    """The lines of one name on a server's last page."""

    at: int  # the line feed in front of the first
    text: bytes  # them, the line before, and as much of the next as shows that it is of another name
    start: int  # of `text`
    stop: int
    samples: list[Sample]


# What the last page of a server had, by name.
Memory = dict[str, Seen]

# Bytes before a name's old place where looking for it begins: numbers before it may have become shorter. Half
# of vLLM's 500 lines may lose two digits.
_SLACK = 512

_AFTER_NAME = (b"{", b" ", b"\t")


class Page:
    """One page to be read.

    `memory` is what reading the last page of the same server left there, and where this one leaves its own:
    lines that are as they were and where they were are not read again (most are: of five names 5 us instead
    of 25), and others are looked for first where they stood.
    """

    def __init__(self, data: bytes, memory: Memory | None = None) -> None:
        # Every line is found by the line feed in front of it. Servers' pages begin with a comment.
        self._data = data if data.startswith((b"#", b"\n")) else b"\n" + data
        self._memory: Memory = {} if memory is None else memory

    def __repr__(self) -> str:
        return f"<Page of {len(self._data)} bytes>"

    def samples(self, selector: Selector) -> list[Sample]:
        """Every readable sample that `selector` means, in order, of at most `MAX_SAMPLES` lines.

        Shared: not to be written to.
        """
        seen = self._memory.get(selector.name)
        if seen is not None and self._data[seen.start : seen.stop] == seen.text:
            samples = seen.samples
        else:
            samples = self._read(selector.name, 0 if seen is None else seen.at)
        if not selector.labels:
            return samples
        return [sample for sample in samples if _carries(sample, selector.labels)]

    def value(self, selector: Selector) -> float | None:
        """The value that `selector` means: of the latest timestamp, without timestamps the first.

        None if there is none. The rule is the reference's; a data-parallel vLLM has a sample per engine.
        """
        found = self.samples(selector)
        if len(found) > 1:
            return max(found, key=_timestamp).value  # `max` keeps the first of equals
        return found[0].value if found else None

    def _read(self, name: str, place: int) -> list[Sample]:
        """The readable samples of a name that stood at `place` before."""
        data = self._data
        line = _opening(name)
        first = at = self._find(line, place)
        found: list[Sample] = []
        for _ in range(MAX_SAMPLES if at >= 0 else 0):
            end = data.find(b"\n", at + 1)
            if end < 0:
                return found  # cut off
            rest = data[at + len(line) : end]
            read = _read_sample if len(rest) <= _REMEMBERED_BYTES else _read_sample.__wrapped__
            sample = read(rest)
            if sample is not None:
                found.append(sample)
            if data.startswith(line, end):
                at = end
                continue
            start, stop = max(0, data.rfind(b"\n", 0, first)), end + len(line)
            if stop - start <= _REMEMBERED_TEXT:
                self._memory[name] = Seen(first, data[start:stop], start, stop, found)
            break
        return found

    def _find(self, line: bytes, place: int) -> int:
        """The line feed in front of the first line that begins with `line`, -1 if there is none."""
        at = self._find_from(line, place - _SLACK) if place > _SLACK else -1
        if at < 0 or self._data.startswith(line, self._data.rfind(b"\n", 0, at)):  # not the first
            at = self._find_from(line, 0)
        return at

    def _find_from(self, line: bytes, start: int) -> int:
        data = self._data
        at = data.find(line, start)
        while at >= 0 and data[at + len(line) : at + len(line) + 1] not in _AFTER_NAME:
            at = data.find(line, at + 1)
        return at


@lru_cache(_REMEMBERED_NAMES)
def _opening(name: str) -> bytes:
    return b"\n" + name.encode()


def _timestamp(sample: Sample) -> float:
    return sample.timestamp


@lru_cache(_REMEMBERED_LINES)
def _read_sample(rest: bytes) -> Sample | None:
    """The sample on a line, by what follows its name."""
    match = _SAMPLE.fullmatch(rest)
    if match is None:
        return None
    label_text, value_text, timestamp_text = match.groups()
    value = number(value_text)
    if value is None:
        return None
    timestamp = number(timestamp_text)
    return Sample(value, _NO_TIMESTAMP if timestamp is None else timestamp, label_text or b"")


@lru_cache(_REMEMBERED_LINES)
def _read_labels(label_text: bytes) -> Mapping[str, str]:
    text = label_text.decode("utf-8", "replace")
    labels: dict[str, str] = dict(_LABEL.findall(text))
    if "\\" in text:
        return {key: _ESCAPE.sub(_unescape, value) for key, value in labels.items()}
    return labels


def _carries(sample: Sample, wanted: tuple[tuple[str, str], ...]) -> bool:
    labels = sample.labels
    return all(labels.get(key, "") == value for key, value in wanted)


def _unescape(escape: re.Match[str]) -> str:
    return "\n" if escape[1] == "n" else escape[1]

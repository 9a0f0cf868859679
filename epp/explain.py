"""`epp explain`: why a request went where it did, asked of a running picker."""

from __future__ import annotations

import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from epp.config.flags import flag, parse_flags
from epp.errors import ConfigError, Fault
from epp.scheduling.explain import explanation

_PATIENCE = 10.0  # seconds for an answer of the picker


@dataclass(frozen=True)
class ExplainSettings:
    """What `epp explain REQUEST_ID` may be told."""

    url: str = flag("http://127.0.0.1:9090", help="Where the picker's metrics port is.")


def main(argv: Sequence[str]) -> int:
    """Prints the decisions about a request, newest first; 1 if there is none, or no picker."""
    words = list(argv)
    request_id = words.pop(0) if words and not words[0].startswith("-") else ""
    settings = parse_flags(ExplainSettings, words, program="epp explain REQUEST_ID")
    if not request_id:
        raise ConfigError(
            [Fault("command line", 0, "", "the request's id is missing: epp explain REQUEST_ID")]
        )
    query = urllib.parse.urlencode({"request_id": request_id})
    try:
        with urllib.request.urlopen(f"{settings.url}/debug/decisions?{query}", timeout=_PATIENCE) as page:
            decisions = msgspec.json.decode(page.read(), type=list[dict[str, object]])
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        print(f"epp explain: {settings.url} does not answer as a picker: {error}", file=sys.stderr)
        return 1
    if not decisions:
        print(f"epp explain: no decision about {request_id!r} is kept", file=sys.stderr)
        return 1
    for number, decision in enumerate(decisions):
        print(*([""] if number else []), *explanation(decision), sep="\n")
    return 0

"""Log lines as JSON objects, one a line, as log collectors of clusters read them.

Keys follow the reference's encoder: level, ts (RFC 3339, UTC), logger, msg, and whatever a call passes in
`extra={"fields": {...}}`. Bodies, prompts and header values are never passed.
"""

from __future__ import annotations

import logging
import sys
import traceback
from datetime import UTC, datetime

import msgspec

# The reference's scale of -v: up to 2 the defaults, 3 and more a line per request.
REQUEST_VERBOSITY = 3


class JsonFormatter(logging.Formatter):
    """One JSON object a record."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line: dict[str, object] = {
            "level": record.levelname.lower(),
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["stacktrace"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def configure_logging(verbosity: int) -> None:
    """Sends log lines to standard error, with as much detail as `-v` asks for."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("epp").setLevel(logging.DEBUG if verbosity >= REQUEST_VERBOSITY else logging.INFO)


class FaultLog:
    """Logs faults of our own, each kind once: places only, for an exception's text may quote a body."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._seen: set[tuple[type[BaseException], str, int | None]] = set()

    def report(self, what: str, error: BaseException) -> None:
        """`what` failed with `error`, which was caught and has its traceback."""
        frames = traceback.extract_tb(error.__traceback__)
        kind = (type(error), frames[-1].filename, frames[-1].lineno)
        if kind in self._seen:
            return
        self._seen.add(kind)
        places = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))
        self._log.error(
            "%s failed with %s (this kind is logged once): %s", what, type(error).__name__, places
        )

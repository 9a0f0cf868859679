"""Log lines as JSON objects, one a line, as log collectors of clusters read them.

Keys follow the reference's encoder: level, ts (RFC 3339, UTC), logger, msg, and whatever a call passes in
`extra={"fields": {...}}`. Bodies, prompts and header values are never passed.
"""

from __future__ import annotations

import logging
import sys
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

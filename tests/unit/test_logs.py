"""Log lines as collectors read them, and what they never hold."""

from __future__ import annotations

import json
import logging

import pytest

from epp.logs import FaultLog, JsonFormatter, configure_logging

LOG = logging.getLogger("epp.test")


def line(record: logging.LogRecord) -> dict[str, object]:
    found: dict[str, object] = json.loads(JsonFormatter().format(record))
    return found


def test_a_record_is_one_json_object() -> None:
    record = LOG.makeRecord(
        "epp.test", logging.INFO, "f.py", 1, "pool %s", ("a\nb",), None, extra={"fields": {"endpoints": 3}}
    )
    record.created = 1_700_000_000.25
    assert line(record) == {
        "level": "info",
        "ts": "2023-11-14T22:13:20.250+00:00",
        "logger": "epp.test",
        "msg": "pool a\nb",
        "endpoints": 3,
    }
    assert "\n" not in JsonFormatter().format(record)


def test_an_exception_has_its_traceback() -> None:
    try:
        raise KeyError("x")
    except KeyError as error:
        record = LOG.makeRecord(
            "epp.test", logging.ERROR, "f.py", 1, "failed", (), (KeyError, error, error.__traceback__)
        )
    assert "KeyError" in str(line(record)["stacktrace"])


@pytest.mark.parametrize(("verbosity", "level"), [(0, "INFO"), (2, "INFO"), (3, "DEBUG"), (5, "DEBUG")])
def test_a_line_per_request_begins_at_three(verbosity: int, level: str) -> None:
    root = logging.getLogger()
    handlers, before = root.handlers[:], root.level
    try:
        configure_logging(verbosity)
        assert logging.getLevelName(logging.getLogger("epp").level) == level
    finally:
        root.handlers[:] = handlers
        root.setLevel(before)
        logging.getLogger("epp").setLevel(logging.NOTSET)


def test_a_kind_of_fault_is_logged_once_and_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    faults = FaultLog(LOG)
    for text in ("first prompt", "second prompt"):
        try:
            raise ValueError(text)
        except ValueError as error:
            faults.report("placing", error)
    [message] = caplog.messages
    assert message.startswith("placing failed with ValueError (this kind is logged once): ")
    assert "test_logs.py" in message
    assert "prompt" not in message

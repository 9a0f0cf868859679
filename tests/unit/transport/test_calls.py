import logging

import pytest

from epp.errors import GrpcStatus, ProtocolError
from epp.transport.calls import Faults


def fail_here() -> None:
    raise ValueError("the prompt stands in this text")


def fail_there() -> None:
    raise ValueError("another place")


def caught(function: object) -> Exception:
    try:
        function()  # type: ignore[operator]
    except ValueError as error:
        return error
    raise AssertionError


def test_protocol_error_is_told_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert Faults().status(ProtocolError("body before headers")) == (
        GrpcStatus.INVALID_ARGUMENT,
        "body before headers",
    )
    assert not caplog.records


def test_each_kind_of_other_error_is_logged_once_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults()
    for function in (fail_here, fail_here, fail_there, fail_here):
        assert faults.status(caught(function)) == (
            GrpcStatus.INTERNAL,
            "internal error of the endpoint picker",
        )
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert "ValueError" in caplog.text
    assert "fail_here" in caplog.text
    assert "fail_there" in caplog.text
    assert "prompt" not in caplog.text

"""The errors and the answers that they ask for."""

from __future__ import annotations

import pytest

from epp.errors import (
    BadRequestError,
    ConfigError,
    Fault,
    NoEndpointError,
    RequestError,
    ShedError,
    TooLargeError,
    UnknownPathError,
)

# The canonical words of the reference, which are label values of its error counter.
CODES = {"BadRequest", "NotFound", "Internal", "ServiceUnavailable", "ResourceExhausted"}


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (BadRequestError, 400, None),
        (UnknownPathError, 404, None),
        (TooLargeError, 413, None),
        (ShedError, 429, 1),
        (NoEndpointError, 503, 1),
        (RequestError, 500, None),
    ],
)
def test_answers(error: type[RequestError], status: int, retry_after: int | None) -> None:
    raised = error("why")
    assert (raised.status, raised.retry_after, raised.message) == (status, retry_after, "why")
    assert raised.code in CODES
    assert str(raised) == "why"


def test_a_reason_of_its_own_is_not_the_classes() -> None:
    assert BadRequestError("why", reason="no_model").reason == "no_model"
    assert BadRequestError("why").reason == BadRequestError.reason


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (
            Fault("pool.yaml", 7, "endpoints[2].port", "is no port"),
            "pool.yaml:7: endpoints[2].port: is no port",
        ),
        (Fault("pool.yaml", 0, "", "is empty"), "pool.yaml: is empty"),
        (Fault("pool.yaml", 7, "", "is no YAML"), "pool.yaml:7: is no YAML"),
    ],
)
def test_faults(fault: Fault, text: str) -> None:
    assert str(fault) == text


def test_a_configuration_tells_all_its_faults() -> None:
    faults = [Fault("a", 1, "b", "c"), Fault("a", 2, "d", "e")]
    assert str(ConfigError(faults)) == "a:1: b: c\na:2: d: e"
    assert ConfigError(faults).faults == tuple(faults)

import pytest

from epp.sim.refusals import (
    AdapterLoadedError,
    BodyError,
    InjectedError,
    RefusedError,
    TooLongError,
    UnknownAdapterError,
    UnknownModelError,
)


@pytest.mark.parametrize(
    ("error", "status", "kind", "param"),
    [
        (BodyError, 400, "BadRequestError", None),
        (TooLongError, 400, "BadRequestError", None),
        (UnknownModelError, 404, "NotFoundError", "model"),
        (AdapterLoadedError, 400, "InvalidUserInput", None),
        (UnknownAdapterError, 404, "NotFoundError", None),
        (InjectedError, 500, "InternalServerError", None),
    ],
)
def test_each_error_knows_its_answer(
    error: type[RefusedError], status: int, kind: str, param: str | None
) -> None:
    refused = error("why not")
    assert refused.status == status
    assert refused.body() == {"error": {"message": "why not", "type": kind, "param": param, "code": status}}

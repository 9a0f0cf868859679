"""Why a simulated server does not serve a request: each error knows the answer that vLLM would give."""

from __future__ import annotations

from typing import Any


class RefusedError(Exception):
    """A request that gets an error; 400 and vLLM's word for it unless a subclass says otherwise."""

    status = 400
    kind = "BadRequestError"
    param: str | None = None

    def body(self) -> dict[str, Any]:
        """The JSON of the answer."""
        error = {"message": str(self), "type": self.kind, "param": self.param, "code": self.status}
        return {"error": error}


class BodyError(RefusedError):
    """The body cannot be read."""


class TooLongError(RefusedError):
    """Prompt and output together are more than `max_model_len`."""


class UnknownModelError(RefusedError):
    """Neither the base model nor an adapter has this name."""

    status = 404
    kind = "NotFoundError"
    param = "model"


class AdapterLoadedError(RefusedError):
    """The adapter to be loaded is there already."""

    kind = "InvalidUserInput"


class UnknownAdapterError(RefusedError):
    """The adapter to be unloaded is not there."""

    status = 404
    kind = "NotFoundError"


class InjectedError(RefusedError):
    """The request is fine; it was to fail."""

    status = 500
    kind = "InternalServerError"

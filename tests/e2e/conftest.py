"""Which transport a module's tests run over: each of them in turn."""

from __future__ import annotations

import pytest

from tests.e2e.stack import TRANSPORTS


@pytest.fixture(scope="module", params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """What `epp serve --transport` is; a module whose picker does not ask for it runs over the default."""
    name: str = request.param
    return name

"""Each test runs against the tests' own API server, and against the real one where there is one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kubernetes.clusters import Cluster, Mock, Real

ASSETS = os.environ.get("KUBEBUILDER_ASSETS", "")


@pytest.fixture(params=["mock", "real"] if ASSETS else ["mock"])
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Real(Path(ASSETS), tmp_path) if request.param == "real" else Mock() as cluster:
        yield cluster

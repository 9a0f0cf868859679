"""`epp explain` against the admin port."""

from __future__ import annotations

import asyncio
import random
import socket
from typing import Any

import pytest

from epp.admin import AdminServer
from epp.errors import ConfigError
from epp.explain import main
from epp.metrics import Metrics
from epp.plugins.max_score_picker import MaxScorePicker
from epp.scheduling.decision import DecisionLog
from epp.scheduling.profile import NamedPicker, Profile
from tests.pools import everyone, load, request, store_of


class View:
    """A picker that has decided about the request "known" twice."""

    def __init__(self) -> None:
        self._log = DecisionLog()
        profile = Profile("default", [], [], NamedPicker("best", "max-score-picker", MaxScorePicker()))
        for _ in range(2):
            decision = profile.run(request(), everyone(store_of(load(0, 0.0))), random.Random(0))
            self._log.add(request(request_id="known"), decision)

    def ready(self) -> bool:
        return True

    def endpoints(self) -> list[dict[str, Any]]:
        return []

    def decisions(self, limit: int, request_id: str) -> list[dict[str, Any]]:
        return self._log.latest(limit, request_id)


async def run(*argv: str) -> int:
    server = AdminServer(View(), Metrics(), "127.0.0.1", 0)  # type: ignore[arg-type]
    await server.start()
    try:
        return await asyncio.to_thread(main, [*argv, "--url", f"http://127.0.0.1:{server.port}"])
    finally:
        await server.stop()


async def test_every_decision_about_the_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert await run("known") == 0
    written = capsys.readouterr().out
    assert written.count("request   known") == 2
    assert "picked    192.168.1.1:8000" in written


async def test_a_request_that_nobody_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert await run("unknown") == 1
    assert capsys.readouterr().err == "epp explain: no decision about 'unknown' is kept\n"


def test_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        assert main(["known", "--url", f"http://127.0.0.1:{taken.getsockname()[1]}"]) == 1
    assert "does not answer as a picker" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["--url", "http://127.0.0.1:1"]])
def test_no_request(argv: list[str]) -> None:
    with pytest.raises(ConfigError, match="the request's id is missing"):
        main(argv)

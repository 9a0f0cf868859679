"""A configuration file that changes while it is in force."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from epp.config.picker_config import PickerConfig
from epp.datastore.store import Datastore
from epp.errors import ConfigError
from epp.live_config import ConfigOrigin, LiveConfig, hash_of
from epp.plugins.registry import OWN_TYPES
from epp.scheduling.build import build_policy
from epp.scheduling.policy import Policy

HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"
QUEUE = HEAD + "plugins: [{type: queue-scorer}]\n"
PREFIX = HEAD + "plugins: [{type: prefix-cache-scorer}]\n"
BOTH = HEAD + "plugins: [{type: queue-scorer}, {type: prefix-cache-scorer}]\n"
FAULTY = HEAD + "plugins: [{type: queue-scorre}]\n"


def build(config: PickerConfig, previous: Policy | None) -> Policy:
    return build_policy(config, Datastore(), staleness=2.0, previous=previous)


class Origin(ConfigOrigin):
    """Counts how often it is looked at."""

    looks = 0

    def changed(self) -> bool:
        self.looks += 1
        return super().changed()


@dataclass
class Followed:
    """A live configuration, and what it told."""

    live: LiveConfig
    origin: Origin
    used: list[str] = field(default_factory=list)
    told: list[object] = field(default_factory=list)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 - a condition of files and threads has no event
                await asyncio.sleep(0.001)

    async def looks(self, count: int) -> None:
        """Waits until the origin was looked at so many times more."""
        wanted = self.origin.looks + count
        await self.until(lambda: self.origin.looks >= wanted)


Build = Callable[[PickerConfig, Policy | None], Policy]


def profile_of(policy: Policy) -> str:
    return repr(policy.scheduler.profiles["default"])


@asynccontextmanager
async def followed(
    file: Path, make: Callable[[PickerConfig, Policy | None], Policy] = build
) -> AsyncIterator[Followed]:
    origin = Origin(OWN_TYPES, file=str(file))
    told: list[object] = []
    live = LiveConfig(
        origin,
        origin.version(origin.text()),
        make,
        applied=lambda generation, hash_: told.append((generation, hash_)),
        reloaded=told.append,
        poll_interval=0.001,
    )
    found = Followed(live, origin, told=told)
    following = live.follow(lambda policy: found.used.append(profile_of(policy)))
    task = asyncio.create_task(following, name="follow")
    try:
        yield found
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def replace(file: Path, text: str | bytes) -> None:
    draft = file.with_suffix(".draft")
    draft.write_bytes(text.encode() if isinstance(text, str) else text)
    draft.replace(file)


def write_over(file: Path, text: str) -> None:
    """In place, and with the time that it had."""
    at = file.stat().st_mtime_ns
    with file.open("r+") as stream:
        stream.write(text)
    os.utime(file, ns=(at, at))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(QUEUE)
    return path


async def test_a_change_comes_into_force(file: Path) -> None:
    async with followed(file) as found:
        replace(file, BOTH)
        await found.until(lambda: found.used)
        assert found.used == ["<Profile default: queue-scorer*1 prefix-cache-scorer*1>"]
        assert found.told == [(1, hash_of(QUEUE)), (2, hash_of(BOTH)), "applied"]
        assert repr(found.live) == f"<LiveConfig {file} generation=2 {hash_of(BOTH)}>"


async def test_plugins_that_did_not_change_stay(file: Path) -> None:
    async with followed(file) as found:
        before = found.live.policy.made[0].plugin
        replace(file, BOTH)
        await found.until(lambda: found.used)
        assert found.live.policy.made[0].plugin is before


async def test_a_faulty_version_is_refused_told_once_and_forgotten(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with followed(file) as found:
        with caplog.at_level(logging.ERROR):
            replace(file, FAULTY)
            await found.until(lambda: "refused" in found.told)
            os.utime(file)  # another stamp, the same text
            await found.looks(20)
        fault = f'{file}:3: plugins[0].type: "queue-scorre" is no plugin type; did you mean "queue-scorer"?'
        assert [record.getMessage() for record in caplog.records] == [
            f"configuration refused, the one before stays in force: {fault}"
        ]
        assert found.used == []
        described = found.live.describe()
        assert (described["generation"], described["hash"]) == (1, hash_of(QUEUE))
        assert described["refused"]["faults"] == [fault]
        assert described["refused"]["hash"] == hash_of(FAULTY)
        replace(file, QUEUE)
        await found.until(lambda: found.live.describe()["refused"] is None)
        assert found.told == [(1, hash_of(QUEUE)), "refused"]
        replace(file, PREFIX)
        await found.until(lambda: found.used)
        assert found.live.generation == 2


async def test_a_second_change_at_the_same_time_and_of_the_same_size_is_seen(file: Path) -> None:
    one, other = (HEAD + f"plugins: [{{type: queue-scorer, name: {name}}}]\n" for name in "ab")
    replace(file, one)
    async with followed(file) as found:
        write_over(file, other)
        await found.until(lambda: found.used)
        assert found.used == ["<Profile default: b*1>"]


async def test_a_turned_link_is_a_change(tmp_path: Path) -> None:
    for name, text in (("1", QUEUE), ("2", PREFIX)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(text)
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "config.yaml").symlink_to("..data/config.yaml")
    async with followed(tmp_path / "config.yaml") as found:
        (tmp_path / "..data_tmp").symlink_to("2")
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")
        await found.until(lambda: found.used)
        assert found.used == ["<Profile default: prefix-cache-scorer*1>"]


async def test_a_file_that_is_gone_stays_in_force_and_may_come_back(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with followed(file) as found:
        os.unlink(file)
        await found.until(lambda: caplog.records)
        await found.looks(20)
        assert [record.getMessage() for record in caplog.records] == [
            f"{file} is gone; what it said last stays in force"
        ]
        replace(file, PREFIX)
        await found.until(lambda: found.used)
        assert found.live.generation == 2


async def test_a_file_that_cannot_be_read_is_refused_once(file: Path) -> None:
    async with followed(file) as found:
        replace(file, b"\xff")
        await found.until(lambda: "refused" in found.told)
        await found.looks(20)
        assert found.told[1:] == ["refused"]
        assert found.live.describe()["refused"]["faults"] == [f"{file}:1: is not UTF-8 text"]


async def test_whatever_building_raises_ends_nothing(file: Path) -> None:
    def fragile(config: PickerConfig, previous: Policy | None) -> Policy:
        if previous is not None and len(config.profiles[0].plugins) == 3:
            raise ZeroDivisionError("of no use")
        return build(config, previous)

    async with followed(file, fragile) as found:
        replace(file, BOTH)
        await found.until(lambda: "refused" in found.told)
        assert found.live.describe()["refused"]["faults"] == [
            f"{file}: cannot be built: ZeroDivisionError: of no use"
        ]
        replace(file, PREFIX)
        await found.until(lambda: found.used)


async def test_what_is_in_force_is_described(file: Path) -> None:
    replace(file, PREFIX + "flowControl: {}\n")
    async with followed(file) as found:
        described = found.live.describe()
        assert described.pop("applied_at").endswith("+00:00")
        config = described.pop("config")
        assert described == {
            "file": str(file),
            "generation": 1,
            "hash": hash_of(PREFIX + "flowControl: {}\n"),
            "warnings": [f"{file}:4: flowControl: is not used without the feature gate flowControl"],
            "refused": None,
        }
        assert "approx-prefix-cache-producer" in [plugin["name"] for plugin in config["plugins"]]


async def test_without_a_file_there_is_nothing_to_follow() -> None:
    for text, name in (("", "the built-in configuration"), (QUEUE, "--config-text")):
        origin = ConfigOrigin(OWN_TYPES, text=text)
        assert repr(origin) == f"<ConfigOrigin {name}>"
        live = LiveConfig(origin, origin.version(origin.text()), build)
        await live.follow(print)
        assert live.describe()["file"] == name


def test_the_first_version_has_to_be_right(file: Path) -> None:
    replace(file, FAULTY)
    origin = ConfigOrigin(OWN_TYPES, file=str(file))
    with pytest.raises(ConfigError, match="queue-scorre"):
        origin.version(origin.text())

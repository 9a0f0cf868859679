"""The file source with real files: every way in which a file comes to say something else."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from epp.errors import ConfigError
from epp.sources.file import FileSource
from epp.types import EndpointSpec, PoolSpec, Snapshot

# Short enough for tests to be quick; nothing here depends on it.
POLL = 0.002

# How long a test waits for what has to happen.
PATIENCE = 10.0


def text(*endpoints: str) -> str:
    return "pool: {name: p}\nendpoints:\n" + "".join(f"- {{{endpoint}}}\n" for endpoint in endpoints)


def write_file(path: Path, content: str) -> None:
    path.write_text(content)


def replace_file(path: Path, content: str) -> None:
    """Atomically, as an editor or a program that takes care does it."""
    beside = path.with_suffix(".new")
    beside.write_text(content)
    beside.replace(path)


class Names:
    """A resolver whose answers are set by hand; counts the questions."""

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        self.questions = 0
        self._asked = asyncio.Event()

    async def several_questions(self) -> None:
        """A source that asks each time it looks at its file has by then looked at the file as it is now."""
        async with asyncio.timeout(PATIENCE):
            for _ in range(5):
                self._asked.clear()
                await self._asked.wait()

    async def __call__(self, host: str) -> list[str]:
        self.questions += 1
        self._asked.set()
        if host not in self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [self.answers[host]]


class Reader:
    """Reads a source as the application does: always the newest value."""

    def __init__(self, source: FileSource) -> None:
        self._stream: AsyncIterator[Snapshot] = source.snapshots()

    async def next(self) -> Snapshot:
        async with asyncio.timeout(PATIENCE):
            return await anext(self._stream)

    async def next_hosts(self) -> dict[str, str]:
        return {spec.name: spec.host for spec in (await self.next()).endpoints}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "pool.yaml"
    found.write_text(text("name: a, address: 10.0.0.1"))
    return found


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
def reader(path: Path, names: Names) -> Reader:
    return Reader(FileSource(path, poll_interval=POLL, resolve_interval=0, resolve=names))


async def test_the_first_value_is_everything(path: Path) -> None:
    source = FileSource(path, namespace="team", poll_interval=POLL)
    assert await Reader(source).next() == Snapshot(
        pool=PoolSpec("p", "team"), endpoints=(EndpointSpec("a", "10.0.0.1", 8000),)
    )
    assert repr(source) == f"<FileSource {path}>"


async def test_an_atomic_replacement_is_seen(reader: Reader, path: Path) -> None:
    assert await reader.next_hosts() == {"a": "10.0.0.1"}
    replace_file(path, text("name: a, address: 10.0.0.2"))
    assert await reader.next_hosts() == {"a": "10.0.0.2"}
    replace_file(path, text("name: a, address: 10.0.0.2", "name: b, address: 10.0.0.3"))
    assert await reader.next_hosts() == {"a": "10.0.0.2", "b": "10.0.0.3"}


async def test_writing_in_place_is_seen(reader: Reader, path: Path) -> None:
    assert await reader.next_hosts() == {"a": "10.0.0.1"}
    write_file(path, text("name: longer, address: 10.0.0.2"))
    assert await reader.next_hosts() == {"longer": "10.0.0.2"}


async def test_a_symbolic_link_that_turns_is_seen(tmp_path: Path) -> None:
    # As the kubelet updates a ConfigMap: pool.yaml -> ..data/pool.yaml, ..data -> ..1, then ..data -> ..2.
    for version, host in (("..1", "10.0.0.1"), ("..2", "10.0.0.2")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "pool.yaml").write_text(text(f"name: a, address: {host}"))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "pool.yaml").symlink_to("..data/pool.yaml")

    reader = Reader(FileSource(tmp_path / "pool.yaml", poll_interval=POLL))
    assert await reader.next_hosts() == {"a": "10.0.0.1"}

    (tmp_path / "..data_tmp").symlink_to("..2")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    assert await reader.next_hosts() == {"a": "10.0.0.2"}


async def test_a_first_version_with_faults_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "pool.yaml"
    path.write_text(text("adress: 10.0.0.1", "address: 10.0.0.1, port: 0"))
    with pytest.raises(ConfigError) as caught:
        await Reader(FileSource(path)).next()
    assert [str(fault) for fault in caught.value.faults] == [
        f"{path}:3: endpoints[0].address: is missing",
        f'{path}:3: endpoints[0].adress: is no field; did you mean "address"?',
        f"{path}:4: endpoints[1].port: has to be from 1 to 65535, not 0",
    ]


async def test_a_file_that_was_never_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file or directory"):
        await Reader(FileSource(tmp_path / "pool.yaml")).next()


async def test_a_broken_version_is_refused_and_a_mended_one_taken(
    path: Path, names: Names, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    names.answers["gpu"] = "10.0.0.1"
    replace_file(path, text("name: a, address: gpu"))
    assert await reader.next_hosts() == {"a": "10.0.0.1"}

    following = asyncio.create_task(reader.next_hosts())
    replace_file(path, text("name: a, adress: gpu", "address: 10.0.0.9, port: x"))
    await names.several_questions()
    assert caplog.messages == [
        f"pool file refused, the version before stays: {path}:3: endpoints[0].address: is missing",
        f"pool file refused, the version before stays: {path}:3: endpoints[0].adress: is no field; "
        'did you mean "address"?',
        f"pool file refused, the version before stays: {path}:4: endpoints[1].port: has to be a whole "
        'number, not "x"',
    ]
    assert not following.done()

    replace_file(path, text("name: a, address: 10.0.0.2"))
    assert await following == {"a": "10.0.0.2"}


async def test_each_refused_version_is_told_once(path: Path, names: Names) -> None:
    refused: list[str] = []
    names.answers["gpu"] = "10.0.0.1"
    replace_file(path, text("name: a, address: gpu"))
    source = FileSource(
        path,
        poll_interval=0.001,
        resolve_interval=0,
        resolve=names,
        on_refused=lambda: refused.append("once"),
    )
    reader = Reader(source)
    await reader.next()
    following = asyncio.create_task(reader.next_hosts())
    replace_file(path, text("name: a, address: 10.0.0.9, port: x", "address: 10.0.0.8, port: y"))
    await names.several_questions()
    assert refused == ["once"]
    replace_file(path, text("name: a, address: 10.0.0.2"))
    await following
    assert refused == ["once"]


async def test_what_the_file_said_stays_when_it_is_gone(
    path: Path, names: Names, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    names.answers["gpu"] = "10.0.0.1"
    replace_file(path, text("name: a, address: gpu"))
    assert await reader.next_hosts() == {"a": "10.0.0.1"}

    following = asyncio.create_task(reader.next_hosts())
    os.unlink(path)
    await names.several_questions()
    assert caplog.messages == [f"pool file {path} is gone; what it said last stays"]
    assert not following.done()

    replace_file(path, text("name: b, address: 10.0.0.2"))
    assert await following == {"b": "10.0.0.2"}


async def test_a_version_that_says_the_same_is_no_news(path: Path, names: Names, reader: Reader) -> None:
    names.answers["gpu"] = "10.0.0.1"
    replace_file(path, text("name: a, address: gpu"))
    await reader.next()
    following = asyncio.create_task(reader.next_hosts())
    replace_file(path, "# the same\n" + text("name: a, address: gpu"))
    os.utime(path)
    await names.several_questions()
    assert not following.done()
    replace_file(path, text("name: a, address: 10.0.0.2"))
    assert await following == {"a": "10.0.0.2"}


async def test_host_names_are_followed(
    path: Path, names: Names, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    names.answers["gpu-a"] = "10.0.0.1"
    replace_file(
        path, text("name: a, address: gpu-a", "name: b, address: gpu-b", "name: c, address: 10.0.0.3")
    )
    # gpu-b has no address: it is left out.
    assert await reader.next_hosts() == {"a": "10.0.0.1", "c": "10.0.0.3"}
    assert caplog.messages == [
        "host gpu-b has no address: [Errno -2] Name or service not known",
        "endpoint b is left out: host gpu-b has no address of its own",
    ]
    names.answers["gpu-b"] = "10.0.0.2"
    assert await reader.next_hosts() == {"a": "10.0.0.1", "b": "10.0.0.2", "c": "10.0.0.3"}
    # gpu-a is no longer known, and keeps its address; gpu-b moves.
    del names.answers["gpu-a"]
    names.answers["gpu-b"] = "10.0.0.9"
    assert await reader.next_hosts() == {"a": "10.0.0.1", "b": "10.0.0.9", "c": "10.0.0.3"}


async def test_two_names_of_one_address_are_one_endpoint(
    path: Path, names: Names, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    names.answers = {"gpu-a": "10.0.0.1", "gpu-b": "10.0.0.1"}
    replace_file(path, text("name: a, address: gpu-a", "name: b, address: gpu-b"))
    assert await reader.next_hosts() == {"a": "10.0.0.1"}
    assert caplog.messages == ["endpoint b is left out: host gpu-b has no address of its own"]
    names.answers["gpu-b"] = "10.0.0.2"
    assert await reader.next_hosts() == {"a": "10.0.0.1", "b": "10.0.0.2"}


async def test_names_are_asked_again_only_when_their_time_is_up(path: Path, names: Names) -> None:
    names.answers["gpu"] = "10.0.0.1"
    replace_file(path, text("name: a, address: gpu"))
    reader = Reader(FileSource(path, poll_interval=POLL, resolve_interval=1e9, resolve=names))
    assert await reader.next_hosts() == {"a": "10.0.0.1"}
    for port in (1, 2, 3):
        replace_file(path, text(f"name: a, address: gpu, port: {port}"))
        await reader.next()
    assert names.questions == 4  # once for each version of the file, and not with each look at it

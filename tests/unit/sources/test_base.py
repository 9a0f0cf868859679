from collections.abc import AsyncIterator
from pathlib import Path

from epp.sources.base import Source
from epp.sources.file import FileSource
from epp.types import PoolSpec, Snapshot


class Told:
    """A source of values told beforehand."""

    def __init__(self, *told: Snapshot) -> None:
        self._told = told

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        for snapshot in self._told:
            yield snapshot


async def test_a_reader_needs_no_more_than_the_port(tmp_path: Path) -> None:
    path = tmp_path / "pool.yaml"
    path.write_text("pool: {name: p}")
    sources: list[Source] = [Told(Snapshot(PoolSpec("p"))), FileSource(path)]
    assert [await first(source) for source in sources] == [Snapshot(PoolSpec("p"))] * 2


async def first(source: Source) -> Snapshot:
    return await anext(aiter(source.snapshots()))

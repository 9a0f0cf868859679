"""A step as it is put together."""

from __future__ import annotations

from epp.sim.batch import Batch, first_chunk
from epp.sim.kvcache import BlockPool
from epp.sim.sequence import Sequence, SimRequest


def test_what_a_step_computes() -> None:
    batch = Batch(budget=100)
    batch.add(1, past=500)
    batch.add(1, past=20)
    batch.add(60, past=0)
    batch.add(30, past=64)
    assert (batch.budget, batch.decodes, batch.context) == (8, 2, 522)
    assert batch.prefills == [(60, 0), (30, 64)]


def test_the_first_chunk_leaves_out_what_is_cached_but_not_the_last_token() -> None:
    pool = BlockPool(10)
    table = pool.open_table([1, 2], 0, 2)
    assert table is not None
    pool.publish(table, [1, 2], 2)
    longer = Sequence(SimRequest("a", 30, 1, [1, 2]), arrived_at=0.0)
    equal = Sequence(SimRequest("b", 8, 1, [1, 2]), arrived_at=0.0)
    assert first_chunk(longer, pool, block_size=4, budget=100) == (2, 22)
    assert first_chunk(longer, pool, block_size=4, budget=10) == (2, 10)
    assert first_chunk(equal, pool, block_size=4, budget=100) == (1, 4)

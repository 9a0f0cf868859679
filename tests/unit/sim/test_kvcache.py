from hypothesis import given
from hypothesis import strategies as st

from epp.sim.kvcache import BlockPool, BlockTable, chained_hashes

TOKEN = 4  # bytes


def opened(pool: BlockPool, hashes: list[int], blocks: int) -> BlockTable:
    table = pool.open_table(hashes, pool.match(hashes, len(hashes)), blocks)
    assert table is not None
    return table


def cached(pool: BlockPool, hashes: list[int]) -> None:
    """Lets a sequence with these blocks come and go."""
    table = opened(pool, hashes, len(hashes))
    pool.publish(table, hashes, len(hashes))
    pool.close_table(table)


def test_only_full_blocks_have_hashes() -> None:
    assert len(chained_hashes(bytes(3 * TOKEN), block_size=2)) == 1
    assert chained_hashes(b"", block_size=2) == []


def test_a_hash_stands_for_the_block_and_all_before_it() -> None:
    one = chained_hashes(b"aaaabbbbcccc", block_size=1)
    other = chained_hashes(b"aaaaXXXXcccc", block_size=1)
    assert one[0] == other[0]
    assert one[1] != other[1]
    assert one[2] != other[2]


def test_a_salt_keeps_equal_prompts_apart() -> None:
    assert chained_hashes(b"aaaa", 1, salt="food-review") != chained_hashes(b"aaaa", 1)


def test_blocks_given_back_stay_findable_and_count_as_free() -> None:
    pool = BlockPool(4)
    table = opened(pool, [1, 2], 3)
    pool.publish(table, [1, 2], 2)
    assert repr(pool) == "BlockPool(3 of 4 in use, 0 cached)"

    pool.close_table(table)
    assert repr(pool) == "BlockPool(0 of 4 in use, 2 cached)"
    assert pool.match([1, 2, 3], limit=3) == 2
    assert pool.match([1, 2, 3], limit=1) == 1
    assert pool.match([9, 2], limit=2) == 0


def test_two_sequences_share_a_prefix_once() -> None:
    pool = BlockPool(4)
    first = opened(pool, [1, 2], 2)
    pool.publish(first, [1, 2], 2)
    second = opened(pool, [1, 2], 3)
    assert pool.in_use == 3

    pool.close_table(first)
    assert pool.in_use == 3
    pool.close_table(second)
    assert pool.in_use == 0


def test_the_least_recently_used_is_evicted_first_and_a_prefix_from_its_end() -> None:
    pool = BlockPool(4)
    cached(pool, [1, 2])
    cached(pool, [3, 4])
    cached(pool, [1])  # used again: now younger than 3 and 4
    table = opened(pool, [], 2)  # 2 goes, then 4
    assert pool.match([1, 2], 2) == 1
    assert pool.match([3, 4], 2) == 1

    assert pool.grow(table, 3)  # 3 goes
    assert pool.match([3], 1) == 0
    assert pool.match([1], 1) == 1


def test_blank_blocks_go_before_cached_ones() -> None:
    pool = BlockPool(3)
    cached(pool, [1])
    opened(pool, [], 2)
    assert pool.match([1], 1) == 1


def test_too_few_blocks_take_nothing() -> None:
    pool = BlockPool(3)
    cached(pool, [1, 2])
    table = opened(pool, [], 1)
    assert not pool.grow(table, 4)
    assert pool.in_use == 1
    # Both free blocks are the very ones to be shared: there is no third.
    assert pool.open_table([1, 2], matched=2, blocks=3) is None
    assert pool.in_use == 1
    assert pool.match([1, 2], 2) == 2


def test_a_block_computed_twice_at_once_stays_private_the_second_time() -> None:
    pool = BlockPool(4)
    first, second = opened(pool, [1], 1), opened(pool, [1], 1)
    pool.publish(first, [1], 1)
    pool.publish(second, [1], 1)
    assert (len(first.shared), first.private) == (1, 0)
    assert (len(second.shared), second.private) == (0, 1)
    pool.close_table(first)
    pool.close_table(second)
    assert repr(pool) == "BlockPool(0 of 4 in use, 1 cached)"


def test_a_block_computed_again_replaces_the_cached_copy() -> None:
    pool = BlockPool(3)
    cached(pool, [1])
    table = pool.open_table([1], matched=0, blocks=1)  # the last token is always computed
    assert table is not None
    pool.publish(table, [1], 1)
    assert repr(pool) == "BlockPool(1 of 3 in use, 0 cached)"


@given(
    num_blocks=st.integers(1, 12),
    prompts=st.lists(st.lists(st.integers(1, 6), max_size=6), min_size=1, max_size=30),
    data=st.data(),
)
def test_no_block_is_lost_or_held_twice(
    num_blocks: int, prompts: list[list[int]], data: st.DataObject
) -> None:
    pool = BlockPool(num_blocks)
    open_tables: list[BlockTable] = []
    for hashes in prompts:
        table = pool.open_table(hashes, pool.match(hashes, len(hashes)), len(hashes) + 1)
        if table is not None:
            assert table.blocks == len(hashes) + 1
            pool.publish(table, hashes, len(hashes))
            open_tables.append(table)
        closing = data.draw(st.integers(0, 2 * len(open_tables)))
        if closing < len(open_tables):
            pool.close_table(open_tables.pop(closing))
        private = sum(table.private for table in open_tables)
        shared = {block for table in open_tables for block in table.shared}
        assert pool.in_use == private + len(shared)
        assert 0 <= pool.free <= num_blocks
    for table in open_tables:
        pool.close_table(table)
    assert pool.in_use == 0

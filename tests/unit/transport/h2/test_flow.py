from hypothesis import given
from hypothesis import strategies as st

from epp.transport.h2.flow import SendQueue


@given(st.lists(st.lists(st.binary())), st.lists(st.integers(0, 20)))
def test_what_goes_in_comes_out_in_any_sizes(batches: list[list[bytes]], sizes: list[int]) -> None:
    queue = SendQueue()
    for batch in batches:
        queue.add(batch)
    whole = b"".join(map(b"".join, batches))
    assert queue.size == len(whole)
    out = b""
    for size in sizes:
        taken = b"".join(queue.take(size))
        assert len(taken) == min(size, len(whole) - len(out))
        out += taken
    out += b"".join(queue.take(queue.size))
    assert (out, queue.size) == (whole, 0)


def test_large_pieces_are_cut_without_copying() -> None:
    queue, piece = SendQueue(), b"x" * 100
    queue.add([piece])
    (first,), (second,) = queue.take(60), queue.take(60)
    assert isinstance(first, memoryview)
    assert isinstance(second, memoryview)
    assert first.obj is piece
    assert second.obj is piece


def test_clear_and_one_line() -> None:
    queue = SendQueue()
    queue.add([b"abc", b"d"])
    assert repr(queue) == "<SendQueue 4 bytes in 2>"
    queue.clear()
    assert (queue.size, queue.take(9)) == (0, [])

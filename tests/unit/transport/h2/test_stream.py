from epp.transport.h2.stream import ClosedStreams, Closing, Stream


def test_states_in_one_line() -> None:
    stream = Stream(3, 10, 10, None)
    lines = [repr(stream)]
    stream.remote_ended = True
    lines.append(repr(stream))
    stream.local_ended = True
    lines.append(repr(stream))
    stream.remote_ended = False
    lines.append(repr(stream))
    assert lines == [
        f"<Stream 3 {state} <SendQueue 0 bytes in 0>>"
        for state in ("open", "half-closed (remote)", "closed", "half-closed (local)")
    ]


def test_memory_of_closed_streams_is_bounded_and_what_it_forgot_is_mild() -> None:
    closed = ClosedStreams(memory=2)
    for stream_id in (1, 5, 9):
        closed.add(stream_id, Closing.ENDED)
    assert closed.how(1) is Closing.BY_PEER  # forgotten
    assert closed.how(5) is Closing.ENDED
    assert closed.how(7) is None  # skipped
    closed.add(5, Closing.BY_US)
    assert closed.how(5) is Closing.BY_US

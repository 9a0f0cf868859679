"""Every client that the fuzzer has kept, again: those that once failed, those that reached something new."""

from collections.abc import Iterator
from dataclasses import fields

import pytest

from epp.transport.h2 import frames
from epp.transport.h2.frames import ErrorCode, Setting
from epp.transport.h2.limits import Limits
from tests.fuzz.h2_client import SEED, Server, play
from tests.fuzz.h2_core import LONGEST, corpus
from tests.fuzz.h2_mutation import mutate
from tests.h2_peer import whole_frames

# Bounds that no counter tells of: the core answers some with an error, some with patience; the edge and calls
# hold others.
_UNTOLD = {
    *("frame_bytes", "message_bytes", "stream_window", "connection_window", "send_queue_bytes"),
    *("keepalive_answer", "connections", "buffered_bytes"),
}


@pytest.fixture(scope="module")
def played() -> list[Server]:
    return [play(client) for client in corpus()]


def frames_of(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """The frames of one side of a connection, up to one that is too large."""
    return whole_frames(data.removeprefix(frames.PREFACE), frames.DEFAULT_MAX_FRAME_SIZE)


def test_no_client_breaks_the_server(played: list[Server]) -> None:
    assert len(played) == len(corpus())


def test_the_corpus_has_every_kind_of_frame_flag_and_setting() -> None:
    sent = [frame for client in corpus() for frame in frames_of(client[SEED:])]
    assert {kind for kind, *_ in sent} > set(range(10))
    for kind, flags in (
        *((frames.DATA, flag) for flag in (frames.END_STREAM, frames.PADDED)),
        *((frames.HEADERS, flag) for flag in (frames.END_STREAM, frames.PADDED, frames.HAS_PRIORITY)),
        *((frames.CONTINUATION, flag) for flag in (0, frames.END_HEADERS)),
    ):
        assert any(each[0] == kind and each[1] & flags == flags for each in sent), (kind, flags)
    settings = [
        payload for kind, flags, _, payload in sent if kind == frames.SETTINGS and not len(payload) % 6
    ]
    assert {key for payload in settings for key, _ in frames.read_settings(payload)} >= set(Setting)


def test_the_corpus_runs_into_every_limit(played: list[Server]) -> None:
    hits = {name for server in played for name in server.hits}
    assert hits == {field.name for field in fields(Limits)} - _UNTOLD


def test_the_corpus_makes_the_server_write_every_kind_of_frame(played: list[Server]) -> None:
    written = [frame for server in played for frame in frames_of(bytes(server.written))]
    assert {kind for kind, *_ in written} == {
        *(frames.DATA, frames.HEADERS, frames.RST_STREAM, frames.SETTINGS, frames.PING, frames.GOAWAY),
        frames.WINDOW_UPDATE,
    }
    codes = {frames.read_number(payload[-4:]) for kind, *_, payload in written if kind == frames.RST_STREAM}
    codes |= {frames.read_number(payload[4:8]) for kind, *_, payload in written if kind == frames.GOAWAY}
    assert codes == {
        *(ErrorCode.NO_ERROR, ErrorCode.PROTOCOL_ERROR, ErrorCode.FLOW_CONTROL_ERROR),
        *(ErrorCode.STREAM_CLOSED, ErrorCode.FRAME_SIZE_ERROR, ErrorCode.REFUSED_STREAM),
        *(ErrorCode.COMPRESSION_ERROR, ErrorCode.ENHANCE_YOUR_CALM),
    }


def test_changed_clients_are_others_but_as_repeatable_as_their_seeds() -> None:
    client = corpus()[-1]
    changed = [mutate(client, LONGEST, seed, bytes.upper) for seed in range(50)]
    assert changed == [mutate(client, LONGEST, seed, bytes.upper) for seed in range(50)]
    assert len(set(changed)) > 40
    assert all(len(each) <= LONGEST for each in changed)

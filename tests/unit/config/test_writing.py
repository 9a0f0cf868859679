import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from hypothesis import given
from hypothesis import strategies as st

from epp.config.constraints import Length
from epp.config.document import Faults, parse_document
from epp.config.durations import Seconds
from epp.config.fields import Place
from epp.config.quantities import Quantity
from epp.config.schema import read
from epp.config.writing import written, written_fields

SECOND = Seconds(1)


@dataclass(frozen=True)
class Limit:
    max_bytes: Quantity
    place: Place = field(default_factory=Place, compare=False)
    after: Seconds | None = None


@dataclass(frozen=True)
class Queue:
    name: Annotated[str, Length(0, 9)]
    limits: tuple[Limit, ...] = ()
    labels: Mapping[str, float] = field(default_factory=dict)
    mode: Literal["a", "b"] = "a"
    pause: Seconds = SECOND
    extra: Any = None


def test_writes_every_field_as_documents_have_it() -> None:
    queue = Queue("q", (Limit(Quantity(2048), after=Seconds(0.05)), Limit(Quantity(0))), {"x": 1.5})
    assert written(Queue, queue) == {
        "name": "q",
        "limits": [{"maxBytes": "2Ki", "after": "50ms"}, {"maxBytes": "0"}],
        "labels": {"x": 1.5},
        "mode": "a",
        "pause": "1s",
    }


def test_what_has_no_value_has_its_default() -> None:
    assert written_fields(Queue, {"name": "q", "pause": Seconds(60)}) == {
        "name": "q",
        "limits": [],
        "labels": {},
        "mode": "a",
        "pause": "1m",
    }


LIMITS = st.builds(
    Limit,
    st.integers(0, 2**63 - 1).map(Quantity),
    after=st.none() | st.integers(0, 10**12).map(lambda ns: Seconds(ns / 10**9)),
)
QUEUES = st.builds(
    Queue,
    st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), max_size=9),
    st.lists(LIMITS, max_size=3).map(tuple),
    st.dictionaries(
        st.sampled_from(["a", "yes", "1", "~"]), st.floats(allow_nan=False, allow_infinity=False)
    ),
    st.sampled_from(["a", "b"]),
    extra=st.none() | st.booleans() | st.lists(st.integers(-9, 9)),
)


@given(QUEUES)
def test_what_is_written_reads_the_same(queue: Queue) -> None:
    faults = Faults("written")
    root = parse_document(json.dumps(written(Queue, queue), ensure_ascii=False), faults)
    assert root is not None
    assert (read(Queue, root, faults), faults.found) == (queue, [])

"""The endpoints of the pool as numpy columns, and what is known and reserved of each.

An endpoint has a slot, its index in every column, for as long as it is in the pool. Columns grow by
doubling. What was never told is NaN, never 0: an endpoint of which nothing is known is not idle.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from epp.types import EndpointSpec, LoadSample

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Slots = NDArray[np.intp]

T = TypeVar("T", bound=np.generic)

_FIRST_CAPACITY = 16

# Parts of the candidates that filters made lately: a few roles or models. A mask of 5,000 is 5 KB. A part
# remembers a quarter as many parts of its own, at least one: no more than 64 for each filter of a profile.
_REMEMBERED_PARTS = 16
_FEWER_PARTS = 4


@dataclass(slots=True, eq=False)
class Endpoint:
    """One endpoint while it is in the pool. `slot` is -1 once it has left."""

    spec: EndpointSpec
    slot: int
    base_models: frozenset[str] = field(default_factory=frozenset)  # by its model list; empty: not told
    address: str = field(init=False)  # as the destination header wants it; made once, needed for each request

    def __post_init__(self) -> None:
        self.address = self.spec.address

    def __repr__(self) -> str:
        return f"<Endpoint {self.spec.name} {self.address} slot={self.slot}>"


class Endpoints:
    """All endpoints of the pool. Columns hold one value per slot; units are named beside them."""

    def __init__(self) -> None:
        self.by_name: dict[str, Endpoint] = {}
        # Replaced, never changed: a record of a past decision keeps the roster that it was made with.
        self.by_slot: tuple[Endpoint | None, ...] = (None,) * _FIRST_CAPACITY
        self._free = list(range(_FIRST_CAPACITY - 1, -1, -1))
        # Made when asked for, and gone with any change, so that a thousand changes at once are one.
        self._slots: Slots | None = None
        self._ready: Candidates | None = None
        self._slots_by_address: dict[str, list[int]] | None = None  # of the ready ones
        n = _FIRST_CAPACITY
        self.waiting: Floats = np.full(n, np.nan)  # requests queued in the engine
        self.running: Floats = np.full(n, np.nan)  # requests in the engine's batch
        self.kv_usage: Floats = np.full(n, np.nan)  # 0..1 of KV blocks held by running requests
        self.cache_tokens: Floats = np.full(n, np.nan)  # tokens that fit in the KV cache
        self.block_sizes: Floats = np.full(n, np.nan)  # tokens in a KV block
        self.block_tokens: int | None = None  # tokens in the smallest KV block that was told
        self.max_lora: Floats = np.full(n, np.nan)  # adapters that fit in a batch
        self.load_at: Floats = np.full(n, -np.inf)  # when waiting and kv_usage were last told, seconds
        self.load_due_at: Floats = np.full(n, -np.inf)  # when more could be expected after that, seconds
        self.in_flight: Ints = np.zeros(n, np.int64)  # requests placed and not yet ended
        self.in_flight_tokens: Ints = np.zeros(n, np.int64)  # their estimated tokens
        self.picked_at: Ints = np.zeros(n, np.int64)  # number of the last pick, for ties
        self.picks: Ints = np.zeros(n, np.int64)  # requests placed since the endpoint came
        self._pick_number = 0
        self.load_version = 0  # changes with every value that an endpoint tells
        self.shown = _Shown(self)

    def __repr__(self) -> str:
        return f"<Endpoints {len(self.by_name)} in_flight={int(self.in_flight.sum())}>"

    def __len__(self) -> int:
        return len(self.by_name)

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self.by_name.values())

    # Membership ------------------------------------------------------------------------------------------

    def add(self, spec: EndpointSpec) -> Endpoint:
        """A new endpoint, of which nothing is known yet."""
        if not self._free:
            self._grow()
        endpoint = Endpoint(spec, self._free.pop())
        self.by_name[spec.name] = endpoint
        self._seat(endpoint.slot, endpoint)
        self._changed()
        return endpoint

    def update(self, endpoint: Endpoint, spec: EndpointSpec) -> None:
        """The same endpoint with other labels or readiness; its load and reservations stay."""
        endpoint.spec = spec
        self._changed()

    def remove(self, endpoint: Endpoint) -> None:
        """The endpoint leaves; what is reserved on it is forgotten."""
        del self.by_name[endpoint.spec.name]
        self._seat(endpoint.slot, None)
        self._free.append(endpoint.slot)
        self._reset(endpoint.slot)
        self._find_block_tokens()
        endpoint.slot = -1
        self._changed()

    @property
    def ready(self) -> Candidates:
        """The endpoints that their source calls ready; the same object until one comes, goes or changes."""
        if self._ready is None:
            self._ready = Candidates(
                self, np.array(sorted(e.slot for e in self if e.spec.ready), np.intp), -np.inf
            )
        return self._ready

    @property
    def slots(self) -> Slots:
        """Slots of all endpoints. Not to be written to."""
        if self._slots is None:
            self._slots = np.array([e.slot for e in self], np.intp)
        return self._slots

    def matching(self, subset: frozenset[str]) -> Slots:
        """Slots of the ready endpoints whose "ip" or "ip:port" is in `subset`, ascending."""
        if self._slots_by_address is None:
            self._slots_by_address = _by_address(e for e in self if e.spec.ready)
        known = self._slots_by_address
        chosen = {slot for address in subset for slot in known.get(address, ())}
        return np.array(sorted(chosen), np.intp)

    # Load ------------------------------------------------------------------------------------------------

    def told(self, endpoint: Endpoint, sample: LoadSample, now: float, interval: float) -> None:
        """Takes over what `sample` says and leaves the rest as it was.

        `interval`: seconds until more may be expected. The load counts as told when the queue or the KV
        cache use was.
        """
        slot = endpoint.slot
        for column, value in (
            (self.waiting, sample.waiting),
            (self.running, sample.running),
            (self.kv_usage, sample.kv_usage),
            (self.max_lora, sample.max_lora),
        ):
            if value is not None and column[slot] != value:
                column[slot] = value
                self.load_version += 1
        if sample.block_size is not None and sample.num_blocks is not None:
            self.cache_tokens[slot] = sample.block_size * sample.num_blocks
            if self.block_sizes[slot] != sample.block_size:
                self.block_sizes[slot] = sample.block_size
                self._find_block_tokens()
        if sample.waiting is not None or sample.kv_usage is not None:
            due_at = now + interval
            if due_at < self.load_due_at[slot] and self._ready is not None:
                self._ready.due_sooner(due_at)
            self.load_at[slot] = now
            self.load_due_at[slot] = due_at

    def fresh(self, slots: Slots | slice, now: float, threshold: float) -> Mask:
        """Which of `slots` told their load within `threshold` seconds of when it could be expected."""
        return self.load_due_at[slots] >= now - threshold

    # Reservations ----------------------------------------------------------------------------------------

    def reserve(self, endpoint: Endpoint, tokens: int) -> None:
        """Counts a request of `tokens` as in flight from now on."""
        slot = endpoint.slot
        self._pick_number += 1
        self.picked_at[slot] = self._pick_number
        self.picks[slot] += 1
        self.in_flight[slot] += 1
        self.in_flight_tokens[slot] += tokens

    def release(self, endpoint: Endpoint, tokens: int) -> None:
        """Gives back what `reserve` took."""
        self.in_flight[endpoint.slot] -= 1
        self.in_flight_tokens[endpoint.slot] -= tokens

    # ------------------------------------------------------------------------------------------------------

    def _columns(self) -> Iterable[tuple[str, NDArray[np.float64] | NDArray[np.int64]]]:
        return ((name, value) for name, value in vars(self).items() if _is_column(name, value))

    def _find_block_tokens(self) -> None:
        smallest = float(np.fmin.reduce(self.block_sizes))
        self.block_tokens = None if math.isnan(smallest) else int(smallest)

    def _reset(self, slot: int) -> None:
        for name in ("waiting", "running", "kv_usage", "cache_tokens", "block_sizes", "max_lora"):
            getattr(self, name)[slot] = np.nan
        self.load_at[slot] = self.load_due_at[slot] = -np.inf
        for name in ("in_flight", "in_flight_tokens", "picked_at", "picks"):
            getattr(self, name)[slot] = 0

    def _grow(self) -> None:
        old = len(self.by_slot)
        for name, column in list(self._columns()):
            setattr(self, name, np.concatenate([column, np.zeros(old, column.dtype)]))
        self.by_slot += (None,) * old
        self.shown = _Shown(self)
        self._free = list(range(2 * old - 1, old - 1, -1))
        for slot in self._free:
            self._reset(slot)

    def _seat(self, slot: int, endpoint: Endpoint | None) -> None:
        self.by_slot = (*self.by_slot[:slot], endpoint, *self.by_slot[slot + 1 :])

    def _changed(self) -> None:
        self._slots = self._ready = self._slots_by_address = None


def _is_column(name: str, value: object) -> bool:
    return isinstance(value, np.ndarray) and not name.startswith("_")


def _by_address(endpoints: Iterable[Endpoint]) -> dict[str, list[int]]:
    """Slots by every way to write an endpoint's address: with and without port, IPv6 with brackets too."""
    slots: dict[str, list[int]] = {}
    for endpoint in endpoints:
        spec = endpoint.spec
        for address in (spec.address, spec.host, f"[{spec.host}]"):
            slots.setdefault(address, []).append(endpoint.slot)
    return slots


class _Shown:
    """The columns that scorers see, as they are and not to be written to."""

    __slots__ = ("in_flight", "in_flight_tokens", "kv_usage", "max_lora", "picked_at", "running", "waiting")

    def __init__(self, endpoints: Endpoints) -> None:
        self.waiting = _read_only(endpoints.waiting)
        self.running = _read_only(endpoints.running)
        self.kv_usage = _read_only(endpoints.kv_usage)
        self.max_lora = _read_only(endpoints.max_lora)
        self.in_flight = _read_only(endpoints.in_flight)
        self.in_flight_tokens = _read_only(endpoints.in_flight_tokens)
        self.picked_at = _read_only(endpoints.picked_at)


def _read_only(column: NDArray[T]) -> NDArray[T]:
    view = column.view()
    view.flags.writeable = False
    return view


class Candidates:
    """The endpoints that one request may go to: every attribute is an array, one value per candidate.

    This is what filters and scorers see. `slots` are the candidates' slots in the pool's columns, ascending;
    `now` is the time of the decision in seconds. Arrays may show the pool's own columns, and refuse writing.
    """

    __slots__ = (
        "_all_fresh_until",
        "_endpoints",
        "_index",
        "_labels",
        "_most_parts",
        "_parts",
        "now",
        "slots",
    )

    def __init__(
        self, endpoints: Endpoints, slots: Slots, now: float, most_parts: int = _REMEMBERED_PARTS
    ) -> None:
        self._endpoints = endpoints
        self.slots = slots
        self.now = now
        self._all_fresh_until = -math.inf
        self._labels: dict[str, list[str | None]] = {}
        self._most_parts = most_parts
        self._parts: dict[bytes, Candidates] = {}
        # The first slots without a gap, as in a pool that nobody has left: a slice of a column needs no copy.
        count = len(slots)
        self._index = slice(count) if count and slots[count - 1] == count - 1 else slots

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def roster(self) -> tuple[Endpoint | None, ...]:
        """Every endpoint of the pool by its slot."""
        return self._endpoints.by_slot

    def at(self, index: int) -> Endpoint:
        """The candidate at `index`."""
        endpoint = self.roster[int(self.slots[index])]
        assert endpoint is not None  # candidates are made and used in one step, with no change between
        return endpoint

    @property
    def load_version(self) -> int:
        """A number that changes with every value that an endpoint tells of its load."""
        return self._endpoints.load_version

    def labels(self, key: str) -> Sequence[str | None]:
        """The label of each candidate; None where it has none of this name."""
        found = self._labels.get(key)
        if found is None:
            found = [self.at(index).spec.labels.get(key) for index in range(len(self))]
            self._labels[key] = found
        return found

    def only(self, mask: Mask) -> Candidates:
        """The candidates where `mask` is true.

        Filters by label or role say the same for each request, and what is kept for the same candidates
        (their labels, their scores by load) is found again with them.
        """
        key = mask.tobytes()
        kept = self._parts.get(key)
        if kept is None:
            if len(self._parts) >= self._most_parts:
                self._parts.clear()
            fewer = max(self._most_parts // _FEWER_PARTS, 1)
            kept = self._parts[key] = Candidates(self._endpoints, self.slots[mask], self.now, fewer)
        kept.now = self.now
        return kept

    @property
    def waiting(self) -> Floats:
        """Requests queued in the engine; NaN: unknown."""
        return self._endpoints.shown.waiting[self._index]

    @property
    def running(self) -> Floats:
        """Requests in the engine's batch; NaN: unknown."""
        return self._endpoints.shown.running[self._index]

    @property
    def kv_usage(self) -> Floats:
        """0..1 of the KV blocks held by running requests; NaN: unknown."""
        return self._endpoints.shown.kv_usage[self._index]

    @property
    def max_lora(self) -> Floats:
        """Adapters that fit in a batch; NaN: unknown."""
        return self._endpoints.shown.max_lora[self._index]

    @property
    def in_flight(self) -> Ints:
        """Requests placed by this picker and not yet ended."""
        return self._endpoints.shown.in_flight[self._index]

    @property
    def in_flight_tokens(self) -> Ints:
        """Estimated tokens of the requests in flight."""
        return self._endpoints.shown.in_flight_tokens[self._index]

    @property
    def picked_at(self) -> Ints:
        """Number of the last pick of each; the lowest was not used for longest."""
        return self._endpoints.shown.picked_at[self._index]

    def fresh(self, threshold: float) -> Mask:
        """Which candidates told their load within `threshold` seconds of when it could be expected."""
        return self._endpoints.fresh(self._index, self.now, threshold)

    def all_fresh(self, threshold: float) -> bool:
        """Whether all of them did. One look at them lasts until the first could be stale."""
        if self.now - threshold > self._all_fresh_until:
            due_at = self._endpoints.load_due_at[self._index]
            self._all_fresh_until = float(np.minimum.reduce(due_at, initial=math.inf))
        return self.now - threshold <= self._all_fresh_until

    def due_sooner(self, due_at: float) -> None:
        """The load of a candidate is expected sooner than it was."""
        self._all_fresh_until = min(self._all_fresh_until, due_at)
        for part in self._parts.values():
            part.due_sooner(due_at)

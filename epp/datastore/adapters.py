"""The picker's own book of LoRA adapters: which endpoint has which of them at hand.

vLLM does not say. Its `lora_requests_info` lists adapters from their first output token to their last
request, and the same names as running and as waiting; an adapter that is only queued, or loaded and idle, is
not in it. So the book joins three sources: what this picker sent (adapters in flight, and the last ones
used, which the engine keeps in its slots until others push them out), what the metrics list, and the
endpoint's own list of models (adapters that it can serve at all).
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field

# Slots of an endpoint that does not tell: vLLM's own default of --max-loras.
_DEFAULT_SLOTS = 1

# Names remembered from metrics alone, the latest. vLLM's list of models names them all within seconds.
MAX_SEEN = 1000


@dataclass(slots=True)
class Shelf:
    """The adapters of one endpoint."""

    slots: int = _DEFAULT_SLOTS
    in_flight: Counter[str] = field(default_factory=Counter)  # adapter -> requests
    recent: OrderedDict[str, None] = field(default_factory=OrderedDict)  # oldest first, at most `slots`
    listed: frozenset[str] | None = None  # adapters it can serve; None: it did not say
    told: frozenset[str] = frozenset()  # adapters in flight by its metrics

    def touch(self, adapter: str) -> None:
        """`adapter` is in use now, which pushes the one unused for longest out of the engine's slots."""
        self.recent[adapter] = None
        self.recent.move_to_end(adapter)
        self._trim()

    def resize(self, slots: int) -> None:
        """The engine says how many adapters fit."""
        self.slots = slots
        self._trim()

    def busy(self) -> set[str]:
        """Adapters with requests in flight, by us or by the metrics."""
        return self.in_flight.keys() | self.told

    def _trim(self) -> None:
        while len(self.recent) > max(self.slots, 1):
            self.recent.popitem(last=False)


class Adapters:
    """All endpoints' shelves, by slot."""

    def __init__(self) -> None:
        self.shelves: dict[int, Shelf] = {}
        self._names: Counter[str] = Counter()  # adapter -> endpoints that list it
        # Adapters that metrics have named, for endpoints without a list; oldest first, at most `MAX_SEEN`.
        self._seen: OrderedDict[str, None] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Adapters {len(self._names)} known, {len(self.shelves)} endpoints>"

    def is_adapter(self, model: str) -> bool:
        """Whether any endpoint lists `model` as an adapter, or has named it in its metrics."""
        return model in self._names or model in self._seen

    def added(self, slot: int) -> None:
        """A new endpoint."""
        self.shelves[slot] = Shelf()

    def removed(self, slot: int) -> None:
        """The endpoint left."""
        shelf = self.shelves.pop(slot)
        self._forget(shelf.listed)

    def listed(self, slot: int, adapters: frozenset[str]) -> None:
        """The endpoint's list of models, which replaces the one before."""
        shelf = self.shelves[slot]
        self._forget(shelf.listed)
        shelf.listed = adapters
        self._names.update(adapters)

    def told(self, slot: int, adapters: frozenset[str] | None, max_lora: int | None) -> None:
        """What the endpoint's metrics say; None: nothing."""
        shelf = self.shelves[slot]
        if max_lora is not None and max_lora != shelf.slots:
            shelf.resize(max_lora)
        if adapters is not None and adapters != shelf.told:
            shelf.told = adapters
            for adapter in sorted(adapters):
                shelf.touch(adapter)
                self._see(adapter)

    def reserve(self, slot: int, adapter: str) -> None:
        """A request for `adapter` goes to the endpoint."""
        shelf = self.shelves[slot]
        shelf.in_flight[adapter] += 1
        shelf.touch(adapter)

    def release(self, slot: int, adapter: str) -> None:
        """A request for `adapter` has ended there."""
        shelf = self.shelves[slot]
        shelf.in_flight[adapter] -= 1
        if shelf.in_flight[adapter] <= 0:
            del shelf.in_flight[adapter]

    def _see(self, adapter: str) -> None:
        self._seen[adapter] = None
        self._seen.move_to_end(adapter)
        if len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)

    def _forget(self, adapters: frozenset[str] | None) -> None:
        self._names -= Counter(adapters or ())

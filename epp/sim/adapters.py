"""The adapter slots of one server: which LoRA adapters lie in GPU memory, and which may not be moved."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping


class AdapterSlots:
    """At most `max_loras` adapters at a time; one that runs keeps its slot, the others go by last use."""

    def __init__(self, max_loras: int) -> None:
        self.max_loras = max_loras
        self._users: OrderedDict[str, int] = (
            OrderedDict()
        )  # resident adapter -> running sequences; oldest first

    @property
    def resident(self) -> tuple[str, ...]:
        """Adapters in memory, least recently used first."""
        return tuple(self._users)

    @property
    def users(self) -> Mapping[str, int]:
        """Running sequences of each adapter in memory, least recently used first."""
        return self._users

    def can_take(self, adapter: str) -> bool:
        """Whether a sequence with `adapter` ("" is the base model) may run now."""
        return not adapter or adapter in self._users or self._has_room()

    def take(self, adapter: str) -> bool:
        """Counts one more running sequence with `adapter`; True if it first has to be loaded."""
        if not adapter:
            return False
        loads = adapter not in self._users
        if loads and len(self._users) == self.max_loras:
            del self._users[next(name for name, users in self._users.items() if not users)]
        self._users[adapter] = self._users.get(adapter, 0) + 1
        self._users.move_to_end(adapter)
        return loads

    def give_back(self, adapter: str) -> None:
        """One sequence with `adapter` runs no more; the adapter stays until its slot is wanted."""
        if adapter:
            self._users[adapter] -= 1

    def _has_room(self) -> bool:
        return len(self._users) < self.max_loras or 0 in self._users.values()

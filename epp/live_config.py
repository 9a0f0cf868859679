"""The configuration in force, and the file that it comes from: read again when it changes.

A changed file is read, checked and built beside the live traffic, and swapped in between two decisions. One
with faults is refused: what was in force stays, and each fault is logged once.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from epp.config.catalogue import Catalogue
from epp.config.document import read_text
from epp.config.effective import effective_config
from epp.config.picker import load_picker_config
from epp.config.picker_config import PickerConfig
from epp.config.stamp import Stamp, stamp_of
from epp.errors import ConfigError, Fault
from epp.scheduling.default import DEFAULT_TEXT
from epp.scheduling.policy import Policy

_log = logging.getLogger(__name__)

# Seconds between two looks at the file. A look is one stat of a few microseconds.
POLL_INTERVAL = 0.1

# A file that was written so lately may be written again without a later time, seconds: file systems count
# time in steps, of 10 ms as a rule and of 2 s on FAT. Such a file is looked into again.
_UNSETTLED = 2.0

# Characters of the hash that are shown: 48 bits tell apart what anyone will ever write.
_HASH_LENGTH = 12

Outcome = Literal["applied", "refused"]


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the configuration, and a hash of its text."""

    hash: str
    config: PickerConfig


class ConfigOrigin:
    """Where the configuration stands: in `file`, in `text`, or, without both, in the picker itself."""

    def __init__(self, types: Catalogue, *, file: str = "", text: str = "") -> None:
        self.name = file or ("--config-text" if text else "the built-in configuration")
        self.path = Path(file) if file else None
        self._types = types
        self._text = text or DEFAULT_TEXT
        self._stamp: Stamp | None = None
        self._settled = True

    def __repr__(self) -> str:
        return f"<ConfigOrigin {self.name}>"

    def changed(self) -> bool:
        """Whether the file may have another text than at the last `text`; not if it is gone."""
        stamp = stamp_of(self.path) if self.path else None
        if stamp is None:
            if self._stamp is not None:
                _log.warning("%s is gone; what it said last stays in force", self.name)
            self._stamp = None
            return False
        return stamp != self._stamp or not self._settled

    def text(self) -> str:
        """What stands there now. ConfigError if it cannot be read."""
        if self.path is None:
            return self._text
        # Taken before the file is read: what is written meanwhile is read next time.
        self._stamp = stamp_of(self.path)
        modified_at = self._stamp[2] / 1e9 if self._stamp else 0.0
        self._settled = time.time() - modified_at > _UNSETTLED
        return read_text(self.path, self.name)

    def version(self, text: str) -> Version:
        """What the text means. ConfigError with every fault."""
        return Version(hash_of(text), load_picker_config(text, self.name, self._types))


class LiveConfig:
    """Keeps the policy at what its origin says.

    `build` makes a policy of a configuration and of the policy before it. `applied` is told the generation,
    counted from 1, and the hash of each version that comes into force; `reloaded` the outcome of each reading
    after the first. ConfigError if the first version cannot be built.
    """

    def __init__(
        self,
        origin: ConfigOrigin,
        first: Version,
        build: Callable[[PickerConfig, Policy | None], Policy],
        *,
        applied: Callable[[int, str], object] = lambda generation, hash_: None,
        reloaded: Callable[[Outcome], object] = lambda outcome: None,
        poll_interval: float = POLL_INTERVAL,
    ) -> None:
        self._origin = origin
        self._build = build
        self._applied = applied
        self._reloaded = reloaded
        self._poll_interval = poll_interval
        self.generation = 0
        # The hash and faults of the version that stands there and is not in force, and when it was read.
        self._refused: tuple[str, tuple[Fault, ...], str] | None = None
        self._take(first, build(first.config, None))

    def __repr__(self) -> str:
        return f"<LiveConfig {self._origin.name} generation={self.generation} {self.hash}>"

    async def follow(self, use: Callable[[Policy], object]) -> None:
        """Looks for new versions for ever; `use` is given each policy that comes into force."""
        while self._origin.path:
            await asyncio.sleep(self._poll_interval)
            if self._origin.changed():
                await self._reload(use)

    def describe(self) -> dict[str, Any]:
        """What is in force and since when, and why what stands there now is not. JSON-ready."""
        refused = dict(zip(("hash", "faults", "at"), self._refused, strict=True)) if self._refused else None
        if refused:
            refused["faults"] = [str(fault) for fault in refused["faults"]]
        return {
            "file": self._origin.name,
            "generation": self.generation,
            "hash": self.hash,
            "applied_at": self._applied_at,
            "warnings": [str(warning) for warning in self.policy.config.warnings],
            "refused": refused,
            "config": effective_config(self.policy.in_force),
        }

    async def _reload(self, use: Callable[[Policy], object]) -> None:
        hash_ = ""
        try:
            text = await asyncio.to_thread(self._origin.text)
            hash_ = hash_of(text)
            if hash_ == self.hash:
                self._refused = None
            if hash_ in (self.hash, self._refused[0] if self._refused else ""):
                return
            version = await asyncio.to_thread(self._origin.version, text)
            policy = self._build(version.config, self.policy)
        except ConfigError as error:
            self._refuse(hash_, error.faults)
            return
        except Exception as error:  # a plugin of a user's may raise anything
            _log.exception("the configuration cannot be built")
            message = f"cannot be built: {type(error).__name__}: {error}"
            self._refuse(hash_, (Fault(self._origin.name, 0, "", message),))
            return
        use(policy)
        self._take(version, policy)
        self._reloaded("applied")
        _log.info("%s is in force: generation %d, hash %s", self._origin.name, self.generation, self.hash)

    def _take(self, version: Version, policy: Policy) -> None:
        self.policy = policy
        self.hash = version.hash
        self.generation += 1
        self._applied_at = _now()
        self._refused = None
        for warning in version.config.warnings:
            _log.warning("configuration: %s", warning)
        self._applied(self.generation, version.hash)

    def _refuse(self, hash_: str, faults: tuple[Fault, ...]) -> None:
        if self._refused and self._refused[:2] == (hash_, faults):
            return  # told already
        self._refused = (hash_, faults, _now())
        self._reloaded("refused")
        for fault in faults:
            _log.error("configuration refused, the one before stays in force: %s", fault)


def hash_of(text: str) -> str:
    """What tells one text from another."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:_HASH_LENGTH]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")

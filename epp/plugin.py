"""What a plugin is: the methods that filters, scorers, pickers and the others have, and what they are given.

A plugin is any object with the methods of one or more of these protocols; nothing is inherited. Its class is
a dataclass, or any class with annotated keyword arguments: they are the parameters that a configuration may
set, under the same names in camelCase. Its docstring's first line says what it is for (`epp plugins`).

Arrays have one value per candidate, in the order of the candidates. Plugins read no clock (`endpoints.now` is
the time), draw chance only from the `rng` they are given, and are never called from two requests at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar, runtime_checkable

from epp.datastore.endpoints import Candidates, Endpoint, Floats, Mask
from epp.datastore.store import Datastore
from epp.types import InferenceRequest, ParsedBody, Usage
from epp.wire.messages import HeaderList, MetadataMap

if TYPE_CHECKING:
    import random

T = TypeVar("T")


# Choosing ------------------------------------------------------------------------------------------------


@runtime_checkable
class Filter(Protocol):
    """Takes candidates out."""

    def filter(self, request: InferenceRequest, endpoints: Candidates) -> Mask | None:
        """True for each candidate that stays; None: all of them do."""


@runtime_checkable
class Scorer(Protocol):
    """Says how well each candidate suits the request."""

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats | float:
        """0 (bad) to 1 (good) for each candidate; one number where it is the same for all."""


# Names that tell the unit, and one value for each candidate.
Terms = Callable[[], Mapping[str, Floats]]


@runtime_checkable
class Explained(Protocol):
    """A scorer whose scores come of quantities that decisions should show."""

    @property
    def terms(self) -> Terms:
        """Tells what the latest scores were made of, if somebody asks: perhaps much later, perhaps nobody."""


@runtime_checkable
class Picker(Protocol):
    """Chooses by the weighted sum of the scores."""

    def pick(self, totals: Floats, endpoints: Candidates, rng: random.Random) -> Sequence[int]:
        """Indexes into the candidates, best first, at least one; the others are fallbacks in order."""


class ProfileResult(Protocol):
    """What a profile found, as handlers see it."""

    @property
    def picked(self) -> tuple[Endpoint, ...]:
        """Best first, at least one."""


# The results so far by the profiles' names; None for a profile that found no endpoint.
Results = Mapping[str, ProfileResult | None]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What the profiles' results come to: the request goes where `profile` said, with `headers` set on it.

    `profile` is "" where the request cannot be served.
    """

    profile: str
    headers: HeaderList = ()


@runtime_checkable
class ProfileHandler(Protocol):
    """Says which of several profiles run for a request, and which of them names the destination."""

    def next_profiles(self, request: InferenceRequest, endpoints: Candidates, done: Results) -> Sequence[str]:
        """The profiles to run now, after those in `done`; asked again until there are none."""

    def conclude(self, request: InferenceRequest, done: Results) -> Conclusion:
        """What the results come to."""


@runtime_checkable
class SaturationDetector(Protocol):
    """Says how loaded a set of endpoints is."""

    def saturation(self, endpoints: Candidates) -> float:
        """0 is idle; from 1 on, requests that may be shed are shed."""


# Reading -------------------------------------------------------------------------------------------------


class UsageReader(Protocol):
    """Reads what one answer says of tokens, while it passes."""

    @property
    def usage(self) -> Usage | None:
        """What was said so far; None: nothing."""

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the answer."""


@runtime_checkable
class Parser(Protocol):
    """Reads what requests ask for out of their bodies."""

    def parse(
        self, path: str, body: bytes, *, strict_paths: bool = False, complete: bool = True
    ) -> ParsedBody:
        """What `body`, sent to `path`, asks for. Raises RequestError if it cannot be served.

        Not `complete`: `body` is the first part of a longer one. `strict_paths`: only known paths are served.
        """

    def usage_reader(self) -> UsageReader | None:
        """What reads one answer; None: nothing of it is read."""


# Being told ----------------------------------------------------------------------------------------------


@runtime_checkable
class PlacementObserver(Protocol):
    """Wants to know where requests are placed."""

    def placed(self, request: InferenceRequest, endpoint: Endpoint, profile: str) -> None:
        """`profile` sends the request to `endpoint`; the primary profile comes first."""


@dataclass(frozen=True, slots=True)
class Response:
    """The beginning of an answer."""

    endpoint: Endpoint | None  # that serves it; None: one that the pool does not have
    headers: Mapping[str, str]  # lower-case names
    metadata: MetadataMap  # what the gateway says beside it


@runtime_checkable
class ResponseObserver(Protocol):
    """Wants to see the headers of answers, and may add to them."""

    def responded(self, request: InferenceRequest, response: Response) -> HeaderList:
        """An answer begins; headers to set on it before the client sees it."""


@runtime_checkable
class FirstTokenObserver(Protocol):
    """Wants to know when streamed answers begin."""

    def first_token(self, request: InferenceRequest, endpoint: Endpoint, now: float) -> None:
        """The first piece of the answer's body came from `endpoint` at `now` seconds."""


@runtime_checkable
class UsageObserver(Protocol):
    """Wants to know what an answer used, and may tell Envoy of it."""

    def used(self, request: InferenceRequest, usage: Usage) -> MetadataMap:
        """The answer is complete; dynamic metadata to send with its end."""


@runtime_checkable
class EndObserver(Protocol):
    """Keeps something per request, and lets go of it when the request is over."""

    def ended(self, request: InferenceRequest, endpoint: Endpoint, now: float) -> None:
        """A placed request is over, however it ended; it was last on `endpoint`. Told once for each."""


@runtime_checkable
class DepartureObserver(Protocol):
    """Keeps something per endpoint, and forgets it when the endpoint has gone."""

    def left(self, slot: int) -> None:
        """The endpoint at `slot` left the pool; the slot may soon be another's."""


# Being given ---------------------------------------------------------------------------------------------


@runtime_checkable
class NeedsContext(Protocol):
    """Needs more than its parameters."""

    def setup(self, context: Context) -> None:
        """Called once, before any of the other methods."""


class Context(Protocol):
    """What plugins may be given beside their parameters."""

    @property
    def store(self) -> Datastore:
        """The pool and all that is known of it. To be read only."""

    @property
    def watcher(self) -> Watcher:
        """Whom plugins at work are shown to."""

    @property
    def profiles(self) -> Sequence[str]:
        """The names of the scheduling profiles, in the order of the configuration."""

    def shared(self, kind: type[T], name: str = "", make: Callable[[], T] | None = None) -> T:
        """The plugin of class `kind` that others share, such as the index of prefixes.

        The one called `name`, or the first in the configuration. If it lists none, one is made (by `make`,
        without it with default parameters), set up, and shared from then on. Raises ValueError if `name` is
        no plugin of this kind; a name that is not listed has to be a type's, and needs `make`.
        """


# Why the result of a plugin was not used.
Misbehaviour = Literal["raised", "wrong shape", "not a number", "too slow", "no such endpoint"]


def _unobserved(extension_point: str, plugin_type: str, name: str) -> Callable[[float], object]:
    return lambda seconds: None


@dataclass(frozen=True, slots=True)
class Watcher:
    """Whom plugins at work are shown to.

    `durations` is asked once for each plugin, by extension point, type and name, for what is then told the
    seconds (by `clock`) of each call. `misbehaved` is told type, name, how, and the error if there was one.
    `prefix_matched` is told how many bytes of a prompt its endpoint holds, and of how many.
    """

    clock: Callable[[], float] = float
    durations: Callable[[str, str, str], Callable[[float], object]] = _unobserved
    misbehaved: Callable[[str, str, Misbehaviour, Exception | None], object] = lambda *_: None
    prefix_matched: Callable[[int, int], object] = lambda hit, size: None


UNWATCHED = Watcher()

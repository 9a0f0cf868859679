"""disagg-profile-handler and the older pd-profile-handler: stages of a request on servers of their own.

The endpoint that decodes is the destination. Headers tell its side-car where prefill and encode run, in
llm-d's words for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from epp.config.constraints import Doc, Length, Range
from epp.datastore.blocks import BYTES_PER_TOKEN
from epp.datastore.endpoints import Candidates, Endpoint
from epp.plugin import Conclusion, Context, ProfileResult, Results
from epp.plugins.deciders import AlwaysDisaggPdDecider, Decider, PrefixBasedPdDecider
from epp.types import InferenceRequest

PREFILLER_HEADER = "x-prefiller-host-port"
ENCODERS_HEADER = "x-encoder-hosts-ports"

_Name = Length(1, 253)


@dataclass(frozen=True)
class StageProfiles:
    """The profiles of the stages."""

    decode: Annotated[str, _Name, Doc("the profile that chooses where to decode")] = "decode"
    prefill: Annotated[str, _Name, Doc("the profile that chooses where to prefill")] = "prefill"
    encode: Annotated[str, _Name, Doc("the profile that chooses where to encode")] = "encode"


@dataclass(frozen=True)
class StageDeciders:
    """The plugins that decide whether a stage runs by itself."""

    prefill: Annotated[str, Doc("the plugin that decides on prefill; unset: never by itself")] = ""
    encode: Annotated[str, Doc("the plugin that decides on encode; unset: never by itself")] = ""


@dataclass
class DisaggProfileHandler:
    """Chooses endpoints for the stages of a request: decode, and prefill and encode if they are worth it.

    The decode profile runs first, and its endpoint is the destination. Then the deciders are asked, and the
    profiles of the stages that they want run. The header x-prefiller-host-port names the endpoint that
    prefills, x-encoder-hosts-ports those that encode. A stage that finds no endpoint, or first of all that
    one, runs where decode does.
    Headers of these names that a client sent are blanked.
    """

    profiles: Annotated[StageProfiles, Doc("the profiles of the stages")] = StageProfiles()
    deciders: Annotated[StageDeciders, Doc("the plugins that decide whether a stage runs")] = StageDeciders()
    decider_plugin_name: Annotated[str, Doc("the older way to name the decider of prefill")] = ""
    stage_order: Annotated[Literal["decode-first"], Doc("which stage's endpoint is chosen first")] = (
        "decode-first"
    )

    # The stages that may run beside decode: profile and decider.
    _stages: tuple[tuple[str, Decider], ...] = field(init=False, repr=False, default=())
    # What makes a decider that is named and not listed.
    _make_decider: Callable[[], Decider] | None = field(init=False, repr=False, default=None)

    def setup(self, context: Context) -> None:
        """See NeedsContext. Raises ValueError if a profile or decider that is named does not exist."""
        stages = []
        for profile, decider in (
            (self.profiles.encode, self.deciders.encode),
            (self.profiles.prefill, self.deciders.prefill or self.decider_plugin_name),
        ):
            if decider:
                _require_profile(profile, context)
                # Whatever has a decider's method is one.
                stage = context.shared(Decider, decider, self._make_decider)  # type: ignore[type-abstract]
                stages.append((profile, stage))
        _require_profile(self.profiles.decode, context)
        self._stages = tuple(stages)

    def next_profiles(self, request: InferenceRequest, endpoints: Candidates, done: Results) -> Sequence[str]:
        """See ProfileHandler."""
        if not done:
            return (self.profiles.decode,)
        decode = done[self.profiles.decode]
        if decode is None or len(done) > 1:
            return ()
        endpoint = decode.picked[0]
        return [profile for profile, decider in self._stages if decider.disaggregates(request, endpoint)]

    def conclude(self, request: InferenceRequest, done: Results) -> Conclusion:
        """See ProfileHandler."""
        decode = done.get(self.profiles.decode)
        here = decode.picked[0] if decode else None
        headers = (
            (PREFILLER_HEADER, _addresses(done.get(self.profiles.prefill), here, 1)),
            (ENCODERS_HEADER, _addresses(done.get(self.profiles.encode), here)),
        )
        # A client must not choose where our servers send its prompt: what it says is blanked.
        said = tuple((name, value) for name, value in headers if value or name in request.headers)
        return Conclusion(self.profiles.decode, said)


@dataclass
class PdProfileHandler:
    """Chooses where to decode and, if that is worth it, where to prefill. Use disagg-profile-handler.

    Its older form, with the same headers.
    """

    decode_profile: Annotated[str, _Name, Doc("the profile that chooses where to decode")] = "decode"
    prefill_profile: Annotated[str, _Name, Doc("the profile that chooses where to prefill")] = "prefill"
    decider_plugin_name: Annotated[
        str, _Name, Doc("the plugin that decides whether prefill runs by itself")
    ] = "prefix-based-pd-decider"
    threshold: Annotated[
        int,
        Range(0, 1 << 31),
        Doc("bytes of the prompt not cached that are worth it, where the decider is not listed; 0: any"),
    ] = 100
    primary_port: Annotated[int, Range(0, 0), Doc("0: a port for data parallelism is not supported")] = 0

    def __post_init__(self) -> None:
        self._handler = DisaggProfileHandler(
            StageProfiles(self.decode_profile, self.prefill_profile),
            StageDeciders(prefill=self.decider_plugin_name),
        )
        self._handler._make_decider = self._decider

    def _decider(self) -> Decider:
        """What this type did before there were deciders."""
        if not self.threshold:
            return AlwaysDisaggPdDecider()
        return PrefixBasedPdDecider(non_cached_tokens=-(-self.threshold // BYTES_PER_TOKEN))

    def setup(self, context: Context) -> None:
        """See NeedsContext."""
        self._handler.setup(context)

    def next_profiles(self, request: InferenceRequest, endpoints: Candidates, done: Results) -> Sequence[str]:
        """See ProfileHandler."""
        return self._handler.next_profiles(request, endpoints, done)

    def conclude(self, request: InferenceRequest, done: Results) -> Conclusion:
        """See ProfileHandler."""
        return self._handler.conclude(request, done)


def _addresses(result: ProfileResult | None, here: Endpoint | None, most: int | None = None) -> str:
    """The endpoints that `result` picked, at most so many; none if the first is `here` anyway."""
    if result is None or result.picked[0] is here:
        return ""
    return ",".join([endpoint.address for endpoint in result.picked[:most]])


def _require_profile(name: str, context: Context) -> None:
    if name not in context.profiles:
        raise ValueError(f'"{name}" is not a scheduling profile')

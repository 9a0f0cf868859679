"""header-profile-handler: a request's header names the profile that runs for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from epp.config.constraints import Doc, Length
from epp.datastore.endpoints import Candidates
from epp.plugin import Conclusion, Context, Results
from epp.types import InferenceRequest


@dataclass
class HeaderProfileHandler:
    """Runs the profile that a header of the request names.

    Without the header, or with a blank one, `defaultProfile` runs; a profile that does not exist serves no
    request (503; 429 in llm-d). If there is only one profile it always runs.
    """

    header_name: Annotated[str, Length(1, 256), Doc("the header")] = "EPP-Profile"
    default_profile: Annotated[str, Doc("the profile of requests without the header")] = "decode"

    _profiles: tuple[str, ...] = field(init=False, repr=False, default=())

    def __post_init__(self) -> None:
        self._header = self.header_name.lower()

    def setup(self, context: Context) -> None:
        """See NeedsContext. Raises ValueError if the default profile does not exist."""
        self._profiles = tuple(context.profiles)
        if len(self._profiles) > 1 and self.default_profile not in self._profiles:
            raise ValueError(f'defaultProfile: "{self.default_profile}" is not a scheduling profile')

    def next_profiles(self, request: InferenceRequest, endpoints: Candidates, done: Results) -> Sequence[str]:
        """See ProfileHandler."""
        chosen = self._chosen(request)
        return () if done or chosen not in self._profiles else (chosen,)

    def conclude(self, request: InferenceRequest, done: Results) -> Conclusion:
        """See ProfileHandler."""
        return Conclusion(next(iter(done), ""))

    def _chosen(self, request: InferenceRequest) -> str:
        if len(self._profiles) == 1:
            return self._profiles[0]
        return request.headers.get(self._header, "").strip() or self.default_profile

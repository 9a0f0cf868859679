"""header-profile-handler: the profile that a header names."""

from __future__ import annotations

import pytest

from epp.plugin import Conclusion
from epp.plugins.header_profile_handler import HeaderProfileHandler
from tests.plugins import Surroundings
from tests.pools import everyone, request, store_of

STORE = store_of(None)
STAGES = ("encode", "prefill", "decode")


@pytest.mark.parametrize(
    ("profiles", "header", "runs"),
    [
        (STAGES, "prefill", ["prefill"]),
        (STAGES, " encode ", ["encode"]),
        (STAGES, "", ["decode"]),
        (STAGES, None, ["decode"]),
        (STAGES, "Prefill", []),
        (STAGES, "other", []),
        (("only",), "other", ["only"]),
        (("only",), None, ["only"]),
    ],
)
def test_which_profile_runs(profiles: tuple[str, ...], header: str | None, runs: list[str]) -> None:
    handler = Surroundings(STORE, profiles=profiles).set_up(HeaderProfileHandler())
    asked = request(headers={} if header is None else {"epp-profile": header})
    assert list(handler.next_profiles(asked, everyone(STORE), {})) == runs
    done = dict.fromkeys(runs)
    assert handler.next_profiles(asked, everyone(STORE), {"any": None}) == ()
    assert handler.conclude(asked, done) == Conclusion(runs[0] if runs else "")


def test_another_header_and_default() -> None:
    plugin = HeaderProfileHandler("X-Stage", "encode")
    handler = Surroundings(STORE, profiles=STAGES).set_up(plugin)
    assert handler.next_profiles(request(), everyone(STORE), {}) == ("encode",)
    assert handler.next_profiles(request(headers={"x-stage": "decode"}), everyone(STORE), {}) == ("decode",)


def test_a_default_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match='"decode" is not a scheduling profile'):
        Surroundings(STORE, profiles=("a", "b")).set_up(HeaderProfileHandler())

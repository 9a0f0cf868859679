"""Settings of every test."""

from __future__ import annotations

from hypothesis import settings

# A machine that does other work at the same time is no fault of the code: no test has a deadline.
settings.register_profile("epp", deadline=None)
settings.load_profile("epp")

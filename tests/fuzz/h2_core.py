"""Fuzzes the pure core of HTTP/2: random clients, cut at random places, against a server that checks itself.

    python -m tests.fuzz.h2_core [--seconds 60]

What it checks: nothing is raised, nothing grows without bound, a broken connection is told why exactly once,
and what a client says does not depend on how its bytes are cut. An example that fails is made as small as it
can be, printed, and kept in .hypothesis/, from where the next run starts.
"""

from __future__ import annotations

import argparse
import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from epp.transport.h2.frames import ErrorCode
from tests.h2_dialogues import CLIENTS, serve

# Between two looks at the clock.
EXAMPLES = 500


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(CLIENTS, st.binary()), st.lists(st.integers(0, 1 << 16), max_size=20))
def one_client(data: bytes, cuts: list[int]) -> None:
    """All properties for one client."""
    server = serve(data, cuts)
    reasons = [code for _, code in server.last_words if code is not ErrorCode.NO_ERROR]
    assert len(reasons) == server.connection.closed
    split, whole = serve(data, cuts, mute=True), serve(data, [], mute=True)
    assert split.told == whole.told
    assert split.written == whole.written


def main() -> None:
    """Runs for as long as it is told."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    until = time.monotonic() + parser.parse_args().seconds
    rounds = 0
    while time.monotonic() < until:
        one_client()
        rounds += 1
    print(f"{rounds * EXAMPLES} clients at most, no fault")


if __name__ == "__main__":
    main()

"""The bounds of every histogram.

Those of the reference's families are the reference's to the digit, so that its dashboards and recorded
series go on; the others are ours.
"""

from __future__ import annotations

# Whole requests, from 5 ms to an hour, seconds.
DURATION = (
    *(0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60),
    *(120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600),
)

# Between two output tokens, seconds.
TOKEN_GAP = (
    *(0.0005, 0.00205, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.125, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8),
    *(1, 1.5, 2, 3, 4.5, 6, 12, 18, 24, 30, 36, 48, 60, 90, 120, 180, 270, 360),
)

# A request's whole time for each of its output tokens, seconds.
TIME_PER_TOKEN = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)

# 64 B to 1 GiB.
REQUEST_BYTES = tuple(2**power for power in range(6, 31))

# 32778 is the reference's misprint of 32768; with the right number its series would be other series.
RESPONSE_BYTES = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32778, 65536)

INPUT_TOKENS = (*RESPONSE_BYTES, 131072, 262144, 524288, 1048576)
OUTPUT_TOKENS = RESPONSE_BYTES[:12]

# Scheduling and its plugins, seconds.
SCHEDULING = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)

HIT_RATIO = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
HIT_BYTES = (0, *(2**power for power in range(4, 17)))

# Ours. A scrape: vLLM needs 8 to 150 ms for its page, and is given a second.
SCRAPE = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)

# Ours. How late the event loop is: its timers count whole milliseconds, and a second is an outage.
LOOP_LAG = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1)

"""How fast endpoints prefill, learned from when their answers are seen.

The time from a request's placement until its answer is seen is taken to be

    factor * (fixed + per_token * tokens + per_pair * pairs + per_output * output)

`tokens` are those that have to be computed before: its own without what is cached, and those of the requests
before it. `pairs` are what attention multiplies, for a prompt of c cached and n other tokens n * (c + n / 2).
`output` tokens come before the answer is seen if it is not streamed, and 0 if it is. The four coefficients
are the pool's, by least squares whose errors grow with the time, none below 0; `factor` is the endpoint's
own, 1 for the pool's mean, so that a slow server among fast ones is told apart after a few answers. All of
it fades: the coefficients with new answers, the factors with time as well, so that no endpoint is shunned for
what it was once.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from epp.datastore.endpoints import Floats, Slots
from epp.forecast.columns import grown

# What is believed before anything was learned: 10,000 tokens of prompt a second, 50 of output. To compare
# endpoints any speed will do, and these samples count as much as three answers. (tokens, output)
_FIRST_COEFFICIENTS = np.array([0.02, 1e-4, 0.0, 0.02])
_FIRST_SAMPLES = ((100.0, 0.0), (10_000.0, 0.0), (1000.0, 100.0))

# Answers after which one counts 1/e: for the pool, and for one endpoint.
_POOL_MEMORY = 500
_ENDPOINT_MEMORY = 50

# Answers that an endpoint's own have to outweigh, and the seconds after which its own count 1/e.
_DOUBT = 4.0
_ENDPOINT_SECONDS = 120.0
_SECONDS_BETWEEN_FADES = 1.0

# A fit costs 0.3 ms. The first answers are worth one each time that they have doubled.
_ANSWERS_BETWEEN_FITS = 64

# Beneath this a time is mostly chance: seconds.
_LEAST_SECONDS = 1e-3

# So that the solver's columns are of one magnitude: a thousand tokens, a million pairs, a hundred tokens.
_UNITS = np.array([1.0, 1e3, 1e6, 1e2])

_SUBSETS = [list(kept) for size in (4, 3, 2, 1) for kept in combinations(range(4), size) if kept != (3,)]


def pairs_of(tokens: float, cached: float) -> float:
    """What attention multiplies to compute `tokens` after `cached` ones."""
    return tokens * (cached + tokens / 2.0)


class PrefillSpeed:
    """See the module. Times in seconds."""

    def __init__(self) -> None:
        self.coefficients: Floats = _FIRST_COEFFICIENTS
        self._gram: Floats = np.zeros((4, 4))
        self._moments: Floats = np.zeros(4)
        self._answers = 0
        for tokens, output in _FIRST_SAMPLES:
            row = np.array([1.0, tokens, 0.0, output])
            self._add(row, float(_FIRST_COEFFICIENTS @ row))
        # Of each endpoint: seconds that its answers took and should have taken, and when the last began.
        self._took: Floats = np.zeros(0)
        self._expected: Floats = np.zeros(0)
        self._doubt: Floats = np.zeros(0)
        self._at: Floats = np.zeros(0)
        self._factors: Floats = np.ones(0)
        self._fade_at = -np.inf  # when the factors are next brought up to the time

    def __repr__(self) -> str:
        fixed, per_token, per_pair, _ = self.coefficients.tolist()
        return f"<PrefillSpeed {fixed:.3g} s + {per_token:.3g} s a token + {per_pair:.3g} s a pair>"

    def make_room(self, slots: int) -> None:
        """Columns have at least as many slots from now on."""
        self._took = grown(self._took, slots, 0.0)
        self._expected = grown(self._expected, slots, 0.0)
        self._doubt = grown(self._doubt, slots, 1.0)
        self._at = grown(self._at, slots, 0.0)
        self._factors = grown(self._factors, slots, 1.0)

    def seconds(self, slots: Slots, tokens: Floats, cached: Floats, now: float) -> Floats:
        """To the first token at each of the endpoints at `slots`, for a prompt of its own length there."""
        fixed, per_token, per_pair, _ = self.coefficients.tolist()
        a_token = per_token + per_pair * (cached + 0.5 * tokens)
        seconds: Floats = self.factors(slots, now) * (fixed + tokens * a_token)
        return seconds

    def expected(self, slot: int, tokens: float, pairs: float, now: float) -> float:
        """To the first token at the endpoint at `slot`."""
        fixed, per_token, per_pair, _ = self.coefficients.tolist()
        factor = self.factors(np.array([slot]), now).item()
        return float(factor * (fixed + per_token * tokens + per_pair * pairs))

    def factors(self, slots: Slots, now: float) -> Floats:
        """How many times as long the endpoints at `slots` take."""
        if now >= self._fade_at:
            self._fade_at = now + _SECONDS_BETWEEN_FADES
            believed = np.exp((self._at - now) / _ENDPOINT_SECONDS)
            self._factors = (believed * self._took + self._doubt) / (believed * self._expected + self._doubt)
        return self._factors[slots]

    def learn(
        self, slot: int, tokens: float, pairs: float, seconds: float, now: float, output: float = 0.0
    ) -> None:
        """An answer of the endpoint at `slot` was seen after `seconds`, with so much to compute before."""
        row = np.array([1.0, tokens, pairs, output])
        seconds = max(seconds, _LEAST_SECONDS)
        expected = float(self.coefficients @ row)
        faded = np.exp((self._at[slot] - now) / _ENDPOINT_SECONDS) * (1.0 - 1.0 / _ENDPOINT_MEMORY)
        self._took[slot] = faded * self._took[slot] + seconds
        self._expected[slot] = faded * self._expected[slot] + expected
        self._doubt[slot] = doubt = _DOUBT * expected
        self._at[slot] = now
        factor = (self._took[slot] + doubt) / (self._expected[slot] + doubt)
        self._factors[slot] = factor
        fade = 1.0 - 1.0 / _POOL_MEMORY
        self._gram *= fade
        self._moments *= fade
        self._add(row, seconds / float(factor))
        self._answers += 1
        if not self._answers % _ANSWERS_BETWEEN_FITS or self._answers & (self._answers - 1) == 0:
            self._level()
            self._fit()

    def left(self, slot: int) -> None:
        """The endpoint is gone, and the slot may be another's."""
        if slot < len(self._took):
            self._took[slot] = self._expected[slot] = 0.0
            self._factors[slot] = 1.0

    def _add(self, row: Floats, seconds: float) -> None:
        scaled = row / _UNITS
        weight = 1.0 / max(seconds, _LEAST_SECONDS)
        self._gram += weight * np.outer(scaled, scaled)
        self._moments += weight * seconds * scaled

    def _level(self) -> None:
        """What all endpoints have in common goes from their factors to the pool's coefficients.

        Otherwise the factors would take in what the pool is slower than was believed first, and an endpoint
        without a factor, new or long unused, would seem as fast as that.
        """
        common = float(np.add.reduce(self._took) / np.add.reduce(self._expected))
        self._expected *= common
        self._doubt *= common
        self._gram /= common
        self._fade_at = -np.inf
        self._fade_at = -np.inf

    def _fit(self) -> None:
        """The best of all fits without a negative coefficient; they stay as they are if there is none.

        Output alone is no fit, since then nothing would take any time to prefill.
        """
        least = np.inf
        for kept in _SUBSETS:
            try:
                solution = np.linalg.solve(self._gram[np.ix_(kept, kept)], self._moments[kept])
            except np.linalg.LinAlgError:
                continue
            error = -float(solution @ self._moments[kept])  # up to a constant
            if (solution > 0.0).all() and error < least:
                least = error
                coefficients = np.zeros(4)
                coefficients[kept] = solution
                self.coefficients = coefficients / _UNITS

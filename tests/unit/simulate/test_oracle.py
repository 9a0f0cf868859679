"""What the oracle sees, and where it sends requests."""

from __future__ import annotations

from epp.datastore.store import Datastore
from epp.sim.engine import Engine, EngineConfig
from epp.sim.kvcache import chained_hashes
from epp.sim.sequence import SimRequest
from epp.sim.tokens import TOKEN_BYTES
from epp.simulate.oracle import OracleScorer
from epp.simulate.picker import BASE_MODEL
from epp.simulate.workload import Piece, text
from epp.types import (
    Api,
    ControlHeaders,
    EndpointSpec,
    InferenceRequest,
    LoadSample,
    ParsedBody,
    PoolSpec,
    Prompt,
    Snapshot,
)

LONG = text([Piece("long", 4000)])


class Pool:
    """Two engines, `a` and `b`, and the oracle that sees them."""

    def __init__(self, **config: int) -> None:
        self.engines = {name: Engine(EngineConfig(**config)) for name in "ab"}
        self.oracle = OracleScorer()
        self.oracle.see(self.engines)
        self._store = Datastore()
        specs = tuple(EndpointSpec(name, "10.0.0.1", 8000 + n) for n, name in enumerate("ab"))
        self._store.apply(Snapshot(PoolSpec("pool"), specs))
        for name in "ab":
            self._store.scraped(name, LoadSample(0, 0, 0.0), 0.0, 0.0)

    def submit(self, name: str, prompt: bytes, output: int, adapter: str = "", now: float = 0.0) -> None:
        hashes = chained_hashes(prompt, 16, salt=adapter)
        request = SimRequest(
            f"{name} {now} {len(prompt)}", len(prompt) // TOKEN_BYTES, output, hashes, adapter
        )
        self.engines[name].submit(request, now)

    def run(self, name: str, until: float = float("inf")) -> float:
        """Steps of an engine up to a time; when the last began."""
        now = 0.0
        while True:
            ends_at = self.engines[name].step(now).ends_at
            if ends_at is None or ends_at > until:
                return now
            now = ends_at

    def choice(self, prompt: bytes, output: int = 10, adapter: str = "", now: float = 0.0) -> str:
        model = adapter or BASE_MODEL
        body = ParsedBody(
            Api.COMPLETIONS,
            model,
            max_tokens=output,
            prompt=Prompt((memoryview(prompt),), len(prompt) // TOKEN_BYTES),
        )
        request = InferenceRequest("r", "/v1/completions", {}, body, ControlHeaders(), model)
        scores = self.oracle.score(request, self._store.candidates(None, now))
        return "ab"[int(scores.argmax())]


def test_to_where_the_prompt_is_cached() -> None:
    pool = Pool()
    pool.submit("b", LONG, 1)
    pool.run("b")
    assert pool.choice(LONG + b"more" * 100) == "b"
    assert pool.choice(text([Piece("other", 4000)])) == "a"


def test_to_where_the_prompt_waits_to_be_computed() -> None:
    pool = Pool()
    for name, prompt in (("a", text([Piece("other", 4000)])), ("b", LONG)):
        pool.submit(name, prompt, 1)
    assert pool.choice(LONG + b"more" * 100) == "b"


def test_away_from_a_queue() -> None:
    pool = Pool()
    for number in range(5):
        pool.submit("a", text([Piece(f"prompt {number}", 3000 + number)]), 10)
    assert pool.choice(text([Piece("other", 100)])) == "b"


def test_to_where_the_adapter_is() -> None:
    pool = Pool()
    pool.submit("b", text([Piece("one", 100)]), 1, "x")
    pool.run("b")
    assert pool.choice(text([Piece("two", 100)]), adapter="x") == "b"


def test_to_where_a_slot_will_be_free_sooner() -> None:
    pool = Pool(max_loras=1)
    pool.submit("a", text([Piece("one", 100)]), 500, "x")
    pool.submit("b", text([Piece("one", 100)]), 20, "x")
    for name in "ab":
        pool.engines[name].step(0.0)
    assert pool.choice(text([Piece("two", 100)]), adapter="y", now=0.001) == "b"


def test_to_where_blocks_will_be_free_sooner() -> None:
    pool = Pool(num_blocks=300)
    for name, output in (("a", 20), ("b", 500)):
        pool.submit(name, text([Piece(name, 4000)]), output)
        pool.engines[name].step(0.0)
    assert pool.choice(text([Piece("two", 1500)]), now=0.001) == "a"


def test_to_where_fewer_tokens_are_read() -> None:
    pool = Pool()
    for name, tokens in (("a", 30_000), ("b", 1000)):
        pool.submit(name, text([Piece(name, tokens)]), 2000)
        now = pool.run(name, until=3.0)
    assert pool.choice(text([Piece("two", 100)]), output=1000, now=now) == "b"


def test_one_that_was_preempted_waits_again() -> None:
    pool = Pool(num_blocks=200)
    for number in range(2):
        pool.submit("a", text([Piece(f"prompt {number}", 1500 + number)]), 400)
    while not pool.engines["a"].counters.preemptions:
        due = pool.engines["a"].step(pool.engines["a"].due or 0.0).ends_at
    assert pool.engines["a"].waiting
    assert pool.choice(text([Piece("two", 100)]), now=due or 0.0) == "b"

"""One life of a simulated server: the engine, its driver, its adapters and its counters, without the HTTP."""

from __future__ import annotations

import asyncio
import time

from epp.sim import tokens
from epp.sim.bodies import Ask
from epp.sim.driver import Driver
from epp.sim.engine import Engine, EngineConfig, SimRequest, StepResult
from epp.sim.kvcache import chained_hashes
from epp.sim.metrics_page import Gauges, ServerMetrics
from epp.sim.reply import Reply

# Positions of Llama-3.1, its longest context.
_MODEL_POSITIONS = 131_072


class UnknownModelError(Exception):
    """Neither the base model nor an adapter has this name."""


class TooLongError(Exception):
    """Prompt and output together are more than `max_model_len`."""


class Instance:
    """A server from its start to its death; its successor starts with a cold cache and counters at zero."""

    def __init__(
        self, config: EngineConfig, model: str, adapters: tuple[str, ...], time_scale: float
    ) -> None:
        self.model = model
        self.created = time.time()
        self.max_model_len = min(_MODEL_POSITIONS, config.max_tokens)
        self.adapters = {name: f"/adapters/{name}" for name in adapters}  # name -> path
        self.pinned: dict[str, float] = {}  # gauges that tests have set, by the field of `Gauges`
        self.engine = Engine(config)
        self.metrics = ServerMetrics(model, config, self.max_model_len, self.created)
        self._driver = Driver(self.engine, time_scale, self._on_step, asyncio.get_running_loop())

    @property
    def gauges(self) -> Gauges:
        """What the server holds now, or says that it holds."""
        engine = self.engine
        return Gauges(
            running=int(self.pinned.get("running", engine.running)),
            waiting=int(self.pinned.get("waiting", engine.waiting)),
            deferred=0 if "waiting" in self.pinned else engine.deferred,
            kv_usage=self.pinned.get("kv_usage", engine.kv_usage),
        )

    def check(self, ask: Ask) -> None:
        """UnknownModelError or TooLongError if `ask` cannot be served."""
        if ask.model and ask.model != self.model and ask.model not in self.adapters:
            raise UnknownModelError(f"The model `{ask.model}` does not exist.")
        longest = max(map(tokens.count, ask.prompts)) + ask.output_tokens
        if longest > self.max_model_len:
            raise TooLongError(
                f"This model's maximum context length is {self.max_model_len} tokens, "
                f"but prompt and output together are {longest} tokens."
            )

    def submit(self, ask: Ask, reply: Reply) -> None:
        """Queues every choice of a checked `ask`; `reply` gets their tokens."""
        adapter = "" if ask.model == self.model else ask.model
        block_size = self.engine.config.block_size
        for choice in reply.choices:
            answered = choice.prompt + tokens.encode(choice.text)
            request = SimRequest(
                id=choice.id,
                prompt_tokens=tokens.count(choice.prompt),
                output_tokens=ask.output_tokens,
                block_hashes=chained_hashes(answered, block_size, salt=adapter),
                adapter=adapter,
            )
            choice.sequence = self._driver.submit(request, choice.on_token)

    def cancel(self, reply: Reply) -> None:
        """Forgets what is not finished of `reply`."""
        for choice in reply.choices:
            self._driver.cancel(choice.id)

    def close(self) -> None:
        """Ends this life."""
        self._driver.close()

    def _on_step(self, result: StepResult) -> None:
        self.metrics.observe_step(result)
        if self.engine.resident_adapters:
            self.metrics.observe_adapters(self.engine.active_adapters, time.time())

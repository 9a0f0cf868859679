"""One life of a simulated server: the engine, its driver, its adapters and its counters, without the HTTP."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from epp.sim import tokens
from epp.sim.bodies import Ask
from epp.sim.driver import Driver
from epp.sim.engine import Engine, EngineConfig, StepResult
from epp.sim.kvcache import chained_hashes
from epp.sim.metrics_page import Gauges, MetricsPage
from epp.sim.refusals import AdapterLoadedError, TooLongError, UnknownAdapterError, UnknownModelError
from epp.sim.reply import Reply
from epp.sim.sequence import SimRequest
from epp.sim.statistics import Statistics

# Positions of Llama-3.1, its longest context.
_MODEL_POSITIONS = 131_072


class Instance:
    """A server from its start to its death; its successor starts with a cold cache and counters at zero."""

    def __init__(
        self, config: EngineConfig, model: str, adapters: tuple[str, ...], time_scale: float
    ) -> None:
        self.model = model
        self.max_model_len = min(_MODEL_POSITIONS, config.max_tokens)
        self.pinned: dict[str, float] = {}  # gauges that tests have set, by the field of `Gauges`
        self.engine = Engine(config)
        self.statistics = Statistics(model, self.max_model_len)
        self._adapters = {name: f"/adapters/{name}" for name in adapters}  # name -> path
        self._created = time.time()
        self._page = MetricsPage(model, config, self._created)
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

    def metrics(self, process: str) -> bytes:
        """The page of GET /metrics, headed by `process`, what the Python client says of the process."""
        return self._page.render(self.statistics, self.gauges, self.engine.counters, process)

    def model_cards(self) -> list[dict[str, Any]]:
        """The data of GET /v1/models: the base model and every adapter."""
        base = self._card(self.model, self.model, parent=None, max_model_len=self.max_model_len)
        return [base, *(self._card(name, path, self.model, None) for name, path in self._adapters.items())]

    def load_adapter(self, name: str, path: str) -> None:
        """Makes an adapter known. Any path will do: there is nothing to read."""
        if name in self._adapters:
            raise AdapterLoadedError(f"The lora adapter '{name}' has already been loaded.")
        self._adapters[name] = path

    def unload_adapter(self, name: str) -> None:
        """Forgets an adapter; requests that have it are still served."""
        if self._adapters.pop(name, None) is None:
            raise UnknownAdapterError(f"The lora adapter '{name}' cannot be found.")

    def check(self, ask: Ask) -> None:
        """UnknownModelError or TooLongError if `ask` cannot be served."""
        if ask.model and ask.model != self.model and ask.model not in self._adapters:
            raise UnknownModelError(f"The model `{ask.model}` does not exist.")
        longest = max(map(tokens.count, ask.prompts)) + ask.output_tokens
        if longest > self.max_model_len:
            raise TooLongError(
                f"This model's maximum context length is {self.max_model_len} tokens, "
                f"but prompt and output together are {longest} tokens."
            )

    async def serve(self, ask: Ask, reply: Reply) -> None:
        """Has every choice of a checked `ask` made; whatever ends the wait early gives everything back."""
        try:
            self._submit(ask, reply)
            await reply.done
        finally:
            for choice in reply.choices:
                self._driver.cancel(choice.id)

    def close(self) -> None:
        """Ends this life."""
        self._driver.close()

    def _submit(self, ask: Ask, reply: Reply) -> None:
        adapter = "" if ask.model == self.model else ask.model
        for choice in reply.choices:
            answered = choice.prompt + tokens.encode(choice.text)
            request = SimRequest(
                id=choice.id,
                prompt_tokens=tokens.count(choice.prompt),
                output_tokens=ask.output_tokens,
                block_hashes=chained_hashes(answered, self.engine.config.block_size, salt=adapter),
                adapter=adapter,
            )
            choice.sequence = self._driver.submit(request, choice.on_token)

    def _on_step(self, result: StepResult) -> None:
        self.statistics.observe_step(result)
        if self.engine.resident_adapters:
            self.statistics.observe_adapters(self.engine.active_adapters, time.time())

    def _card(self, name: str, root: str, parent: str | None, max_model_len: int | None) -> dict[str, Any]:
        return {
            "id": name,
            "object": "model",
            "created": int(self._created),
            "owned_by": "vllm",
            "root": root,
            "parent": parent,
            "max_model_len": max_model_len,
            "permission": [],
        }

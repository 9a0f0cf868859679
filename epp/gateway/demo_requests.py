"""The requests of `epp up --demo`: those of the reference's deployment guide, in every shape. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

from epp.gateway.documents import OBJECTIVES

# How many requests, and how many under way at a time, as the demonstration promises.
REQUESTS = 60
AT_A_TIME = 12

# Tokens that the guide's requests ask for.
MAX_TOKENS = 100

# The guide asks about the first. Several make several prefixes, each of them asked for again and again.
_CITIES = ("San Francisco", "Lisbon", "Nairobi", "Osaka", "Tromsø")


@dataclass(frozen=True, slots=True)
class Models:
    """What the servers serve; no adapter, or any number of them."""

    base: str
    adapters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DemoRequest:
    """One request: what it asks, and of whom."""

    id: str
    api: Literal["completions", "chat/completions"]
    model: str
    stream: bool
    objective: str  # "": none is named
    prompt: str

    @property
    def path(self) -> str:
        """Where it is posted to."""
        return f"/v1/{self.api}"

    @property
    def headers(self) -> dict[str, str]:
        """Its id, by which /debug/decisions knows it, and its objective."""
        objective = {"x-gateway-inference-objective": self.objective} if self.objective else {}
        return {"x-request-id": self.id, **objective}

    @property
    def body(self) -> dict[str, Any]:
        """The JSON that is posted."""
        chat = self.api == "chat/completions"
        prompt = {"messages": [{"role": "user", "content": self.prompt}]} if chat else {"prompt": self.prompt}
        usage = {"stream_options": {"include_usage": True}} if self.stream else {}
        fixed = {"max_tokens": MAX_TOKENS, "temperature": 0, "stream": self.stream}
        return {"model": self.model, **prompt, **fixed, **usage}


def read_models(listing: dict[str, Any]) -> Models | None:
    """What /v1/models lists: vLLM names an adapter's base model as its `parent`. None if it lists no base."""
    cards = listing.get("data", [])
    bases = [card["id"] for card in cards if not card.get("parent")]
    return Models(bases[0], tuple(card["id"] for card in cards if card.get("parent"))) if bases else None


def demo_requests(models: Models) -> Sequence[DemoRequest]:
    """Sixty requests: each API, streaming and not, of each model, about one city after the other."""
    apis: tuple[Literal["completions", "chat/completions"], ...] = ("completions", "chat/completions")
    shapes = list(product(apis, (False, True), (models.base, *models.adapters)))
    requests = []
    for number in range(REQUESTS):
        api, stream, model = shapes[number % len(shapes)]
        city = _CITIES[number // len(shapes) % len(_CITIES)]
        prompt = f"Write as if you were a critic: {city}"
        objective = _objective(model, models.base)
        requests.append(DemoRequest(f"demo-{number + 1:02}", api, model, stream, objective, prompt))
    return requests


def _objective(model: str, base: str) -> str:
    """The guide's objective for the model; an adapter that it does not know has none."""
    name = "base-model" if model == base else model
    return name if name in OBJECTIVES else ""

"""The nouns that more than one layer speaks of: what exists (pool, endpoints, objectives, rewrites), what an
endpoint says of its load, and one inference request as the scheduler sees it. Plain values, no behaviour
beyond reading them.

What is made for each request is a msgspec struct, at a fifth of a frozen dataclass' cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import msgspec

# A request that names no objective, or one that nobody knows, has this priority (InferenceObjective's rule).
DEFAULT_PRIORITY = 0

# The flow of requests that name no fairness id (the reference's word).
DEFAULT_FAIRNESS_ID = "default-flow"


def format_address(host: str, port: int) -> str:
    """`host:port`, an IPv6 host in brackets, as the destination header wants it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """One model server as its source knows it. Two specs with the same `name` are the same endpoint."""

    name: str
    host: str  # an IP address, IPv6 without brackets
    port: int
    labels: Mapping[str, str] = field(default_factory=dict)
    engine: str = "vllm"  # whose metric names it speaks: a key of epp.scrape.engines.ENGINES
    ready: bool = True

    @property
    def address(self) -> str:
        """`host:port` as it stands in the destination header."""
        return format_address(self.host, self.port)


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """The InferencePool: whose endpoints these are."""

    name: str
    namespace: str = "default"
    target_ports: tuple[int, ...] = (8000,)


@dataclass(frozen=True, slots=True)
class Objective:
    """An InferenceObjective: a name that a request gives, and the priority it gets; negative can be shed.

    With a `model` it is an InferenceModel, its predecessor: for requests that ask for the model and name no
    objective.
    """

    name: str
    priority: int = DEFAULT_PRIORITY
    model: str = ""


@dataclass(frozen=True, slots=True)
class RewriteTarget:
    """One model that a rewrite may choose, `weight` against its siblings; None: no weight was given."""

    model: str
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A rule of an InferenceModelRewrite: requests for one of `models` (empty: any) get one of `targets`."""

    name: str
    models: tuple[str, ...]
    targets: tuple[RewriteTarget, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a source knows at one moment. `pool` None: there is none (yet, or any more)."""

    pool: PoolSpec | None
    endpoints: tuple[EndpointSpec, ...] = ()
    objectives: tuple[Objective, ...] = ()
    rewrites: tuple[Rewrite, ...] = ()  # in order of precedence


class LoadSample(msgspec.Struct, frozen=True, gc=False):
    """What one look at an endpoint told of its load; None: it did not say."""

    waiting: int | None = None  # requests queued
    running: int | None = None  # requests in the batch
    kv_usage: float | None = None  # 0..1 of the KV blocks
    block_size: int | None = None  # tokens in a KV block
    num_blocks: int | None = None  # KV blocks of the endpoint
    max_lora: int | None = None  # adapters that fit in the batch
    adapters: frozenset[str] | None = None  # adapters with requests in flight


class Api(Enum):
    """The shape of a request's body, told by the suffix of its path."""

    COMPLETIONS = "completions"
    CHAT = "chat/completions"
    RESPONSES = "responses"
    MESSAGES = "messages"
    EMBEDDINGS = "embeddings"
    SCORE = "score"
    RERANK = "rerank"
    GENERATE = "inference/v1/generate"
    OTHER = "other"  # a JSON body with a `model`, of no shape known here
    NONE = "none"  # no body


class Prompt(msgspec.Struct, frozen=True, gc=False):
    """What the engine will prefill, as bytes to hash and as a number of tokens.

    `parts` are views of the request's body in the engine's order (tools before messages), undecoded: equal
    prompts have equal bytes. They are never copied, stored or logged.
    """

    parts: tuple[memoryview, ...] = ()
    tokens: int = 0  # estimated, or exact for token ids
    salt: str = ""  # the request's cache_salt

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(part.nbytes for part in self.parts)


class ParsedBody(msgspec.Struct, frozen=True, gc=False):
    """What one pass over a request's body found."""

    api: Api
    model: str = ""
    stream: bool = False
    max_tokens: int | None = None
    prompt: Prompt = msgspec.field(default_factory=Prompt)


class ControlHeaders(msgspec.Struct, frozen=True, gc=False):
    """What a request's headers ask of the picker; defaults where they say nothing."""

    request_id: str = ""
    objective: str = ""
    fairness_id: str = DEFAULT_FAIRNESS_ID
    model_rewrite: str = ""
    ttft_slo_ms: float | None = None
    tpot_slo_ms: float | None = None


class InferenceRequest(msgspec.Struct, gc=False):
    """One request as filters and scorers see it."""

    id: str
    path: str
    headers: Mapping[str, str]  # lower-case names; a repeated header has its last value
    body: ParsedBody
    controls: ControlHeaders
    target_model: str  # what the endpoint will be asked for, after rewriting
    priority: int = DEFAULT_PRIORITY
    subset: frozenset[str] | None = None  # "ip" or "ip:port"; None: the gateway set no limit
    size: int = 0  # bytes of the body
    received_at: float = 0.0  # the picker's clock, seconds


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Token counts that an answer reports."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int | None = None

"""Which metrics each kind of model server tells its load by, and how to read them off a page.

Names: the reference's built-in engine configurations (v1.5); an endpoint's engine comes from its label
`inference.networking.k8s.io/engine-type`.

LoRA, as vLLM means it: every combination and order of active adapters is a sample of its own and old ones
stay, so the sample with the largest value (a unix time) speaks. It names the adapters twice, once as running
and once as waiting, always the same; the union is taken. An adapter is named from its first token on, so a
name missing here says nothing. With no sample at all (a server without LoRA, or none asked for yet) adapters
are None, "it did not say"; with a sample that names none, they are the empty set.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from epp.scrape.exposition import Memory, Page, Sample, Selector, parse_selector
from epp.scrape.values import count, fraction, number, size
from epp.types import LoadSample

# The engine of an endpoint that says none, or one that is not known here.
DEFAULT_ENGINE: Final = "vllm"


@dataclass(frozen=True, slots=True)
class InfoLabels:
    """The cache's shape as labels of an info metric, whose own value means nothing."""

    selector: Selector
    block_size: str
    num_blocks: str


@dataclass(frozen=True, slots=True)
class InfoValues:
    """The cache's shape as two gauges."""

    block_size: Selector
    num_blocks: Selector


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """The metrics of one kind of server. None: it has no such metric."""

    name: str
    queue: Selector | None
    running: Selector | None
    kv: tuple[Selector, ...]  # 0..1; the first that is on the page
    lora: Selector | None = None
    cache_info: InfoLabels | InfoValues | None = None


_VLLM = EngineSpec(
    "vllm",
    queue=Selector("vllm:num_requests_waiting"),
    running=Selector("vllm:num_requests_running"),
    kv=(Selector("vllm:kv_cache_usage_perc"), Selector("vllm:gpu_cache_usage_perc")),  # new name, old name
    lora=Selector("vllm:lora_requests_info"),
    cache_info=InfoLabels(Selector("vllm:cache_config_info"), "block_size", "num_gpu_blocks"),
)

_SGLANG = EngineSpec(
    "sglang",
    queue=Selector("sglang:num_queue_reqs"),
    running=Selector("sglang:num_running_reqs"),
    kv=(Selector("sglang:token_usage"),),
    cache_info=InfoLabels(Selector("sglang:cache_config_info"), "page_size", "num_pages"),
)

_TRTLLM_SERVE = EngineSpec(
    "trtllm-serve",
    queue=Selector("trtllm_num_requests_waiting"),
    running=Selector("trtllm_num_requests_running"),
    kv=(Selector("trtllm_kv_cache_utilization"),),
    cache_info=InfoValues(
        Selector("trtllm_kv_cache_tokens_per_block"), Selector("trtllm_kv_cache_max_blocks")
    ),
)


def _triton_block(kind: str) -> Selector:
    return Selector("nv_trt_llm_kv_cache_block_metrics", (("kv_cache_block_type", kind),))


def _triton_requests(kind: str) -> Selector:
    return Selector("nv_trt_llm_request_metrics", (("request_type", kind),))


_TRITON = EngineSpec(
    "triton-tensorrt-llm",
    queue=_triton_requests("waiting"),
    running=_triton_requests("scheduled"),
    kv=(_triton_block("fraction"),),
    cache_info=InfoValues(_triton_block("tokens_per"), _triton_block("max")),
)

ENGINES: Final[dict[str, EngineSpec]] = {
    engine.name: engine for engine in (_VLLM, _SGLANG, _TRTLLM_SERVE, _TRITON)
}


def override(
    engine: EngineSpec,
    *,
    queue: str | None = None,
    running: str | None = None,
    kv: str | None = None,
    lora: str | None = None,
    cache_info: str | None = None,
) -> EngineSpec:
    """`engine` with other metrics, as the v1.0.1 flags give them (`parse_selector`'s syntax).

    None leaves a metric as it was; "" means that the server has none, as `--lora-info-metric=""` does.
    `cache_info` names a metric with vLLM's labels. Raises ValueError for a text that is no selector.
    """
    changes: dict[str, Selector | tuple[Selector, ...] | InfoLabels | None] = {}
    for field, text in (("queue", queue), ("running", running), ("lora", lora)):
        if text is not None:
            changes[field] = _selector(text)
    if kv is not None:
        selector = _selector(kv)
        changes["kv"] = () if selector is None else (selector,)
    if cache_info is not None:
        selector = _selector(cache_info)
        changes["cache_info"] = selector and InfoLabels(selector, "block_size", "num_gpu_blocks")
    return replace(engine, **changes)  # type: ignore[arg-type]  # keys and values are paired above


def _selector(text: str) -> Selector | None:
    return parse_selector(text) if text.strip(" \"'") else None


def read_load(data: bytes, engine: EngineSpec, memory: Memory | None = None) -> LoadSample:
    """What `data`, the page of an `engine`, tells of its load. Never raises.

    `memory`: one for each server, empty at first, makes its later pages quicker to read; see `Page`.
    """
    page = Page(data, memory)
    block_size, num_blocks = _read_cache_info(page, engine.cache_info)
    max_lora, adapters = _read_lora(page, engine.lora)
    return LoadSample(
        waiting=count(_read(page, engine.queue)),
        running=count(_read(page, engine.running)),
        kv_usage=_read_kv(page, engine.kv),
        block_size=block_size,
        num_blocks=num_blocks,
        max_lora=max_lora,
        adapters=adapters,
    )


def _read(page: Page, selector: Selector | None) -> float | None:
    return None if selector is None else page.value(selector)


def _read_kv(page: Page, selectors: tuple[Selector, ...]) -> float | None:
    for selector in selectors:
        usage = fraction(page.value(selector))
        if usage is not None:
            return usage
    return None


def _read_lora(page: Page, selector: Selector | None) -> tuple[int | None, frozenset[str] | None]:
    """Adapters that fit in the batch, and those with requests in flight."""
    found = [] if selector is None else page.samples(selector)
    if not found:
        return None, None
    labels = max(found, key=_value).labels
    names = f"{labels.get('running_lora_adapters', '')},{labels.get('waiting_lora_adapters', '')}".split(",")
    adapters = frozenset(name.strip() for name in names) - {""}
    return count(number(labels.get("max_lora"))), adapters


def _read_cache_info(page: Page, info: InfoLabels | InfoValues | None) -> tuple[int | None, int | None]:
    """Tokens in a block, and blocks."""
    if isinstance(info, InfoValues):
        return size(page.value(info.block_size)), size(page.value(info.num_blocks))
    found = [] if info is None else page.samples(info.selector)
    if info is None or not found:
        return None, None
    labels = found[0].labels
    return size(number(labels.get(info.block_size))), size(number(labels.get(info.num_blocks)))


def _value(sample: Sample) -> float:
    return sample.value

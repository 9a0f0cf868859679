"""Real vLLM servers on this machine: the model `tiny` with LoRA adapters."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.process import Process
from tests.e2e.stack import answers, client_of
from tests.vllm import contained

BASE_MODEL = "tiny"
ADAPTERS = ("food-review", "cad-fabricator")
LATE_ADAPTER = "night-shift"  # is not loaded at the start

# Requests in a server's batch: few, so that a queue appears early.
BATCH = 4

# Tokens in a KV block. vLLM on a CPU wants a multiple of 32.
BLOCK = 32

# What the KV cache is to hold, and the bytes that a token of this model takes: 2 layers * 4 heads * 32
# dimensions * 2 (key, value) * 4 bytes.
KV_CACHE_TOKENS = 32_768
_TOKEN_BYTES = 2048

# Seconds. A server is up after 40 s on a machine with nothing else to do, after minutes on a busy one.
_START_UP = 600.0

# Seconds between two looks whether it is up: looking takes time from starting.
_LOOK_EVERY = 0.5

_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
    # Two servers share the machine: one thread each, and none of them bound to a core.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
}


@dataclass(frozen=True, slots=True)
class Load:
    """What a server says of its load."""

    running: float
    waiting: float
    kv_usage: float


@dataclass(frozen=True, slots=True)
class Page:
    """A metrics page, read by prometheus_client and not by the picker's code."""

    families: tuple[Metric, ...]

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples with these labels."""
        samples = (sample for family in self.families for sample in family.samples)
        found = [
            each.value for each in samples if each.name == name and labels.items() <= each.labels.items()
        ]
        assert found, f"no {name} {labels} on the page"
        return sum(found)

    def labels(self, name: str) -> dict[str, str]:
        """Of the only sample of this name."""
        [found] = [each for family in self.families for each in family.samples if each.name == name]
        return found.labels

    @property
    def load(self) -> Load:
        """The gauges that the picker goes by."""
        names = ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")
        return Load(*(self.value(f"vllm:{name}") for name in names))


class Vllm(Process):
    """`vllm serve` on 127.0.0.1:`port`, from the virtual environment `venv` and the folder `model`."""

    def __init__(self, folder: Path, venv: Path, model: Path, port: int) -> None:
        self.model = model
        self.port = port
        self.address = f"127.0.0.1:{port}"
        super().__init__(_command(venv, model, port), folder / f"vllm-{port}.log", _START_UP)
        # It closes a connection that was idle for 5 s, and a request sent just then would fail.
        self._http = client_of(port, headers={"connection": "close"})

    async def __aexit__(self, *_: object) -> None:
        await super().__aexit__()
        await self._http.aclose()

    async def ready(self) -> bool:
        await asyncio.sleep(_LOOK_EVERY)
        return await answers(self._http, "/health")

    async def page(self) -> Page:
        """Its metrics page now."""
        text = (await self._http.get("/metrics")).text
        return Page(tuple(text_string_to_metric_families(text)))

    async def load(self) -> Load:
        """What it says of its load now."""
        return (await self.page()).load

    async def is_idle(self) -> bool:
        """Whether it says that it has no request."""
        load = await self.load()
        return (load.running, load.waiting) == (0, 0)

    async def load_adapter(self, name: str) -> None:
        """Loads an adapter of the model's folder."""
        body = {"lora_name": name, "lora_path": str(self.model / name)}
        (await self._http.post("/v1/load_lora_adapter", json=body)).raise_for_status()

    async def unload_adapter(self, name: str) -> None:
        """Takes an adapter out."""
        (await self._http.post("/v1/unload_lora_adapter", json={"lora_name": name})).raise_for_status()


def make_model(venv: Path, folder: Path) -> Path:
    """Writes the model with its adapters to a folder below `folder`, and returns that."""
    model = folder / "model"
    program = Path(__file__).with_name("tiny_model.py")
    subprocess.run([venv / "bin" / "python", program, model, *ADAPTERS, LATE_ADAPTER], check=True)
    return model


def _command(venv: Path, model: Path, port: int) -> list[str]:
    options = {
        "served-model-name": BASE_MODEL,
        "host": "127.0.0.1",
        "port": port,
        "dtype": "float32",
        "max-num-seqs": BATCH,
        "block-size": BLOCK,
        "kv-cache-memory-bytes": KV_CACHE_TOKENS * _TOKEN_BYTES,
        "max-loras": len(ADAPTERS),
    }
    return [
        *("env", *(f"{name}={value}" for name, value in _ENVIRONMENT.items())),
        *(sys.executable, "-I", "-S", contained.__file__),
        *(str(venv / "bin" / "vllm"), "serve", str(model)),
        *(f"--{name}={value}" for name, value in options.items()),
        "--enforce-eager",  # compiling would take longer than all tests
        *("--enable-lora", "--lora-modules", *(f"{name}={model / name}" for name in ADAPTERS)),
    ]

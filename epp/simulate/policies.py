"""The policies that `epp simulate` knows by name, and those in files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from epp.config.catalogue import Catalogue, PluginType
from epp.config.document import read_text
from epp.config.picker import load_picker_config
from epp.config.picker_config import PickerConfig
from epp.datastore.endpoints import Candidates, Floats
from epp.plugins.registry import catalogue, kinds_of
from epp.scheduling.default import DEFAULT_TEXT
from epp.simulate.oracle import OracleScorer

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

_HEAD = "apiVersion: inference.networking.x-k8s.io/v1alpha1\nkind: EndpointPickerConfig\n"


@dataclass
class RoundRobinPicker:
    """Picks endpoints in turn; a yardstick, and no plugin of the picker that serves."""

    _turn: int = field(init=False, repr=False, default=-1)

    def pick(self, totals: Floats, endpoints: Candidates, rng: random.Random) -> Sequence[int]:
        """The one after the one before."""
        self._turn += 1
        return (self._turn % len(totals),)


# Plugins that only simulations have.
_TYPES = (
    PluginType("round-robin-picker", RoundRobinPicker, kinds_of(RoundRobinPicker)),
    PluginType("oracle-scorer", OracleScorer, kinds_of(OracleScorer)),
)

# `reference` is the profile that v1.5 of the reference has built in, and `reference-1.0` that of v1.0.1's
# charts, both with the reference's way to cut prompts: 256 blocks of 64 bytes, 16 tokens, and no more.
# `llm-d` is what llm-d's router does without a configuration, with blocks of 64 tokens up to 131,072 tokens;
# `sticky-until-saturated` what it recommends since August 2026, with the defaults of its plugins. It counts
# tokens in flight without those cached and until the first token; this picker counts all until the end.
BUILT_IN: Mapping[str, str] = {
    "default": DEFAULT_TEXT,
    "random": _HEAD
    + """\
plugins: [{type: random-picker}]
schedulingProfiles:
- {name: random, plugins: [{pluginRef: random-picker}]}
""",
    "round-robin": _HEAD
    + """\
plugins: [{type: round-robin-picker}]
schedulingProfiles:
- {name: round-robin, plugins: [{pluginRef: round-robin-picker}]}
""",
    "least-requests": _HEAD
    + """\
plugins: [{type: active-request-scorer}]
schedulingProfiles:
- {name: least-requests, plugins: [{pluginRef: active-request-scorer}]}
""",
    "reference": _HEAD
    + """\
plugins:
- type: queue-scorer
- type: kv-cache-utilization-scorer
- {type: prefix-cache-scorer, parameters: {blockSizeTokens: 16}}
schedulingProfiles:
- name: reference
  plugins:
  - {pluginRef: queue-scorer, weight: 2}
  - {pluginRef: kv-cache-utilization-scorer, weight: 2}
  - {pluginRef: prefix-cache-scorer, weight: 3}
""",
    "reference-1.0": _HEAD
    + """\
plugins:
- type: queue-scorer
- type: kv-cache-utilization-scorer
- {type: prefix-cache-scorer, parameters: {blockSizeTokens: 16}}
schedulingProfiles:
- name: reference-1.0
  plugins:
  - {pluginRef: queue-scorer}
  - {pluginRef: kv-cache-utilization-scorer}
  - {pluginRef: prefix-cache-scorer}
""",
    "llm-d": _HEAD
    + """\
plugins:
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: prefix-cache-scorer
  parameters: {autoTune: false, blockSizeTokens: 64, maxPrefixTokensToMatch: 131072}
schedulingProfiles:
- name: llm-d
  plugins:
  - {pluginRef: queue-scorer, weight: 2}
  - {pluginRef: kv-cache-utilization-scorer, weight: 2}
  - {pluginRef: prefix-cache-scorer, weight: 3}
""",
    "sticky-until-saturated": _HEAD
    + """\
plugins:
- {type: inflight-load-producer, parameters: {addEstimatedOutputTokens: false}}
- type: prefix-cache-affinity-filter
- type: token-load-scorer
- type: max-score-picker
schedulingProfiles:
- name: sticky-until-saturated
  plugins:
  - {pluginRef: prefix-cache-affinity-filter}
  - {pluginRef: token-load-scorer}
  - {pluginRef: max-score-picker}
""",
    "oracle": _HEAD
    + """\
plugins: [{type: oracle-scorer}]
schedulingProfiles:
- {name: oracle, plugins: [{pluginRef: oracle-scorer}]}
""",
}


def load_policy(name: str, users: Iterable[PluginType] = ()) -> PickerConfig:
    """The policy of this name, or in the file of this name. ConfigError with every fault in it."""
    types: Catalogue = catalogue([*_TYPES, *users])
    given = BUILT_IN.get(name)
    return load_picker_config(read_text(Path(name), name) if given is None else given, name, types)

"""The files of a new plugin: one that works, and a test of it that passes. Pure."""

from __future__ import annotations

import re
from string import Template
from typing import Literal

from epp.errors import ConfigError, Fault

_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")

_PLUGIN = Template('''"""$name: say here what it is for."""

from __future__ import annotations

$imports


@dataclass
class $class_name:
    """Say in one line what it is for: `epp plugins` shows this."""

    type_name = "$name"

    # Parameters: a configuration sets $parameter_key.
    $parameter

$method
''')

_METHODS = {
    "scorer": (
        """from dataclasses import dataclass
from typing import Annotated

import numpy as np
from epp.config.constraints import Doc, Range
from epp.datastore.endpoints import Candidates, Floats
from epp.types import InferenceRequest""",
        'limit: Annotated[int, Range(1, 1_000_000), Doc("requests in flight at which the score is 0")] = 100',
        "limit",
        '''    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats:
        """0 (bad) to 1 (good) for each candidate."""
        return 1.0 - np.minimum(endpoints.in_flight / self.limit, 1.0)''',
    ),
    "filter": (
        """from dataclasses import dataclass
from typing import Annotated

from epp.config.constraints import Doc, Range
from epp.datastore.endpoints import Candidates, Mask
from epp.types import InferenceRequest""",
        'limit: Annotated[int, Range(1, 1_000_000), Doc("requests in flight that are too many")] = 100',
        "limit",
        '''    def filter(self, request: InferenceRequest, endpoints: Candidates) -> Mask | None:
        """True for each candidate that stays; None: all of them do."""
        stays = endpoints.in_flight < self.limit
        return stays if stays.any() else None''',
    ),
    "picker": (
        """import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from epp.config.constraints import Doc, Range
from epp.datastore.endpoints import Candidates, Floats""",
        'best_of: Annotated[int, Range(1, 1000), Doc("how many of the best it chooses among")] = 2',
        "bestOf",
        '''    def pick(self, totals: Floats, endpoints: Candidates, rng: random.Random) -> Sequence[int]:
        """Indexes into the candidates, best first, at least one."""
        best = np.argsort(-totals)[: self.best_of].tolist()
        return [rng.choice(best)]''',
    ),
}

_TEST = Template('''"""$name, found as the picker finds it, over three endpoints."""

from __future__ import annotations

${standard}from pathlib import Path

${foreign}from epp.datastore.endpoints import Candidates
from epp.datastore.store import Datastore
from epp.discovery import load_catalogue
from epp.types import (
    Api,
    ControlHeaders,
    EndpointSpec,
    InferenceRequest,
    LoadSample,
    ParsedBody,
    PoolSpec,
    Snapshot,
)

NOW = 100.0

PLUGIN = load_catalogue(str(Path(__file__).parent)).types["$name"]

REQUEST = InferenceRequest(
    id="1",
    path="/v1/chat/completions",
    headers={"user-agent": "test"},
    body=ParsedBody(Api.CHAT, model="base"),
    controls=ControlHeaders(),
    target_model="base",
)


def three_endpoints() -> Candidates:
    """a, which serves two requests of this picker's, b, which serves one, and c, which is idle."""
    store = Datastore()
    specs = [EndpointSpec(name, f"10.0.0.{i}", 8000) for i, name in enumerate("abc", 1)]
    store.apply(Snapshot(PoolSpec("pool"), tuple(specs)))
    for spec in specs:
        store.scraped(spec.name, LoadSample(waiting=0, running=0, kv_usage=0.0), 0.05, NOW)
    a, b, _ = store.endpoints
    for endpoint in (a, a, b):
        store.reserve(endpoint, 100, "base")
    return store.candidates(None, NOW)


$tests
''')

_TESTS = {
    "scorer": """def test_fewer_requests_in_flight_score_better() -> None:
    scores = PLUGIN.make({"limit": 4}).score(REQUEST, three_endpoints())
    assert scores.tolist() == [0.5, 0.75, 1.0]""",
    "filter": """def test_busy_endpoints_are_left_out() -> None:
    assert PLUGIN.make({"limit": 2}).filter(REQUEST, three_endpoints()).tolist() == [False, True, True]


def test_all_stay_if_all_are_busy() -> None:
    busy = three_endpoints()
    assert PLUGIN.make({"limit": 1}).filter(REQUEST, busy.only(busy.in_flight > 0)) is None""",
    "picker": """def test_one_of_the_best_is_picked() -> None:
    picker = PLUGIN.make({"best_of": 2})
    totals = np.array([0.1, 0.9, 0.8])
    picks = {tuple(picker.pick(totals, three_endpoints(), random.Random(seed))) for seed in range(20)}
    assert picks == {(1,), (2,)}""",
}

# What a test imports beyond the others.
_STANDARD = {"picker": "import random\n"}
_FOREIGN = {"picker": "import numpy as np\n"}


def skeleton(name: str, kind: Literal["scorer", "filter", "picker"]) -> dict[str, str]:
    """The texts of the plugin `name` and of its test, by file name. ConfigError if it is no type's name."""
    if not _NAME.fullmatch(name):
        message = "is no name for a type; write lower-case words with dashes, as in nearest-scorer"
        raise ConfigError([Fault("command line", 0, name, message)])
    module = name.replace("-", "_")
    class_name = "".join(word.capitalize() for word in name.split("-"))
    imports, parameter, key, method = _METHODS[kind]
    plugin = _PLUGIN.substitute(
        name=name,
        imports=imports,
        class_name=class_name,
        parameter=parameter,
        parameter_key=key,
        method=method,
    )
    test = _TEST.substitute(
        name=name, standard=_STANDARD.get(kind, ""), foreign=_FOREIGN.get(kind, ""), tests=_TESTS[kind]
    )
    return {f"{module}.py": plugin, f"test_{module}.py": test}

"""The examples of docs/plugins.md, straight out of the document: saved, configured and run."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from epp.config.picker import load_picker_config
from epp.datastore.store import Datastore
from epp.discovery import load_catalogue
from epp.errors import ConfigError, NoEndpointError
from epp.plugin import Misbehaviour, Watcher
from epp.scheduling.build import build_policy
from epp.scheduling.decision import Decision
from epp.scheduling.policy import Policy
from tests.pools import INTERVAL, NOW, labelled, load, request

DOCUMENT = Path(__file__).parents[2] / "docs" / "plugins.md"
_BLOCK = re.compile(r"```(?:python|yaml)\n# (?P<name>\S+)\n(?P<text>.*?)```", re.DOTALL)
BLOCKS = {found["name"]: found["text"] for found in _BLOCK.finditer(DOCUMENT.read_text())}

# By the name that the document gives the file: the type, and what it is.
EXAMPLES = {
    "plugins/cost_scorer.py": ("cost-scorer", "scorer"),
    "plugins/canary_filter.py": ("canary-filter", "filter"),
    "plugins/session_picker.py": ("session-picker", "observer, picker, scorer"),
}


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Every file of the document, and its plugins to be imported."""
    for name, text in BLOCKS.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    sys.path.insert(0, str(tmp_path / "plugins"))
    yield tmp_path
    sys.path.remove(str(tmp_path / "plugins"))
    for name in EXAMPLES:
        sys.modules.pop(Path(name).stem, None)


@dataclass
class Stage:
    """A policy over a pool, and what its plugins did wrong."""

    store: Datastore
    policy: Policy
    faults: list[tuple[str, Misbehaviour]]

    def decide(self, **headers: str) -> Decision:
        """Places a request and ends it."""
        asked = request(headers={name.replace("_", "-"): value for name, value in headers.items()})
        candidates = self.store.candidates(None, NOW)
        decision = self.policy.scheduler.run(asked, candidates, random.Random(0))
        self.policy.observers.placed(asked, decision)
        self.store.reserve(decision.picked[0], 1, "base").release()
        return decision

    def goes_to(self, **headers: str) -> str:
        """Where a request goes."""
        return self.decide(**headers).picked[0].spec.name


def staged(directory: Path, name: str, *labels: Mapping[str, str]) -> Stage:
    """The document's configuration `name` over endpoints with `labels`, of which all are idle."""
    store = labelled(*labels)
    for number in range(len(labels)):
        store.scraped(f"pod-{number}", load(0, 0.0), INTERVAL, NOW)
    faults: list[tuple[str, Misbehaviour]] = []
    watcher = Watcher(misbehaved=lambda plugin_type, name, how, error: faults.append((name, how)))
    config = load_picker_config(
        (directory / name).read_text(), name, load_catalogue(str(directory / "plugins"), [])
    )
    assert not config.warnings
    return Stage(store, build_policy(config, store, 2.0, watcher), faults)


def test_the_document_has_the_examples(directory: Path) -> None:
    assert {*EXAMPLES, "cheap.yaml", "canary.yaml", "sessions.yaml"} < BLOCKS.keys()
    known = load_catalogue(str(directory / "plugins"), [])
    for type_name, kinds in EXAMPLES.values():
        plugin_type = known.named(type_name)
        assert plugin_type is not None
        assert plugin_type.kind_words == kinds
        assert plugin_type.meaning


def test_the_scorer(directory: Path) -> None:
    stage = staged(directory, "cheap.yaml", {"usd-per-hour": "4"}, {"usd-per-hour": "1"}, {})
    decision = stage.decide()
    assert decision.picked[0].spec.name == "pod-1"
    row = list(decision.weights).index("cost-scorer")
    assert decision.scores[row].tolist() == [0.25, 1, 0]
    stage.store.scraped("pod-1", load(9, 0.0), INTERVAL, NOW)
    assert stage.goes_to() == "pod-0", "queue 2, price 1"
    assert not stage.faults


def test_the_scorer_where_nobody_has_a_price(directory: Path) -> None:
    stage = staged(directory, "cheap.yaml", {}, {})
    assert [stage.goes_to(), stage.goes_to()] == ["pod-0", "pod-1"]
    assert not stage.faults


def test_the_scorer_where_a_price_is_no_number(directory: Path) -> None:
    stage = staged(directory, "cheap.yaml", {"usd-per-hour": "cheap"}, {"usd-per-hour": "1"})
    decision = stage.decide()
    assert decision.skipped == ("cost-scorer",)
    assert stage.faults == [("cost-scorer", "raised")]


def test_the_filter(directory: Path) -> None:
    stage = staged(directory, "canary.yaml", {}, {"track": "canary"}, {"track": "stable"})
    assert {stage.goes_to(x_canary="1") for _ in range(4)} == {"pod-1"}
    assert {stage.goes_to() for _ in range(4)} == {"pod-0", "pod-2"}
    assert not stage.faults


@pytest.mark.parametrize("labels", [{}, {"track": "canary"}])
def test_the_filter_where_nobody_would_be_left(directory: Path, labels: dict[str, str]) -> None:
    stage = staged(directory, "canary.yaml", labels)
    assert [stage.goes_to(), stage.goes_to(x_canary="1")] == ["pod-0", "pod-0"]


def test_a_pool_without_endpoints(directory: Path) -> None:
    with pytest.raises(NoEndpointError):
        staged(directory, "canary.yaml").goes_to()


def test_the_fault_of_the_scorers_parameter(directory: Path) -> None:
    known = load_catalogue(str(directory / "plugins"), [])
    text = (directory / "cheap.yaml").read_text().replace("usd-per-hour", "5")
    with pytest.raises(ConfigError) as caught:
        load_picker_config(text, "cheap.yaml", known)
    assert f"`{caught.value}`" in DOCUMENT.read_text()


def test_the_session_picker(directory: Path) -> None:
    stage = staged(directory, "sessions.yaml", {}, {}, {})
    home = stage.goes_to(x_session_id="a")
    assert {stage.goes_to(x_session_id="a") for _ in range(5)} == {home}
    # A total of 1 + 0.6 beside 1 + 1 is within the margin of 0.5, one of 1 + 0.4 is not.
    stage.store.scraped(home, load(0, 0.4), INTERVAL, NOW)
    assert stage.goes_to(x_session_id="a") == home
    stage.store.scraped(home, load(0, 0.6), INTERVAL, NOW)
    away = stage.goes_to(x_session_id="a")
    assert away != home
    stage.store.scraped(home, load(0, 0.0), INTERVAL, NOW)
    assert {stage.goes_to(x_session_id="a") for _ in range(5)} == {away}, "it lives there now"
    assert not stage.faults


def test_the_session_picker_forgets_who_is_gone(directory: Path) -> None:
    stage = staged(directory, "sessions.yaml", {}, {})
    stage.goes_to(x_session_id="a")
    slot = stage.decide(x_session_id="a").picked[0].slot
    stage.policy.observers.left(slot)
    (picker,) = (each.plugin for each in stage.policy.made if each.spec.name == "session-picker")
    assert picker._slots == {}


def test_the_test_of_the_scorer(directory: Path) -> None:
    names: dict[str, object] = {}
    exec(BLOCKS["plugins/test_cost_scorer.py"], names)
    test = names["test_the_cheapest_scores_best"]
    assert callable(test)
    test()

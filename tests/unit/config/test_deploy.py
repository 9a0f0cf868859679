"""What is shipped in deploy/ and docs/ is right and fresh."""

from pathlib import Path

import pytest

from epp.config.picker import load_picker_config
from epp.datastore.store import Datastore
from epp.plugins.registry import OWN_TYPES
from epp.scheduling.build import build_policy
from tests.generated_code import documents

ROOT = Path(__file__).parents[3]
CONFIGS = sorted((ROOT / "deploy" / "configs").glob("*.yaml"))


def test_there_is_one_for_each_use() -> None:
    assert [path.stem for path in CONFIGS] == [
        "latency",
        "many-adapters",
        "sessions",
        "shared-prefix",
        "throughput",
    ]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_ready_configurations_can_be_used_without_a_warning(path: Path) -> None:
    config = load_picker_config(path.read_text(), path.name, OWN_TYPES)
    assert config.warnings == ()
    policy = build_policy(config, Datastore(), staleness=2.0)
    assert list(policy.scheduler.profiles) == [path.stem]
    assert path.read_text().startswith("# ")
    assert f"`{path.name}`" in (ROOT / "docs" / "configuration.md").read_text()


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_what_is_generated_is_fresh(path: Path) -> None:
    assert path.read_text() == documents()[path], "run `make generated`"


def test_the_page_has_every_type() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert all(f"\n#### {name}\n" in page for name in OWN_TYPES.types)

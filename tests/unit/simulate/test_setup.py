"""What the settings' files come to, and all their faults at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from epp.config.flags import parse_flags
from epp.errors import ConfigError
from epp.simulate.fleet import alike
from epp.simulate.settings import SimulateSettings
from epp.simulate.setup import Setup, set_up


def read(*argv: str) -> Setup:
    return set_up(parse_flags(SimulateSettings, argv, program="epp simulate"))


def test_without_flags() -> None:
    setup = read()
    assert list(setup.policies) == ["round-robin", "reference", "default"]
    assert setup.scenario.fleet == alike(4)
    assert setup.extent.requests == 2000
    assert setup.sweep is None


def test_files(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text("engines: [{count: 3, name: gpu}]\n")
    (tmp_path / "sweep.yaml").write_text("base: reference\nweights: {queue-scorer: [1, 4]}\n")
    setup = read("--fleet", f"{tmp_path}/fleet.yaml", "--sweep", f"{tmp_path}/sweep.yaml", "--requests", "10")
    assert list(setup.scenario.fleet) == ["gpu-0", "gpu-1", "gpu-2"]
    assert setup.sweep is not None
    assert len(setup.sweep.variants) == 2


def test_a_policy_with_a_plugin_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "class LastPicker:\n    def pick(self, totals, endpoints, rng):\n        return (len(totals) - 1,)\n"
    )
    (tmp_path / "policy.yaml").write_text(
        "apiVersion: inference.networking.x-k8s.io/v1alpha1\n"
        "kind: EndpointPickerConfig\n"
        "plugins: [{type: last-picker}]\n"
    )
    setup = read("--policy", f"{tmp_path}/policy.yaml", "--plugin-path", str(tmp_path), "--requests", "10")
    assert next(spec.type.name for spec in setup.policies[f"{tmp_path}/policy.yaml"].plugins) == "last-picker"


def test_all_faults_at_once(tmp_path: Path) -> None:
    files = {
        "fleet.yaml": "engines: [{count: 0}]\n",
        "sweep.yaml": "weights: {queue-scorr: [1]}\n",
        "policy.yaml": "kind: EndpointPickerConfig\n",
        # A fault that shows only when plugins are set up.
        "setup.yaml": (
            "apiVersion: inference.networking.x-k8s.io/v1alpha1\n"
            "kind: EndpointPickerConfig\n"
            "plugins:\n"
            "- {type: prefix-cache-scorer, parameters: {prefixMatchInfoProducerName: nobody}}\n"
        ),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as raised:
        read(
            *("--policy", f"{tmp_path}/policy.yaml,{tmp_path}/setup.yaml,no-such-policy"),
            *("--fleet", f"{tmp_path}/fleet.yaml", "--sweep", f"{tmp_path}/sweep.yaml"),
            *("--workload", "chta", "--json", f"{tmp_path}/none/numbers.json"),
        )
    assert {Path(fault.file).name for fault in raised.value.faults} == {
        *files,
        "no-such-policy",
        "--workload chta",
        "numbers.json",
    }

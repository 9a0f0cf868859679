"""Policies by name and from files."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from epp.errors import ConfigError
from epp.simulate.picker import VirtualPicker
from epp.simulate.policies import BUILT_IN, load_policy
from epp.simulate.workload import Arrival


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_policy_has_a_name_and_works(name: str) -> None:
    config = load_policy(name)
    assert [profile.name for profile in config.profiles] == [name]
    picker = VirtualPicker(config, ["a", "b"], frozenset(), random.Random(1))
    assert picker.place(Arrival(0.0, (), 1, ""), "1", b"", 0.0).endpoint.spec.name in ("a", "b")


def test_a_policy_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(BUILT_IN["round-robin"].replace("name: round-robin", "name: mine"))
    assert load_policy(str(file)).profiles[0].name == "mine"


def test_a_policy_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml.*cannot be read"):
        load_policy(str(tmp_path / "none.yaml"))


def test_a_fault_in_a_file_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(BUILT_IN["random"].replace("type: random-picker", "type: randm-picker"))
    with pytest.raises(ConfigError, match=r"mine\.yaml:3.*random-picker"):
        load_policy(str(file))

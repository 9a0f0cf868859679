"""The configuration changes ten times a second under a steady load, and no request is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.asks import COMPLETIONS, ask, completion, picked_for
from tests.e2e.load import Load
from tests.e2e.process import eventually
from tests.e2e.stack import Picker, Stack, running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEAD = "apiVersion: inference.networking.x-k8s.io/v1alpha1\nkind: EndpointPickerConfig\n"

# Time between two changes, and how many.
EVERY = 0.1
CHANGES = 40


def version(number: int) -> str:
    """One that has another profile, picker and detector than the one before, and the same prefix scorer."""
    return (
        HEAD
        + f"""\
plugins:
- type: prefix-cache-scorer
- {{type: queue-scorer, name: queue-{number}}}
- {{type: {"max-score-picker" if number % 2 else "weighted-random-picker"}, name: picker}}
- {{type: utilization-detector, parameters: {{queueDepthThreshold: {5 + number}}}}}
schedulingProfiles:
- name: profile-{number}
  plugins:
  - {{pluginRef: prefix-cache-scorer, weight: {1 + number}}}
  - {{pluginRef: queue-{number}}}
  - {{pluginRef: picker}}
"""
    )


def write(file: Path, text: str) -> None:
    draft = file.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(file)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(version(0))
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory, transport: str, file: Path) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("reload")
    write(file, version(0))
    flags = [f"--config-file={file}"]
    async with running_stack(folder, sim=["--time-scale=5"], picker=flags, transport=transport) as stack:
        yield stack


async def debug(picker: Picker) -> dict[str, Any]:
    page: dict[str, Any] = json.loads(await picker.page("/debug/config"))
    return page


async def test_no_request_is_lost_while_it_changes(stack: Stack, file: Path) -> None:
    async with Load(stack.client) as load:
        for number in range(1, CHANGES + 1):
            write(file, version(number))
            await asyncio.sleep(EVERY)
        load.next_phase()
        await load.more(20)
        assert not load.lost(), load
    applied = await stack.picker.metric("epp_config_reloads_total")
    # Each version that was there when the picker looked: all but a few, on a busy machine some.
    assert 5 <= applied <= CHANGES
    page = await debug(stack.picker)
    assert page["generation"] == applied + 1 == await stack.picker.metric("epp_config_generation")
    assert [profile["name"] for profile in page["config"]["schedulingProfiles"]] == [f"profile-{CHANGES}"]
    assert page["refused"] is None
    await eventually(stack.picker.is_idle)


async def test_what_a_plugin_knows_stays(stack: Stack, file: Path) -> None:
    write(file, version(1))
    await eventually(lambda: _in_force(stack.picker, "profile-1"))
    # Longer than a block, so that the prefix index holds it, and known to one server only.
    prompt = "a prompt that came before the change " * 40
    server = (await ask(stack.client, COMPLETIONS, completion(prompt))).headers["x-served-by"]
    write(file, version(3).replace("weight: 4", "weight: 1000"))
    await eventually(lambda: _in_force(stack.picker, "profile-3"))
    for _ in range(4):
        answer = await ask(stack.client, COMPLETIONS, completion(prompt))
        assert await picked_for(stack.picker, answer) == server


async def test_a_faulty_file_changes_nothing(stack: Stack, file: Path) -> None:
    write(file, version(5))
    await eventually(lambda: _in_force(stack.picker, "profile-5"))
    before = await debug(stack.picker)
    async with Load(stack.client) as load:
        write(file, version(6).replace("prefix-cache-scorer", "prefix-cash-scorer"))
        await eventually(lambda: _refused(stack.picker))
        load.next_phase()
        await load.more(20)
        assert not load.lost(), load
    page = await debug(stack.picker)
    assert {**page, "refused": None} == before
    assert page["refused"]["faults"][0].startswith(
        f'{file}:4: plugins[0].type: "prefix-cash-scorer" is no plugin type'
    )
    assert "configuration refused" in stack.picker.output()
    write(file, version(7))
    await eventually(lambda: _in_force(stack.picker, "profile-7"))


async def _in_force(picker: Picker, profile: str) -> bool:
    page = await debug(picker)
    return page["config"]["schedulingProfiles"][0]["name"] == profile


async def _refused(picker: Picker) -> bool:
    return (await debug(picker))["refused"] is not None

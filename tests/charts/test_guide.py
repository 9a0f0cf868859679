"""docs/gke.md: its commands, as far as they can be run without a cluster, and the files that it names."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.charts.objects import ROOT, Objects, faults, kustomize, read, run

TEXT = (ROOT / "docs/gke.md").read_text()
ENVIRONMENT = {"$IMAGE": "example.com/epp", "$TAG": "v1"}


def commands(*start: str) -> list[list[str]]:
    """The words of each command that starts so."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    for name, value in ENVIRONMENT.items():
        lines = [line.replace(name, value) for line in lines]
    found = [shlex.split(line) for line in lines if line.startswith(" ".join(start))]
    assert found
    return found


def installed(words: list[str]) -> Objects:
    return read(run("helm", "template", *words[2:3], ROOT / words[3], *words[4:]))


def test_the_picker_and_its_pool() -> None:
    pool, _ = map(installed, commands("helm", "install"))
    assert faults(pool) == []
    assert pool.container["image"] == "example.com/epp:v1"
    assert {
        "HealthCheckPolicy vllm-llama3-8b-instruct",
        "PodMonitoring vllm-llama3-8b-instruct",
    } <= pool.names()
    # With kustomize the same comes of it, but for where the image is.
    there = kustomize(ROOT / "deploy/gke/internal")
    assert pool.names() <= there.names()


def test_no_gateway() -> None:
    _, standalone = map(installed, commands("helm", "install"))
    assert faults(standalone) == []
    assert "--endpoint-selector=app=vllm-llama3-8b-instruct" in standalone.container["args"]


def test_folders_that_are_applied() -> None:
    folders = [words[3] for words in commands("kubectl", "apply", "-k")]
    assert folders == ["deploy/vllm", "deploy/gke/internal", "deploy/istio"]
    for folder in folders:
        assert kustomize(ROOT / folder)


def test_files_that_are_applied() -> None:
    files = [
        word for words in commands("kubectl", "apply", "-f") for word in words if word.startswith("deploy/")
    ]
    assert [read((ROOT / file).read_text())[0]["kind"] for file in files] == ["Gateway", "HTTPRoute"]


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(deploy/[\w./-]+)`", TEXT))))
def test_paths(path: str) -> None:
    assert (ROOT / path).exists()

"""Kubernetes objects as the tests see them: rendered, looked up, and checked against their schemas."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import yaml
from jsonschema import Draft202012Validator

from tests.charts.tools import tool

ROOT = Path(__file__).parents[2]
CHARTS = ROOT / "deploy" / "charts"

# The oldest version whose every field we use is there by default, and the newest that the package knows.
KUBERNETES_VERSIONS = ("1.30", "1.35")

# What a release needs at least.
GUIDE = "inferencePool.modelServers.matchLabels.app=vllm-llama3-8b-instruct"

Json = dict[str, Any]


class Objects(list[Json]):
    """Objects that were rendered together."""

    def one(self, kind: str, name: str | None = None) -> Json:
        """The only one of a kind, or of a kind and name."""
        found = [o for o in self if o["kind"] == kind and name in (None, o["metadata"]["name"])]
        assert len(found) == 1, f"{len(found)} of {kind} {name or ''} among {self.names()}"
        return found[0]

    def names(self) -> set[str]:
        """`Kind name` of each."""
        return {f"{o['kind']} {o['metadata']['name']}" for o in self}

    @property
    def pod(self) -> Json:
        """The picker's pod."""
        pod: Json = self.one("Deployment")["spec"]["template"]
        return pod

    @property
    def container(self) -> Json:
        """The picker's container."""
        container: Json
        (container,) = (c for c in self.pod["spec"]["containers"] if c["name"] == "epp")
        return container


def template(
    chart: str, *sets: str, values: Json | None = None, release: str = "r", namespace: str = "n"
) -> Objects:
    """What `helm template` renders; `sets` are --set arguments.

    CalledProcessError has the reason in `stderr`.
    """
    arguments = [word for each in sets for word in ("--set", each)]
    text = run(
        "helm", "template", release, CHARTS / chart, "--namespace", namespace, "--values", "-", *arguments,
        stdin=yaml.safe_dump(values or {}),
    )  # fmt: skip
    return read(text)


def kustomize(folder: Path) -> Objects:
    """What `kubectl kustomize` renders."""
    return read(run("kubectl", "kustomize", folder))


def read(text: str) -> Objects:
    """The objects of a file."""
    return Objects(each for each in yaml.safe_load_all(text) if each)


def run(name: str, *arguments: str | Path, stdin: str = "") -> str:
    """A tool's output, away from whatever is configured on this machine."""
    nowhere = {"HOME": "/nonexistent", "KUBECONFIG": "/nonexistent", "PATH": os.defpath}
    command = [tool(name), *arguments]
    done = subprocess.run(
        command, input=stdin, env=nowhere, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def faults(objects: Iterable[Json]) -> list[str]:
    """What Kubernetes and the CRDs would refuse of the objects."""
    return [f"{o['kind']} {o['metadata']['name']}: {fault}" for o in objects for fault in _faults(o)]


def _faults(o: Json) -> Iterable[str]:
    key = f"{o['apiVersion']} {o['kind']}"
    if key in custom_resources():
        yield from (f"{e.json_path}: {e.message}" for e in _validator(key).iter_errors(o))
        return
    for version in KUBERNETES_VERSIONS:
        try:
            kubernetes_validate.validate(o, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"Kubernetes {version}: {error.message} at {'.'.join(map(str, error.path))}"


@cache
def custom_resources() -> Mapping[str, Json]:
    """Schemas of `spec`, by `apiVersion kind`, and under `$defs` what they share."""
    schemas: Json = yaml.safe_load((Path(__file__).parent / "custom_resources.yaml").read_text())
    return schemas


@cache
def _validator(key: str) -> Draft202012Validator:
    schema = {
        "$defs": custom_resources()["$defs"],
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
        "properties": {
            "apiVersion": {},
            "kind": {},
            "metadata": {"$ref": "#/$defs/metadata"},
            "spec": custom_resources()[key],
        },
    }
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)

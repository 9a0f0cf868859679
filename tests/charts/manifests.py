"""Manifests for use without helm, made from the chart: `python -m tests.charts.manifests` writes them.

deploy/base has the picker and its pool; deploy/gke/internal and deploy/istio have what the chart adds for
these gateways.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.charts.objects import GUIDE, ROOT, Objects, template

HEADER = "# Rendered from deploy/charts/inferencepool by `python -m tests.charts.manifests`.\n"
RELEASE = "vllm-llama3-8b-instruct"

# What a request can ask for with the header x-gateway-inference-objective, as in Google's guide.
OBJECTIVES = [{"name": "food-review", "priority": 10}, {"name": "llama3-base-model", "priority": 20}]


def manifests() -> Mapping[Path, str]:
    """The text of each file."""
    base = _rendered()
    gke = _rendered("provider.name=gke", "inferenceExtension.monitoring.gke.enabled=true")
    # The short name is looked up in the rule's own namespace, wherever kustomize puts that.
    istio = _rendered("provider.name=istio", f"provider.istio.destinationRule.host={RELEASE}-epp")
    return {
        ROOT / "deploy/base/picker.yaml": _text(base),
        ROOT / "deploy/gke/internal/picker.yaml": _text(_added(gke, base)),
        ROOT / "deploy/istio/picker.yaml": _text(_added(istio, base)),
    }


def _rendered(*sets: str) -> Objects:
    values = {"inferenceObjectives": OBJECTIVES}
    return template("inferencepool", GUIDE, *sets, values=values, release=RELEASE, namespace="default")


def _added(objects: Objects, base: Objects) -> Objects:
    return Objects(o for o in objects if o not in base)


def _text(objects: Objects) -> str:
    return HEADER + yaml.dump_all(sorted(objects, key=_order), Dumper=_Dumper, sort_keys=False)


def _order(o: dict[str, Any]) -> tuple[str, str]:
    return o["kind"], o["metadata"]["name"]


class _Dumper(yaml.SafeDumper):
    """Texts of several lines stay readable."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(str, _Dumper.represent_str)


if __name__ == "__main__":
    for path, text in manifests().items():
        path.write_text(text)

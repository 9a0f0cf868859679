"""Paths of collections."""

from __future__ import annotations

from epp.kubernetes.objects import collection_path


def test_paths() -> None:
    assert collection_path("", "v1", "pods", "prod") == "/api/v1/namespaces/prod/pods"
    assert collection_path("llm-d.ai", "v1alpha2", "xs", "a") == "/apis/llm-d.ai/v1alpha2/namespaces/a/xs"

"""What all objects of Kubernetes have, and where the collections are that the picker reads."""

from __future__ import annotations

import msgspec

# The groups that the pool, and what belongs to it, have had: today's, and the one of experiments and of the
# releases before 1.0.
STABLE_GROUP = "inference.networking.k8s.io"
EXPERIMENTAL_GROUP = "inference.networking.x-k8s.io"

# Where the objectives and rewrites went when the reference's picker became llm-d's.
LLM_D_GROUP = "llm-d.ai"

# The groups in which objectives and rewrites are looked for, all in v1alpha2. The guide of a cloud prints the
# stable group, too, which never had them in a release.
POLICY_GROUPS = (EXPERIMENTAL_GROUP, LLM_D_GROUP, STABLE_GROUP)

# The versions of InferencePool by --pool-group.
POOL_VERSIONS = {STABLE_GROUP: "v1", EXPERIMENTAL_GROUP: "v1alpha2"}


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """The part of an object's metadata that is read."""

    name: str
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    creation_timestamp: str = ""  # RFC 3339, in UTC to the second: the order of the text is that of time
    deletion_timestamp: str | None = None


def collection_path(group: str, version: str, plural: str, namespace: str) -> str:
    """Path of a collection; `group` "" is the core's."""
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    return f"{root}/namespaces/{namespace}/{plural}"

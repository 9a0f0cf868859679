"""The header and metadata names of the endpoint-picker protocol (proposal 004): reading and writing them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from epp.wire.messages import MetadataMap

DESTINATION = "x-gateway-destination-endpoint"
SERVED = "x-gateway-destination-endpoint-served"
SCORES = "x-gateway-destination-endpoint-scores"  # llm-d's
SUBSET = "x-gateway-destination-endpoint-subset"
LB_NAMESPACE = "envoy.lb"
SUBSET_NAMESPACE = "envoy.lb.subset_hint"

# Envoy files the attributes that `response_attributes` asks for under the filter's own name.
FILTER_NAMESPACE = "envoy.filters.http.ext_proc"
UPSTREAM_ADDRESS = "upstream.address"

# The reference sets this on every answer that it saw; its users test for it.
WENT_INTO_RESPONSE = "x-went-into-resp-headers"


def destination_metadata(destination: str, scores: Mapping[str, float] | None = None) -> MetadataMap:
    """The dynamic metadata that says the same as the destination header; `scores` by address, if wanted."""
    if scores is None:
        return {LB_NAMESPACE: {DESTINATION: destination}}
    return {LB_NAMESPACE: {DESTINATION: destination, SCORES: scores}}


def read_subset(metadata: MetadataMap) -> frozenset[str] | None:
    """The endpoints ("ip" or "ip:port") to choose from; None: the gateway set no limit.

    A list of strings or one comma-separated string. A hint that is there but names nothing allows nothing.
    """
    namespace = metadata.get(SUBSET_NAMESPACE)
    if namespace is None or SUBSET not in namespace:
        return None
    hint: Any = namespace[SUBSET]
    entries = hint.split(",") if isinstance(hint, str) else hint if isinstance(hint, list) else []
    return frozenset(entry.strip() for entry in entries if isinstance(entry, str) and entry.strip())


def read_served(metadata: MetadataMap, attributes: MetadataMap) -> str:
    """The "ip:port" that served the request after Envoy's retries; "" where the gateway does not say.

    Gateways report it as metadata, as the protocol asks; a plain Envoy can send its upstream address.
    """
    for told, namespace, name in (
        (metadata, LB_NAMESPACE, SERVED),
        (attributes, FILTER_NAMESPACE, UPSTREAM_ADDRESS),
    ):
        if namespace in told and isinstance(served := told[namespace].get(name), str):
            return served
    return ""

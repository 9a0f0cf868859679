"""The configuration that counts when none is given."""

from __future__ import annotations

from epp.config.picker import load_picker_config
from epp.plugins.registry import OWN_TYPES

# Queue, KV use and prefix as in the reference's built-in profile. The two others are ours; where their weights
# come from: docs/scheduling.md.
DEFAULT_TEXT = """\
apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: prefix-cache-scorer
- type: lora-affinity-scorer
- type: active-request-scorer
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: queue-scorer
    weight: 2
  - pluginRef: kv-cache-utilization-scorer
    weight: 2
  - pluginRef: prefix-cache-scorer
    weight: 3
  - pluginRef: lora-affinity-scorer
    weight: 2
  - pluginRef: active-request-scorer
    weight: 2
"""

DEFAULT_CONFIG = load_picker_config(DEFAULT_TEXT, "the built-in configuration", OWN_TYPES)

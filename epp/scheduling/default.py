"""The configuration that counts when none is given."""

from __future__ import annotations

from epp.config.picker import load_picker_config
from epp.plugins.registry import OWN_TYPES

# One scorer that counts in seconds, in place of the reference's weighted three: compared in docs/policies.md.
DEFAULT_TEXT = """\
apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: expected-ttft-scorer
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: expected-ttft-scorer
"""

DEFAULT_CONFIG = load_picker_config(DEFAULT_TEXT, "the built-in configuration", OWN_TYPES)

{{/* The files of the ConfigMap that is mounted at /config: one EndpointPickerConfig each. */}}
{{- define "picker.configFiles" -}}
{{- $ours := dict "default-plugins.yaml" (include "picker.defaultConfig" .) -}}
{{- toYaml (merge (deepCopy (.Values.inferenceExtension.pluginsCustomConfig | default dict)) $ours) -}}
{{- end }}

{{/* What the picker does without a file, written out: see docs/scheduling.md. */}}
{{- define "picker.defaultConfig" -}}
{{- $parser := include "picker.parser" . -}}
apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: expected-ttft-scorer
{{- with $parser }}
- type: {{ . }}
{{- end }}
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: expected-ttft-scorer
{{- with $parser }}
parser:
  pluginRef: {{ . }}
{{- end }}
{{- end }}

{{/* The parser to name, or nothing: servers that speak gRPC need vLLM's. */}}
{{- define "picker.parser" -}}
{{- $pool := .Values.inferencePool -}}
{{- $pool.parser | default (eq $pool.modelServerProtocol "grpc" | ternary "vllmgrpc-parser" "") -}}
{{- end }}

{{- define "picker.configMap" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "picker.metadata" . | nindent 2 }}
data:
  {{- include "picker.configFiles" . | nindent 2 }}
{{- with include "picker.sidecarConfigMap" . }}
---
{{ . }}
{{- end }}
{{- end }}

{{- define "picker.sidecarConfigMap" -}}
{{- $sidecar := .Values.inferenceExtension.sidecar -}}
{{- $ours := ternary (dict "envoy.yaml" (.Files.Get "files/envoy.yaml")) dict (ne (.Files.Get "files/envoy.yaml") "") -}}
{{- with and $sidecar.enabled (dig "configMap" "data" $ours $sidecar) -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ dig "configMap" "name" "" $sidecar | default (printf "%s-envoy" (include "picker.name" $)) }}
  namespace: {{ $.Release.Namespace }}
  labels:
    {{- include "picker.labels" $ | nindent 4 }}
data:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

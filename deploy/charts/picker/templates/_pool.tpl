{{/* The pool, who is asked about it, and what belongs to it. */}}

{{- define "picker.pool" -}}
{{- $pool := .Values.inferencePool -}}
{{- $extension := .Values.inferenceExtension -}}
apiVersion: {{ $pool.apiVersion }}
kind: InferencePool
metadata:
  {{- include "picker.poolMetadata" . | nindent 2 }}
spec:
{{- if eq (include "picker.poolGroup" .) "inference.networking.x-k8s.io" }}
  targetPortNumber: {{ include "picker.firstPort" . }}
  selector:
    {{- include "picker.poolSelector" . | trim | nindent 4 }}
  extensionRef:
    name: {{ include "picker.name" . }}
    portNumber: {{ $extension.extProcPort }}
    failureMode: {{ $extension.failureMode }}
{{- else }}
  targetPorts:
    {{- toYaml $pool.targetPorts | nindent 4 }}
  {{- /* http is the default, and CRDs before v1.5 do not know the field */}}
  {{- if eq $pool.modelServerProtocol "grpc" }}
  appProtocol: kubernetes.io/h2c
  {{- end }}
  selector:
    matchLabels:
      {{- include "picker.poolSelector" . | trim | nindent 6 }}
  endpointPickerRef:
    name: {{ include "picker.name" . }}
    port:
      number: {{ $extension.extProcPort }}
    failureMode: {{ $extension.failureMode }}
{{- end }}
{{- end }}

{{/* Values of labels are texts, also where --set made a number of one. */}}
{{- define "picker.poolSelector" -}}
{{- range $name, $value := .Values.inferencePool.modelServers.matchLabels }}
{{ $name }}: {{ $value | toString | quote }}
{{- end }}
{{- end }}

{{/* For what knows one port only. */}}
{{- define "picker.firstPort" -}}
{{ .Values.inferencePool.targetPortNumber | default (index .Values.inferencePool.targetPorts 0).number }}
{{- end }}

{{- define "picker.objectives" -}}
{{- range .Values.inferenceObjectives }}
---
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferenceObjective
metadata:
  name: {{ .name }}
  namespace: {{ $.Release.Namespace }}
  labels:
    {{- include "picker.labels" $ | nindent 4 }}
spec:
  priority: {{ .priority | default 0 }}
  poolRef:
    group: {{ include "picker.poolGroup" $ }}
    kind: InferencePool
    name: {{ $.Release.Name }}
{{- end }}
{{- end }}

{{- define "picker.gkePolicies" -}}
apiVersion: networking.gke.io/v1
kind: HealthCheckPolicy
metadata:
  {{- include "picker.poolMetadata" . | nindent 2 }}
spec:
  {{- include "picker.targetRef" . | nindent 2 }}
  default:
    timeoutSec: 2
    checkIntervalSec: 2
    config:
      {{- if eq .Values.inferencePool.modelServerProtocol "grpc" }}
      type: GRPC
      grpcHealthCheck:
        grpcServiceName: /vllm.grpc.engine.VllmEngine/HealthCheck
        port: {{ include "picker.firstPort" . }}
      {{- else }}
      type: HTTP
      httpHealthCheck:
        requestPath: /health
        port: {{ include "picker.firstPort" . }}
      {{- end }}
---
apiVersion: networking.gke.io/v1
kind: GCPBackendPolicy
metadata:
  {{- include "picker.poolMetadata" . | nindent 2 }}
spec:
  {{- include "picker.targetRef" . | nindent 2 }}
  default:
    timeoutSec: 300 # bounds the whole answer
    logging:
      enabled: true
{{- end }}

{{- define "picker.targetRef" -}}
targetRef:
  group: {{ include "picker.poolGroup" . }}
  kind: InferencePool
  name: {{ .Release.Name }}
{{- end }}

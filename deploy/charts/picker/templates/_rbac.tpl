{{/* What the picker may do: exactly what it calls. */}}

{{- define "picker.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "picker.metadata" . | nindent 2 }}
{{- end }}

{{/* Watched in its own namespace. Kinds that are not installed may be named all the same. */}}
{{- define "picker.role" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  {{- include "picker.metadata" . | nindent 2 }}
rules:
  - apiGroups: [""]
    resources: [pods]
    verbs: [list, watch]
  {{- if include "picker.hasPool" . }}
  - apiGroups: [{{ include "picker.poolGroup" . }}]
    resources: [inferencepools]
    verbs: [list, watch]
  {{- end }}
  - apiGroups: [inference.networking.x-k8s.io, inference.networking.k8s.io, llm-d.ai]
    resources: [inferenceobjectives, inferencemodelrewrites]
    verbs: [list, watch]
  - apiGroups: [inference.networking.x-k8s.io]
    resources: [inferencemodels]
    verbs: [list, watch]
---
{{ include "picker.roleBinding" (dict "context" . "name" (include "picker.name" .)) }}
{{- if include "picker.leaderElection" . }}
---
{{ include "picker.leaderElectionRole" . }}
{{- end }}
{{- end }}

{{/* For the one lease, whose name is the reference's. Without a pool the Deployment's name stands for the pool's. */}}
{{- define "picker.leaderElectionRole" -}}
{{- $pool := include "picker.hasPool" . | eq "true" | ternary .Release.Name (include "picker.name" .) -}}
{{- $name := printf "%s-leader-election" (include "picker.name" .) -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $name }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "picker.labels" . | nindent 4 }}
rules:
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    resourceNames: [epp-{{ .Release.Namespace }}-{{ $pool }}.gateway-api-inference-extension.sigs.k8s.io]
    verbs: [get, update]
  # What is yet to be made cannot be given a name.
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    verbs: [create]
---
{{ include "picker.roleBinding" (dict "context" . "name" $name) }}
{{- end }}

{{/* `name` of a Role, given to the picker by a RoleBinding of the same name. */}}
{{- define "picker.roleBinding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ .name }}
  namespace: {{ .context.Release.Namespace }}
  labels:
    {{- include "picker.labels" .context | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ include "picker.name" .context }}
    namespace: {{ .context.Release.Namespace }}
{{- end }}

{{/*
To ask the API server who knocks at /metrics and whether they may. Wherever tokens are asked for, this is needed: the
reference's v1.5 chart leaves it out unless Prometheus is enabled, and answers 500 then.
*/}}
{{- define "picker.clusterRole" -}}
{{- if include "picker.metricsAuth" . -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ include "picker.clusterName" . }}
  labels:
    {{- include "picker.labels" . | nindent 4 }}
rules:
  - apiGroups: [authentication.k8s.io]
    resources: [tokenreviews]
    verbs: [create]
  - apiGroups: [authorization.k8s.io]
    resources: [subjectaccessreviews]
    verbs: [create]
  {{- if include "picker.operatorMonitoring" . }}
  # Prometheus comes with a token of this service account.
  - nonResourceURLs: [/metrics]
    verbs: [get]
  {{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ include "picker.clusterName" . }}
  labels:
    {{- include "picker.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ include "picker.clusterName" . }}
subjects:
  - kind: ServiceAccount
    name: {{ include "picker.name" . }}
    namespace: {{ .Release.Namespace }}
{{- end }}
{{- end }}

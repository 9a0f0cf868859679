{{/* Who reads /metrics: a Prometheus operator, or Google's Managed Prometheus. */}}

{{- define "picker.serviceMonitor" -}}
{{- if include "picker.operatorMonitoring" . -}}
{{- $monitoring := .Values.inferenceExtension.monitoring -}}
{{- $secret := $monitoring.secret.name | default $monitoring.prometheus.auth.secretName -}}
{{- if include "picker.metricsAuth" . -}}
apiVersion: v1
kind: Secret
metadata:
  name: {{ $secret }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "picker.labels" . | nindent 4 }}
  annotations:
    kubernetes.io/service-account.name: {{ include "picker.name" . }}
type: kubernetes.io/service-account-token
---
{{ end -}}
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  name: {{ include "picker.name" . }}-monitor
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "picker.labels" . | nindent 4 }}
    {{- with $monitoring.prometheus.extraLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  namespaceSelector:
    matchNames: [{{ .Release.Namespace }}]
  selector:
    matchLabels:
      {{- include "picker.labels" . | nindent 6 }}
  endpoints:
    - port: http-metrics
      path: /metrics
      interval: {{ $monitoring.interval }}
      {{- if include "picker.metricsAuth" . }}
      authorization:
        type: Bearer
        credentials:
          name: {{ $secret }}
          key: token
      {{- end }}
{{- end }}
{{- end }}

{{/* A service account of its own reads /metrics, and Google's collector may read that account's token. */}}
{{- define "picker.podMonitoring" -}}
{{- if include "picker.gkeMonitoring" . -}}
{{- $reader := printf "%s-metrics-reader" .Release.Name -}}
apiVersion: monitoring.googleapis.com/v1
kind: PodMonitoring
metadata:
  {{- include "picker.poolMetadata" . | nindent 2 }}
spec:
  selector:
    matchLabels:
      {{- include "picker.selectorLabels" . | nindent 6 }}
  endpoints:
    - port: metrics
      scheme: http
      path: /metrics
      interval: {{ .Values.inferenceExtension.monitoring.interval }}
      {{- if include "picker.metricsAuth" . }}
      authorization:
        type: Bearer
        credentials:
          secret:
            name: {{ $reader }}-secret
            key: token
      {{- end }}
{{- if include "picker.metricsAuth" . }}
---
{{ include "picker.gkeMetricsReader" (dict "context" . "reader" $reader) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "picker.gkeMetricsReader" -}}
{{- $release := .context.Release -}}
{{- $collectorNamespace := .context.Values.provider.gke.autopilot | ternary "gke-gmp-system" "gmp-system" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .reader }}-sa
  namespace: {{ $release.Namespace }}
---
apiVersion: v1
kind: Secret
metadata:
  name: {{ .reader }}-secret
  namespace: {{ $release.Namespace }}
  annotations:
    kubernetes.io/service-account.name: {{ .reader }}-sa
type: kubernetes.io/service-account-token
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ $release.Namespace }}-{{ .reader }}
rules:
  - nonResourceURLs: [/metrics]
    verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ $release.Namespace }}-{{ .reader }}-role-binding
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ $release.Namespace }}-{{ .reader }}
subjects:
  - kind: ServiceAccount
    name: {{ .reader }}-sa
    namespace: {{ $release.Namespace }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ .reader }}-secret-read
  namespace: {{ $release.Namespace }}
rules:
  - apiGroups: [""]
    resources: [secrets]
    resourceNames: [{{ .reader }}-secret]
    verbs: [get, list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: "{{ $collectorNamespace }}:collector:{{ $release.Namespace }}-{{ .reader }}-secret-read"
  namespace: {{ $release.Namespace }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .reader }}-secret-read
subjects:
  - kind: ServiceAccount
    name: collector
    namespace: {{ $collectorNamespace }}
{{- end }}

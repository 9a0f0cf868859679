{{- define "picker.service" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "picker.metadata" . | nindent 2 }}
spec:
  type: ClusterIP
  selector:
    {{- include "picker.selectorLabels" . | nindent 4 }}
  ports:
    - name: grpc-ext-proc
      protocol: TCP
      port: {{ .Values.inferenceExtension.extProcPort }}
      targetPort: grpc
    - name: http-metrics
      protocol: TCP
      port: {{ .Values.inferenceExtension.metricsPort }}
      targetPort: metrics
    {{- with .Values.inferenceExtension.extraServicePorts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{/*
A node is drained one picker at a time. Where one replica serves, because it is the only one or because it leads, a
budget would stop the drain for good instead.
*/}}
{{- define "picker.disruptionBudget" -}}
{{- $extension := .Values.inferenceExtension -}}
{{- if and $extension.podDisruptionBudget.enabled (gt (int $extension.replicas) 1) (not (include "picker.leaderElection" .)) -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "picker.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "picker.selectorLabels" . | nindent 6 }}
{{- end }}
{{- end }}

{{/* Who may connect; an empty list of peers lets everybody. Load balancers may ask for the health, too. */}}
{{- define "picker.networkPolicy" -}}
{{- $extension := .Values.inferenceExtension -}}
{{- if $extension.networkPolicy.enabled -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "picker.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "picker.selectorLabels" . | nindent 6 }}
  policyTypes: [Ingress]
  ingress:
    - ports:
        - port: grpc
        - port: grpc-health
        {{- range $extension.extraServicePorts }}
        - port: {{ .targetPort | default .port }}
        {{- end }}
      {{- with $extension.networkPolicy.gateways }}
      from:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    - ports:
        - port: metrics
      {{- with $extension.networkPolicy.monitoring }}
      from:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end }}
{{- end }}

{{- define "picker.deployment" -}}
{{- $extension := .Values.inferenceExtension -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "picker.metadata" . | nindent 2 }}
    {{- include "picker.modeLabel" . | nindent 4 }}
spec:
  replicas: {{ $extension.replicas }}
  strategy:
    {{- include "picker.strategy" . | nindent 4 }}
  selector:
    matchLabels:
      {{- include "picker.selectorLabels" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "picker.selectorLabels" . | nindent 8 }}
        {{- include "picker.modeLabel" . | nindent 8 }}
      annotations:
        # A changed sidecar configuration starts new pods. The picker reads its own again by itself.
        checksum/sidecar: {{ include "picker.sidecarConfigMap" . | sha256sum | trunc 16 }}
    spec:
      serviceAccountName: {{ include "picker.name" . }}
      # As long as that of the model servers: their answers pass through streams that the picker holds.
      terminationGracePeriodSeconds: {{ $extension.terminationGracePeriodSeconds }}
      {{- with $extension.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      securityContext:
        {{- toYaml $extension.podSecurityContext | nindent 8 }}
      {{- with $extension.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $extension.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with include "picker.topologySpread" . }}
      topologySpreadConstraints:
        {{- trim . | nindent 8 }}
      {{- end }}
      {{- with include "picker.sidecar" . }}
      initContainers:
        {{- . | nindent 8 }}
      {{- end }}
      containers:
        {{- include "picker.container" . | nindent 8 }}
      volumes:
        - name: plugins-config-volume
          configMap:
            name: {{ include "picker.name" . }}
        # The root file system is read-only; a TLS key passes through here on its way to OpenSSL.
        - name: tmp
          emptyDir:
            medium: Memory
            sizeLimit: 16Mi
        {{- with $extension.volumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- if dig "sidecar" "enabled" false $extension }}
        {{- with $extension.sidecar.volumes }}
        {{- tpl (toYaml .) $ | nindent 8 }}
        {{- end }}
        {{- end }}
{{- end }}

{{- define "picker.modeLabel" -}}
inference.networking.k8s.io/igw-mode: {{ eq .Chart.Name "standalone" | ternary "standalone" "inferencepool" }}
{{- end }}

{{/*
A new pod is ready before an old one goes. With leader election that would wait for ever: only the leader is ready,
so the new pods could never all be. There every old pod may go at once, and the lease, given back on SIGTERM, is the
next one's within seconds.
*/}}
{{- define "picker.strategy" -}}
type: RollingUpdate
rollingUpdate:
  maxSurge: {{ include "picker.leaderElection" . | eq "true" | ternary "100%" "1" }}
  maxUnavailable: {{ include "picker.leaderElection" . | eq "true" | ternary "100%" "0" }}
{{- end }}

{{/* Replicas on different nodes and zones where there are several; asked for, not insisted on. */}}
{{- define "picker.topologySpread" -}}
{{- if .Values.inferenceExtension.topologySpreadConstraints -}}
{{- toYaml .Values.inferenceExtension.topologySpreadConstraints -}}
{{- else if gt (int .Values.inferenceExtension.replicas) 1 -}}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- topologyKey: {{ . }}
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "picker.selectorLabels" $ | nindent 6 }}
{{- end }}
{{- end -}}
{{- end }}

{{- define "picker.container" -}}
{{- $extension := .Values.inferenceExtension -}}
- name: epp
  image: {{ include "picker.image" . | quote }}
  imagePullPolicy: {{ $extension.image.pullPolicy }}
  args:
    {{- include "picker.args" . | nindent 4 }}
  env:
    {{- include "picker.env" . | nindent 4 }}
  ports:
    - name: grpc
      containerPort: {{ include "picker.port" (dict "context" . "flag" "grpc-port" "default" 9002) }}
    - name: grpc-health
      containerPort: {{ include "picker.port" (dict "context" . "flag" "grpc-health-port" "default" 9003) }}
    - name: metrics
      containerPort: {{ include "picker.port" (dict "context" . "flag" "metrics-port" "default" 9090) }}
    {{- with $extension.extraContainerPorts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- include "picker.probes" . | nindent 2 }}
  resources:
    {{- toYaml $extension.resources | nindent 4 }}
  securityContext:
    {{- toYaml $extension.securityContext | nindent 4 }}
  volumeMounts:
    - name: plugins-config-volume
      mountPath: /config
      readOnly: true
    - name: tmp
      mountPath: /tmp
    {{- with $extension.volumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{/*
Alive is who answers at all. To ask gRPC health for that, as the reference does, would restart a picker whose pool is
not there yet. Ready is who knows the pool and, with leader election, leads.
*/}}
{{- define "picker.probes" -}}
livenessProbe:
  httpGet:
    path: /healthz
    port: metrics
  initialDelaySeconds: 5
  periodSeconds: 10
readinessProbe:
  grpc:
    port: {{ include "picker.port" (dict "context" . "flag" "grpc-health-port" "default" 9003) }}
    service: {{ include "picker.leaderElection" . | eq "true" | ternary "readiness" "inference-extension" }}
  periodSeconds: 2
{{- end }}

{{- define "picker.env" -}}
- name: NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- with .Values.inferenceExtension.tracing }}
{{- if .enabled }}
- name: NODE_NAME
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
- name: OTEL_SERVICE_NAME
  value: gateway-api-inference-extension/epp
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.namespace.name=$(NAMESPACE),k8s.node.name=$(NODE_NAME),k8s.pod.name=$(POD_NAME)
- name: OTEL_TRACES_EXPORTER
  value: otlp
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .otelExporterEndpoint | quote }}
- name: OTEL_TRACES_SAMPLER
  value: {{ .sampling.sampler | quote }}
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ .sampling.samplerArg | quote }}
{{- end }}
{{- end }}
{{- with .Values.inferenceExtension.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
A second container, as v1.5 of the reference has it, but as a sidecar in Kubernetes' sense: it is stopped when the
picker has let its last stream go. Beside the picker it would be stopped at the same time, and cut every answer.
*/}}
{{- define "picker.sidecar" -}}
{{- if dig "sidecar" "enabled" false .Values.inferenceExtension }}
{{- $sidecar := .Values.inferenceExtension.sidecar -}}
- name: {{ $sidecar.name }}
  image: {{ $sidecar.image | quote }}
  imagePullPolicy: {{ $sidecar.imagePullPolicy | default "IfNotPresent" }}
  restartPolicy: Always
  {{- with $sidecar.command }}
  command: [{{ . | quote }}]
  {{- end }}
  {{- range $field := list "args" "env" "ports" "livenessProbe" "readinessProbe" "startupProbe" "securityContext" "resources" "volumeMounts" }}
  {{- with index $sidecar $field }}
  {{ $field }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
{{- end }}
{{- end }}

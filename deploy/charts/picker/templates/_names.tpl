{{/*
Names and labels, as the reference's charts have them: a release of one chart can be upgraded to the other, for a
Deployment's selector cannot change.
*/}}

{{/* N in the documentation: the name of the Deployment, the Service and most else. */}}
{{- define "picker.name" -}}
{{ printf "%s-epp" (trunc 40 .Release.Name) | lower }}
{{- end }}

{{/* Names of cluster-wide objects. */}}
{{- define "picker.clusterName" -}}
{{ printf "%s-%s-epp" (trunc 40 .Release.Name) (trunc 40 .Release.Namespace) | lower }}
{{- end }}

{{- define "picker.labels" -}}
app.kubernetes.io/name: {{ include "picker.name" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "picker.selectorLabels" -}}
{{ include "picker.hasPool" . | eq "true" | ternary "inferencepool" "epp" }}: {{ include "picker.name" . }}
{{- end }}

{{- define "picker.metadata" -}}
name: {{ include "picker.name" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "picker.labels" . | nindent 2 }}
{{- end }}

{{/* Metadata of what is called like the release: the pool and the policies attached to it. */}}
{{- define "picker.poolMetadata" -}}
name: {{ .Release.Name }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "picker.labels" . | nindent 2 }}
{{- end }}

{{/* hub/name:tag, as v1.0.1 of the reference has it, or registry/repository:tag, as v1.5 has it. */}}
{{- define "picker.image" -}}
{{- $image := .Values.inferenceExtension.image -}}
{{- $path := list ($image.hub | default $image.registry) ($image.name | default $image.repository) | compact | join "/" -}}
{{ printf "%s:%s" $path ($image.tag | default .Chart.AppVersion | toString) }}
{{- end }}

{{- define "picker.poolGroup" -}}
{{ regexReplaceAll "/.*" .Values.inferencePool.apiVersion "" }}
{{- end }}

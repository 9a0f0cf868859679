{{/* What several templates ask. The answer is true or, for no, nothing: an empty text counts as false. */}}

{{/* Does an InferencePool say which pods are endpoints? Otherwise flags do. */}}
{{- define "picker.hasPool" -}}
{{- dig "endpointsServer" "createInferencePool" true .Values.inferenceExtension | ternary "true" "" -}}
{{- end }}

{{/* Does one of several replicas lead, and the others wait? */}}
{{- define "picker.leaderElection" -}}
{{- $several := gt (int .Values.inferenceExtension.replicas) 1 -}}
{{- $asked := .Values.inferenceExtension.leaderElection -}}
{{- (kindIs "invalid" $asked | ternary $several $asked) | ternary "true" "" -}}
{{- end }}

{{/* Does /metrics ask for a token? */}}
{{- define "picker.metricsAuth" -}}
{{- .Values.inferenceExtension.monitoring.prometheus.auth.enabled | ternary "true" "" -}}
{{- end }}

{{- define "picker.isGke" -}}
{{- eq (lower .Values.provider.name) "gke" | ternary "true" "" -}}
{{- end }}

{{/* Is Google's Managed Prometheus to read /metrics? v1.0.1 and v1.5 of the reference ask for it in two ways. */}}
{{- define "picker.gkeMonitoring" -}}
{{- $monitoring := .Values.inferenceExtension.monitoring -}}
{{- and (include "picker.isGke" . | eq "true") (or $monitoring.gke.enabled $monitoring.prometheus.enabled) | ternary "true" "" -}}
{{- end }}

{{/* Is a Prometheus operator to read /metrics? */}}
{{- define "picker.operatorMonitoring" -}}
{{- and (not (include "picker.isGke" .)) .Values.inferenceExtension.monitoring.prometheus.enabled | ternary "true" "" -}}
{{- end }}

{{/* Refuses what cannot be had, in words that say what to do. Types and names are checked by values.schema.json. */}}
{{- define "picker.validate" -}}
{{- if dig "latencyPredictor" "enabled" false .Values.inferenceExtension -}}
{{- fail "inferenceExtension.latencyPredictor.enabled: this picker has no latency predictor; set it to false" -}}
{{- end -}}
{{- if include "picker.hasPool" . -}}
{{- $_ := dig "modelServers" "matchLabels" nil .Values.inferencePool | required ".Values.inferencePool.modelServers.matchLabels is required" -}}
{{- else -}}
{{- $_ := .Values.inferenceExtension.endpointsServer.endpointSelector | required ".Values.inferenceExtension.endpointsServer.endpointSelector is required when no InferencePool is created" -}}
{{- end -}}
{{- if not (hasKey (include "picker.configFiles" . | fromYaml) .Values.inferenceExtension.pluginsConfigFile) -}}
{{- fail (printf "inferenceExtension.pluginsConfigFile: %q is neither default-plugins.yaml nor a file of inferenceExtension.pluginsCustomConfig" .Values.inferenceExtension.pluginsConfigFile) -}}
{{- end -}}
{{- end }}

{{/*
The picker's command line. Each flag is one word, --name=value: a boolean in two words ends Go's flag parsing, and the
reference would read nothing after it. Flags of the values come last, and so win.
*/}}

{{- define "picker.args" -}}
{{- $extension := .Values.inferenceExtension -}}
{{ include "picker.endpointArgs" . }}
{{- include "picker.metricArgs" . }}
- --config-file=/config/{{ $extension.pluginsConfigFile }}
{{- if include "picker.leaderElection" . }}
- --ha-enable-leader-election
{{- end }}
- --tracing={{ $extension.tracing.enabled }}
{{- if not (include "picker.metricsAuth" .) }}
- --metrics-endpoint-auth=false
{{- end }}
{{- if dig "sidecar" "enabled" false $extension }}
- --health-checking
{{- end }}
- --drain-timeout={{ sub $extension.terminationGracePeriodSeconds 10 }}s
{{- include "picker.ownArgs" . }}
{{- end }}

{{/* $(NAMESPACE) is the pod's: Kubernetes puts it in, so that kustomize can move everything to another one. */}}
{{- define "picker.endpointArgs" -}}
{{- if include "picker.hasPool" . -}}
- --pool-name={{ .Release.Name }}
- --pool-namespace=$(NAMESPACE)
- --pool-group={{ include "picker.poolGroup" . }}
{{- else -}}
{{- $server := .Values.inferenceExtension.endpointsServer -}}
- {{ printf "--endpoint-selector=%s" $server.endpointSelector | quote }}
- {{ printf "--endpoint-target-ports=%v" $server.targetPorts | quote }}
{{- end }}
{{- end }}

{{/*
Names of metrics of servers that are not vLLM. A pod's label inference.networking.k8s.io/engine-type says the same for
that pod alone. LoRA is vLLM's.
*/}}
{{- define "picker.metricArgs" -}}
{{- $type := include "picker.hasPool" . | eq "true" | ternary .Values.inferencePool.modelServerType (dig "endpointsServer" "modelServerType" "vllm" .Values.inferenceExtension) -}}
{{- $source := .Values.inferenceExtension.metricsDataSource -}}
{{- if eq $type "sglang" }}
- --total-queued-requests-metric=sglang:num_queue_reqs
- --total-running-requests-metric=sglang:num_running_reqs
- --kv-cache-usage-percentage-metric=sglang:token_usage
- --lora-info-metric=
{{- else if eq $type "triton-tensorrt-llm" }}
- --total-queued-requests-metric=nv_trt_llm_request_metrics{request_type=waiting}
- --total-running-requests-metric=nv_trt_llm_request_metrics{request_type=scheduled}
- --kv-cache-usage-percentage-metric=nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=fraction}
- --lora-info-metric=
{{- else if eq $type "trtllm-serve" }}
- --total-queued-requests-metric=trtllm_num_requests_waiting
- --total-running-requests-metric=trtllm_num_requests_running
- --kv-cache-usage-percentage-metric=trtllm_kv_cache_utilization
- --lora-info-metric=
{{- end }}
{{- $path := and (eq $type "trtllm-serve") (eq $source.path "/metrics") | ternary "/prometheus/metrics" $source.path -}}
{{- if ne $source.scheme "http" }}
- --model-server-metrics-scheme={{ $source.scheme }}
- --model-server-metrics-https-insecure-skip-verify={{ $source.insecureSkipVerify }}
{{- end }}
{{- if ne $path "/metrics" }}
- --model-server-metrics-path={{ $path }}
{{- end }}
{{- end }}

{{/* A list of {name, value}, as v1.0.1 of the reference has it, or a map, as v1.5 has it. */}}
{{- define "picker.ownArgs" -}}
{{- $flags := .Values.inferenceExtension.flags -}}
{{- if kindIs "map" $flags }}
{{- range $name, $value := $flags }}
- {{ printf "--%s=%v" $name $value | quote }}
{{- end }}
{{- else }}
{{- range $flags }}
- {{ hasKey . "value" | ternary (printf "--%s=%v" .name .value) (printf "--%s" .name) | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* The number of a port that a flag of the values may have moved. */}}
{{- define "picker.port" -}}
{{- $port := .default -}}
{{- $flags := .context.Values.inferenceExtension.flags -}}
{{- if kindIs "map" $flags -}}
{{- $port = get $flags .flag | default $port -}}
{{- else -}}
{{- $flag := .flag -}}
{{- range $flags -}}
{{- if eq .name $flag -}}{{- $port = .value -}}{{- end -}}
{{- end -}}
{{- end -}}
{{ int $port }}
{{- end }}

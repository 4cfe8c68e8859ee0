{{/* Values that are each well-formed and yet cannot work together, or that would put a secret where everybody can read it. */}}

{{- define "roomcast.checks" -}}
{{- $config := .Values.config -}}
{{- $kind := include "roomcast.brokerKind" . -}}
{{- $replicas := int .Values.replicaCount -}}
{{- if and (gt $replicas 1) (ne $kind "redis") -}}
{{- fail (printf "replicaCount is %d with config.broker.kind %s: nodes with the embedded broker do not hear of each other; set config.broker.kind to redis, and secrets.redis.name" $replicas $kind) -}}
{{- end -}}
{{- if and (eq $kind "redis") (not .Values.secrets.redis.name) -}}
{{- fail "config.broker.kind is redis: set secrets.redis.name to an existing Secret with the URL of Redis" -}}
{{- end -}}
{{- if not (or .Values.secrets.auth.name (dig "auth" "jwks" "url" "" $config) (dig "auth" "keys" list $config)) -}}
{{- fail "nothing verifies tokens: set secrets.auth.name, config.auth.jwks.url or config.auth.keys" -}}
{{- end -}}
{{- $deadlineMs := int64 (dig "drain" "deadline_ms" 25000 $config) -}}
{{- $graceMs := mul 1000 (int64 .Values.terminationGracePeriodSeconds) -}}
{{- if le $graceMs $deadlineMs -}}
{{- fail (printf "terminationGracePeriodSeconds (%d ms) must be longer than config.drain.deadline_ms (%d ms), or Kubernetes kills nodes in the midst of their drain" $graceMs $deadlineMs) -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.enabled needs ingress.host" -}}
{{- end -}}
{{- include "roomcast.checks.config" $config -}}
{{- end }}

{{/* Keys of `config` that the chart sets itself, or that are secrets. */}}
{{- define "roomcast.checks.config" -}}
{{- $elsewhere := list
  (list (dig "server" "address" "" .) "server.address" "the chart sets it, and service.port is what clients see")
  (list (dig "node" "id" "" .) "node.id" "it is the name of the pod")
  (list (dig "node" "dev" false .) "node.dev" "development mode is not for where others can connect")
  (list (dig "auth" "secret" "" .) "auth.secret" "a ConfigMap is no place for secrets; name an existing Secret in secrets.auth")
  (list (dig "broker" "redis" "url" "" .) "broker.redis.url" "a ConfigMap is no place for secrets; name an existing Secret in secrets.redis")
  (list (dig "telemetry" "otlp" "headers" "" .) "telemetry.otlp.headers" "a ConfigMap is no place for secrets; name an existing Secret in secrets.otlpHeaders") -}}
{{- range $elsewhere -}}
{{- if index . 0 -}}
{{- fail (printf "config.%s must not be set: %s" (index . 1) (index . 2)) -}}
{{- end -}}
{{- end -}}
{{- range dig "auth" "keys" list . -}}
{{- if .secret -}}
{{- fail "config.auth.keys: a ConfigMap is no place for secrets; use secret_file and a Secret in secrets.files" -}}
{{- end -}}
{{- end -}}
{{- range dig "broker" "redis" "nodes" list . -}}
{{- if contains "@" . -}}
{{- fail "config.broker.redis.nodes: a ConfigMap is no place for credentials; Sentinels and Cluster nodes must be named without them" -}}
{{- end -}}
{{- end -}}
{{- end }}

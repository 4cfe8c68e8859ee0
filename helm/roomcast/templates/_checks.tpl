{{/* Values that are each well-formed and yet cannot work together, or that would put a secret where everybody can read it. */}}

{{- define "roomcast.checks" -}}
{{- $config := include "roomcast.config" . | fromJson -}}
{{- include "roomcast.checks.broker" . -}}
{{- include "roomcast.checks.stopping" . -}}
{{- include "roomcast.checks.scaling" . -}}
{{- include "roomcast.checks.config" $config -}}
{{- if not (or .Values.secrets.auth.name (dig "auth" "jwks" "url" "" $config) (dig "auth" "keys" list $config)) -}}
{{- fail "nothing verifies tokens: set secrets.auth.name, config.auth.jwks.url or config.auth.keys" -}}
{{- end -}}
{{- if and .Values.secrets.auth.previousKey (not .Values.secrets.auth.name) -}}
{{- fail "secrets.auth.previousKey is a key of the Secret in secrets.auth.name, which is not set" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.enabled needs ingress.host" -}}
{{- end -}}
{{- if and .Values.gatewayRoute.enabled (not .Values.gatewayRoute.parentRefs) -}}
{{- fail "gatewayRoute.enabled needs gatewayRoute.parentRefs: a route that hangs on no Gateway leads nowhere" -}}
{{- end -}}
{{- if and .Values.loadtest.enabled (not .Values.loadtest.secretName) -}}
{{- fail "loadtest.enabled needs loadtest.secretName: agents put load on whatever they are told to, so they ask for a secret" -}}
{{- end -}}
{{- end }}

{{- define "roomcast.checks.broker" -}}
{{- $kind := include "roomcast.brokerKind" . -}}
{{- $replicas := int .Values.replicaCount -}}
{{- if ne $kind "redis" -}}
{{- $why := "nodes with the embedded broker do not hear of each other; set config.broker.kind to redis, and secrets.redis.name" -}}
{{- if include "roomcast.isScaled" . -}}
{{- fail (printf "autoscaling is on with config.broker.kind %s: %s" $kind $why) -}}
{{- else if gt $replicas 1 -}}
{{- fail (printf "replicaCount is %d with config.broker.kind %s: %s" $replicas $kind $why) -}}
{{- end -}}
{{- else if and .Values.developmentRedis.enabled .Values.secrets.redis.name -}}
{{- fail "developmentRedis.enabled and secrets.redis.name are two places of Redis: take one" -}}
{{- else if not (or .Values.developmentRedis.enabled .Values.secrets.redis.name) -}}
{{- fail "config.broker.kind is redis: set secrets.redis.name to an existing Secret with the URL of Redis, or developmentRedis.enabled to try things" -}}
{{- end -}}
{{- $redis := dig "broker" "redis" dict .Values.config -}}
{{- $mode := dig "mode" "standalone" $redis -}}
{{- if and (ne $mode "standalone") .Values.developmentRedis.enabled -}}
{{- fail (printf "config.broker.redis.mode is %s, and developmentRedis is a single server" $mode) -}}
{{- else if and (ne $mode "standalone") (not (or .Values.secrets.redisNodes.name (dig "nodes" list $redis))) -}}
{{- fail (printf "config.broker.redis.mode is %s: name the Sentinels or nodes in config.broker.redis.nodes, or in the Secret of secrets.redisNodes" $mode) -}}
{{- end -}}
{{- end }}

{{/* A node that is killed in the midst of its drain drops its sessions at a stroke. */}}
{{- define "roomcast.checks.stopping" -}}
{{- $preStopMs := mul 1000 (int64 .Values.preStopSleepSeconds) -}}
{{- $deadlineMs := int64 (dig "drain" "deadline_ms" 25000 .Values.config) -}}
{{- $stopMs := int64 (dig "server" "stop_timeout_ms" 10000 .Values.config) -}}
{{- $graceMs := mul 1000 (int64 .Values.terminationGracePeriodSeconds) -}}
{{- if le $graceMs (add $preStopMs $deadlineMs $stopMs) -}}
{{- fail (printf "terminationGracePeriodSeconds (%d ms) must be longer than preStopSleepSeconds (%d ms), config.drain.deadline_ms (%d ms) and config.server.stop_timeout_ms (%d ms) together, or Kubernetes kills nodes in the midst of their drain" $graceMs $preStopMs $deadlineMs $stopMs) -}}
{{- end -}}
{{- end }}

{{- define "roomcast.checks.scaling" -}}
{{- $scaling := .Values.autoscaling -}}
{{- $perNode := int64 (dig "limits" "connections_per_node_max" 1000 .Values.config) -}}
{{- $sockets := int64 (dig "server" "connections_max" 16384 .Values.config) -}}
{{- if gt $perNode $sockets -}}
{{- fail (printf "config.limits.connections_per_node_max (%d) is more than config.server.connections_max (%d), which counts sessions too: clients would be answered 503" $perNode $sockets) -}}
{{- end -}}
{{- if and $scaling.hpa.enabled $scaling.keda.enabled -}}
{{- fail "autoscaling.hpa.enabled and autoscaling.keda.enabled: KEDA makes a HorizontalPodAutoscaler of its own, and two of them undo each other's work; take one" -}}
{{- end -}}
{{- if include "roomcast.isScaled" . -}}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) -}}
{{- fail "autoscaling.minReplicas is more than autoscaling.maxReplicas" -}}
{{- end -}}
{{- if ge (int64 $scaling.sessionsPerNode) $perNode -}}
{{- fail (printf "autoscaling.sessionsPerNode (%d) must be below config.limits.connections_per_node_max (%d): full nodes turn clients away before others are there" (int64 $scaling.sessionsPerNode) $perNode) -}}
{{- end -}}
{{- end -}}
{{- if and $scaling.keda.enabled (not $scaling.keda.prometheusAddress) -}}
{{- fail "autoscaling.keda.enabled needs autoscaling.keda.prometheusAddress" -}}
{{- end -}}
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
{{- fail "config.broker.redis.nodes: a ConfigMap is no place for credentials; name a Secret in secrets.redisNodes" -}}
{{- end -}}
{{- end -}}
{{- end }}

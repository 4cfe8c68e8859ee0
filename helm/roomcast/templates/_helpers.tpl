{{/* Names and labels, and what all templates ask about the values. */}}

{{- define "roomcast.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{/* Cut so that "-internal" and the names of the pods still fit into 63 characters. */}}
{{- define "roomcast.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 46 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "roomcast.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 46 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 46 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Of everything that belongs to the release. */}}
{{- define "roomcast.releaseLabels" -}}
app.kubernetes.io/name: {{ include "roomcast.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Of the nodes alone: tests, load tests and the development Redis are no nodes, and Services must not lead to them. */}}
{{- define "roomcast.selectorLabels" -}}
{{ include "roomcast.releaseLabels" . }}
app.kubernetes.io/component: node
{{- end }}

{{- define "roomcast.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "roomcast.releaseLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "roomcast.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "roomcast.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{/* Takes `image` and `version`, which stands in for an empty tag. */}}
{{- define "roomcast.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .version .image.tag) -}}
{{- end -}}
{{- end }}

{{/* The configuration as the values have it, with what other values say about it; as JSON. */}}
{{- define "roomcast.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- if .Values.developmentRedis.enabled -}}
{{- $_ := set $config "broker" (set (default dict $config.broker) "kind" "redis") -}}
{{- end -}}
{{- if and .Values.secrets.auth.name .Values.secrets.auth.previousKey -}}
{{- $auth := default dict $config.auth -}}
{{- $previous := dict "algorithm" "HS256" "secret_file" "/etc/roomcast/secrets/auth/previous" -}}
{{- $_ := set $config "auth" (set $auth "keys" (append (default list $auth.keys) $previous)) -}}
{{- end -}}
{{- toJson $config -}}
{{- end }}

{{- define "roomcast.brokerKind" -}}
{{- dig "broker" "kind" "memory" (include "roomcast.config" . | fromJson) -}}
{{- end }}

{{/* "true" when a HorizontalPodAutoscaler or KEDA says how many nodes there are. */}}
{{- define "roomcast.isScaled" -}}
{{- if or .Values.autoscaling.hpa.enabled .Values.autoscaling.keda.enabled }}true{{ end -}}
{{- end }}

{{/* The fewest nodes that there are. */}}
{{- define "roomcast.nodesMin" -}}
{{- if include "roomcast.isScaled" . }}{{ int .Values.autoscaling.minReplicas }}{{ else }}{{ int .Values.replicaCount }}{{ end -}}
{{- end }}

{{- define "roomcast.webSocketPath" -}}
{{- dig "websocket" "path" "/ws" .Values.config -}}
{{- end }}

{{/* The settings of every pod of the chart that runs our binaries. */}}
{{- define "roomcast.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
# The mounted Secrets belong to this group, so that a process that is not root can read them.
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "roomcast.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: ["ALL"]
{{- end }}

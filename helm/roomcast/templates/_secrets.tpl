{{/* How existing Secrets come to the nodes, and to the test: as files. */}}

{{/* One key of a Secret as the file `value`, readable by the group of the pod; takes `name` and `key`, and `previousKey` for a second one. */}}
{{- define "roomcast.secretVolume" -}}
secret:
  secretName: {{ .name }}
  defaultMode: 0440
  items:
    - key: {{ .key | quote }}
      path: value
    {{- if .previousKey }}
    - key: {{ .previousKey | quote }}
      path: previous
    {{- end }}
{{- end }}

{{/* The Secrets that are one value each, as JSON: folder, variable of the node, and where the value is. */}}
{{- define "roomcast.secretValues" -}}
{{- $found := list -}}
{{- range list
  (list "auth" "ROOMCAST_AUTH__SECRET_FILE" .Values.secrets.auth)
  (list "redis" "ROOMCAST_BROKER__REDIS__URL_FILE" .Values.secrets.redis)
  (list "redis-nodes" "ROOMCAST_BROKER__REDIS__NODES_FILE" .Values.secrets.redisNodes)
  (list "otlp-headers" "ROOMCAST_TELEMETRY__OTLP__HEADERS_FILE" .Values.secrets.otlpHeaders) -}}
{{- if (index . 2).name -}}
{{- $found = append $found (dict "folder" (index . 0) "variable" (index . 1) "secret" (index . 2)) -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{/* Environment, mounts and volumes of what runs our binary with the configuration of the nodes. */}}
{{- define "roomcast.environment" -}}
- name: ROOMCAST_CONFIG
  value: /etc/roomcast/config/roomcast.toml
{{- range include "roomcast.secretValues" . | fromJsonArray }}
- name: {{ .variable }}
  value: /etc/roomcast/secrets/{{ .folder }}/value
{{- end }}
{{- if .Values.developmentRedis.enabled }}
- name: ROOMCAST_BROKER__REDIS__URL
  value: redis://{{ include "roomcast.fullname" . }}-redis:6379
{{- end }}
{{- end }}

{{- define "roomcast.mounts" -}}
- name: config
  mountPath: /etc/roomcast/config
  readOnly: true
{{- range include "roomcast.secretValues" . | fromJsonArray }}
- name: secret-{{ .folder }}
  mountPath: /etc/roomcast/secrets/{{ .folder }}
  readOnly: true
{{- end }}
{{- range .Values.secrets.files }}
- name: file-{{ .name }}
  mountPath: /etc/roomcast/secrets/{{ .name }}
  readOnly: true
{{- end }}
{{- end }}

{{- define "roomcast.volumes" -}}
- name: config
  configMap:
    name: {{ include "roomcast.fullname" . }}
{{- range include "roomcast.secretValues" . | fromJsonArray }}
- name: secret-{{ .folder }}
  {{- include "roomcast.secretVolume" .secret | nindent 2 }}
{{- end }}
{{- range .Values.secrets.files }}
- name: file-{{ .name }}
  secret:
    secretName: {{ .secretName }}
    defaultMode: 0440
{{- end }}
{{- end }}

{{/*
The configuration as TOML. Helm's own toToml is no use here: it writes every number as a float, which nodes refuse for whole numbers. Scalars
are written as JSON, which TOML reads alike. A null takes a key out, as everywhere in Helm.
*/}}

{{/* The whole file. */}}
{{- define "roomcast.toml" -}}
# Made by the chart from the values under `config`.

{{ include "roomcast.toml.table" (dict "path" "" "table" (include "roomcast.config" . | fromJson)) | trim }}
{{- end }}

{{- define "roomcast.toml.key" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . }}{{ . }}{{ else }}{{ toJson . }}{{ end -}}
{{- end }}

{{/* A value on one line: {…}, […] or a scalar. */}}
{{- define "roomcast.toml.value" -}}
{{- if kindIs "map" . -}}
{{- $members := list -}}
{{- range $key, $value := . -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $members = append $members (printf "%s = %s" (include "roomcast.toml.key" $key) (include "roomcast.toml.value" $value)) -}}
{{- end -}}
{{- end -}}
{ {{ join ", " $members }} }
{{- else if kindIs "slice" . -}}
{{- $items := list -}}
{{- range . -}}
{{- $items = append $items (include "roomcast.toml.value" .) -}}
{{- end -}}
[{{ join ", " $items }}]
{{- else -}}
{{- toJson . -}}
{{- end -}}
{{- end }}

{{/* A table and those below it; takes `path` and `table`. */}}
{{- define "roomcast.toml.table" -}}
{{- $path := .path -}}
{{- $plain := list -}}
{{- range $key, $value := .table -}}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) -}}
{{- $plain = append $plain (printf "%s = %s" (include "roomcast.toml.key" $key) (include "roomcast.toml.value" $value)) -}}
{{- end -}}
{{- end -}}
{{- if $plain -}}
{{- if $path }}[{{ $path }}]
{{ end -}}
{{ join "\n" $plain }}

{{ end -}}
{{- range $key, $value := .table -}}
{{- if kindIs "map" $value -}}
{{- $name := include "roomcast.toml.key" $key -}}
{{- include "roomcast.toml.table" (dict "path" (ternary (printf "%s.%s" $path $name) $name (ne $path "")) "table" $value) -}}
{{- end -}}
{{- end -}}
{{- end }}

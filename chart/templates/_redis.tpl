{{/* Names and labels of the bundled Redis: those of the subchart that 1.0.0 used. */}}
{{- define "corveil.redis.fullname" -}}
{{- printf "%s-redis-master" .Release.Name -}}
{{- end }}

{{- define "corveil.redis.selectorLabels" -}}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/name: "redis"
app.kubernetes.io/component: "master"
{{- end }}

{{- define "corveil.redis.labels" -}}
{{ include "corveil.commonLabels" . }}
{{ include "corveil.redis.selectorLabels" . }}
{{- end }}

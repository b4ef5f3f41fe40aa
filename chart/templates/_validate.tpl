{{/* Values that cannot work together, each refused with one sentence that names the key. Those of the migration are
   refused by `corveil.gate.validate`. */}}
{{- define "corveil.validate" -}}
{{- if hasKey .Values "citadel" }}
{{- fail "`citadel` was renamed in chart 1.0.0: move its keys to `corveil`" }}
{{- end }}
{{- if hasKey (.Values.istio | default dict) "citadel" }}
{{- fail "`istio.citadel` was renamed in chart 1.0.0: move its keys to `istio.corveil`" }}
{{- end }}
{{- if hasKey .Values "socketzero" }}
{{- fail "`socketzero` was removed in chart 1.0.0: delete it, the settings of the app are under `corveil`" }}
{{- end }}
{{- if not .Values.existingSecret }}
{{- if not .Values.corveil.secretKey }}
{{- fail "`corveil.secretKey` is empty: set it, or name a Secret that has `SECRET_KEY` in `existingSecret`" }}
{{- end }}
{{- if not (include "corveil.databaseUrl" .) }}
{{- fail "`externalDatabase.url` is empty: set it, or `postgresql.enabled`, or name a Secret that has `DATABASE_URL` in `existingSecret`" }}
{{- end }}
{{- end }}
{{- if and .Values.postgresql.enabled (not .Values.postgresql.auth.password) }}
{{- fail "`postgresql.auth.password` is empty: the bundled database needs a password" }}
{{- end }}
{{- if .Values.postgresql.enabled }}
{{- include "corveil.validate.takeover" . }}
{{- end }}
{{- $set := dict "DATABASE_URL" "existingSecret` or `externalDatabase.url" "CORVEIL_TIMEOUT" "wait.timeout" "CORVEIL_HISTORY_SCHEMA" "history.schema" "CORVEIL_HISTORY_OWNER" "history.owner" }}
{{- range .Values.extraEnv }}
{{- with get $set .name }}
{{- fail (printf "`extraEnv` sets what `%s` is for: use that" .) }}
{{- end }}
{{- end }}
{{- if and .Values.autoscaling.enabled (gt (int64 .Values.autoscaling.minReplicas) (int64 .Values.autoscaling.maxReplicas)) }}
{{- fail "`autoscaling.minReplicas` is above `autoscaling.maxReplicas`: lower it" }}
{{- end }}
{{- end }}

{{/* Values that cannot work together, each refused with one sentence that names the key. Those of the migration are
   refused by `corveil.gate.validate`. */}}
{{- define "corveil.validate" -}}
{{- range $key, $value := pick .Values.image "tag" "digest" }}
{{- if not (or (kindIs "string" $value) (kindIs "invalid" $value)) }}
{{- fail (printf "`image.%s` is a number, of which YAML keeps the value and not the digits: quote it" $key) }}
{{- end }}
{{- end }}
{{- if hasKey .Values "citadel" }}
{{- fail "`citadel` was renamed in chart 1.0.0: move its keys to `corveil`" }}
{{- end }}
{{- if hasKey .Values.istio "citadel" }}
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
{{- include "corveil.validate.names" . }}
{{- include "corveil.validate.lists" . }}
{{- range .Values.extraEnv }}
{{- if has .name (list "CORVEIL_RESTART_AFTER" "CORVEIL_RESTART_MARKER") }}
{{- fail (printf "`extraEnv` sets `%s`, which the chart has for itself: remove it" .name) }}
{{- end }}
{{- end }}
{{- $set := dict "DATABASE_URL" "existingSecret` or `externalDatabase.url" "CORVEIL_TIMEOUT" "wait.timeout" "CORVEIL_HISTORY_SCHEMA" "history.schema" "CORVEIL_HISTORY_OWNER" "history.owner" }}
{{- range .Values.extraEnv }}
{{- with get $set .name }}
{{- fail (printf "`extraEnv` sets what `%s` is for: use that" .) }}
{{- end }}
{{- end }}
{{- range $key, $resources := dict "resources" .Values.resources "migrate.resources" .Values.migrate.resources "wait.resources" .Values.wait.resources }}
{{- include "corveil.validate.resources" (dict "key" $key "resources" ($resources | default dict)) }}
{{- end }}
{{- if and .Values.autoscaling.enabled (gt (int64 .Values.autoscaling.minReplicas) (int64 .Values.autoscaling.maxReplicas)) }}
{{- fail "`autoscaling.minReplicas` is above `autoscaling.maxReplicas`: lower it" }}
{{- end }}
{{- end }}

{{/* Makes the values complete, before any is read: every template begins with it. Null of a text, a number or a switch is its
   default. `--reuse-values` takes the values of the last revision, without those that are new in this chart. */}}
{{- define "corveil.values" -}}
{{- if not (or .Values.migrate .Values.wait .Values.history) }}
{{- fail "`migrate`, `wait` and `history` are missing, as after `--reuse-values` with an earlier chart: upgrade with `--reset-then-reuse-values`" }}
{{- end }}
{{- include "corveil.values.fill" (dict "values" .Values "defaults" (include "corveil.defaults" . | fromJson) "path" "") }}
{{- end }}

{{- define "corveil.values.fill" -}}
{{- $values := .values }}
{{- $path := .path }}
{{- range $key, $default := .defaults }}
{{- if kindIs "invalid" (index $values $key) }}
{{- $_ := set $values $key $default }}
{{- else if kindIs "map" $default }}
{{- include "corveil.values.fill" (dict "values" (index $values $key) "defaults" $default "path" (printf "%s%s." $path $key)) }}
{{- else if and (kindIs "string" $default) (not (kindIs "string" (index $values $key))) }}
{{- $number := float64 (index $values $key) }}
{{- if or (gt $number 9007199254740991.0) (lt $number -9007199254740991.0) }}
{{- fail (printf "`%s%s` is a number above 2^53, of which YAML keeps the value and not the digits: quote it" $path $key) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Kubernetes refuses requests above their limits, which may be the chart's own, and only when the database is migrated. */}}
{{- define "corveil.validate.resources" -}}
{{- $limits := .resources.limits | default dict }}
{{- range $name, $request := .resources.requests }}
{{- $limit := get $limits $name }}
{{- $isLimited := not (or (kindIs "invalid" $limit) (eq (include "corveil.text" $limit) "")) }}
{{- if and (contains "/" $name) (or (not $isLimited) (ne (include "corveil.quantity" $request | float64) (include "corveil.quantity" $limit | float64))) }}
{{- fail (printf "`%s.requests.%s` is not what `%s.limits.%s` is, as Kubernetes wants of it: set the limit alone" $.key $name $.key $name) }}
{{- end }}
{{- if and $isLimited (gt (include "corveil.quantity" $request | float64) (include "corveil.quantity" $limit | float64)) }}
{{- fail (printf "`%s.requests.%s` is %s, above `%s.limits.%s`, which is %s: set that too" $.key $name (include "corveil.text" $request) $.key $name (include "corveil.text" $limit)) }}
{{- end }}
{{- end }}
{{- end }}

{{/* A quantity such as `250m`, `1.5Gi` or `1e3` as a number. */}}
{{- define "corveil.quantity" -}}
{{- $text := include "corveil.text" . -}}
{{- $number := regexFind "^[0-9]+([.][0-9]*)?([eE][+-]?[0-9]+)?" $text -}}
{{- $factors := dict "" 1.0 "n" 1e-9 "u" 1e-6 "m" 1e-3 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 -}}
{{- mulf (float64 $number) (get $factors (trimPrefix $number $text)) -}}
{{- end }}

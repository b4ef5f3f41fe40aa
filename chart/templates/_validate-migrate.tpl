{{/* Values with which no migration could run, each refused with one sentence that names the key. */}}
{{- define "corveil.validate.migrate" -}}
{{- $migrate := .Values.migrate }}
{{- $phase := $migrate.argocd.phase }}
{{- $phases := include "corveil.gate.phases" . | splitList " " }}
{{- if and $phase (not (has $phase $phases)) }}
{{- fail (printf "`migrate.argocd.phase` is %q: leave it empty, or write `%s`" $phase (join "`, `" $phases)) }}
{{- end }}
{{- if and .Values.postgresql.enabled (eq $phase "PreSync") }}
{{- fail "`migrate.argocd.phase` is `PreSync`, which comes before the database of `postgresql.enabled` exists: leave it empty" }}
{{- end }}
{{- if and $migrate.database.existingSecret (not $migrate.database.key) }}
{{- fail "`migrate.database.key` is empty: name the key of `migrate.database.existingSecret` that holds the URL" }}
{{- end }}
{{- $to := include "corveil.text" $migrate.adopt.to }}
{{- if and $to (not (regexMatch "^[0-9]+$" $to)) }}
{{- fail (printf "`migrate.adopt.to` is %q: write the version of a migration, such as 7, or leave it empty" $to) }}
{{- end }}
{{- if and $to (not $migrate.adopt.enabled) }}
{{- fail "`migrate.adopt.to` is set, but nothing is adopted without `migrate.adopt.enabled`: set that too, or leave it empty" }}
{{- end }}
{{- $copy := include "corveil.migrate.copyName" . }}
{{- if eq (include "corveil.text" $migrate.database.existingSecret) $copy }}
{{- fail (printf "`migrate.database.existingSecret` is `%s`, which the chart itself creates and deletes: give yours another name" $copy) }}
{{- end }}
{{- if eq (include "corveil.text" .Values.existingSecret) $copy }}
{{- fail (printf "`existingSecret` is `%s`, which the chart itself creates and deletes: give yours another name" $copy) }}
{{- end }}
{{- $app := include "corveil.serviceAccountName" . }}
{{- $isOwn := or .Values.serviceAccount.create (ne $app "default") }}
{{- if and $isOwn (eq (include "corveil.text" $migrate.serviceAccount) $app) }}
{{- fail (printf "`migrate.serviceAccount` is `%s`, the app's, whose rights are not for a migration, and which may not exist before the first install: name another account, or leave it empty" $app) }}
{{- end }}
{{- if and $migrate.createServiceAccount (eq (include "corveil.text" $migrate.serviceAccount) "default") }}
{{- fail "`migrate.serviceAccount` is `default`, which `migrate.createServiceAccount` would replace for the whole namespace: give the account another name" }}
{{- end }}
{{- $users := list (get (.Values.securityContext | default dict) "runAsUser") (get (.Values.podSecurityContext | default dict) "runAsUser") }}
{{- range $at, $key := list "securityContext" "podSecurityContext" }}
{{- $isOverridden := and $at (has (index $users 0 | kindOf) (list "int64" "float64")) }}
{{- if and (not $isOverridden) (eq (index $users $at | toString) "0") }}
{{- fail (printf "`%s.runAsUser` is 0, but the migration's pod never runs as root and would not start: set another user" $key) }}
{{- end }}
{{- end }}
{{- range $name, $_ := $migrate.annotations }}
{{- if or (hasPrefix "helm.sh/" $name) (hasPrefix "argocd.argoproj.io/" $name) }}
{{- fail (printf "`migrate.annotations` sets `%s`, and what makes the Job a gate is the chart's: remove it, and see `migrate.argocd.phase`" $name) }}
{{- end }}
{{- end }}
{{- $waits := 0 }}
{{- range $key := list "waitForDb" "lockWait" }}
{{- $waits = include "corveil.milliseconds" (dict "key" (print "migrate." $key) "value" (get $migrate $key)) | int64 | add $waits }}
{{- end }}
{{- $deadline := int64 $migrate.activeDeadlineSeconds }}
{{- $margin := include "corveil.gate.deadlineMargin" . | int64 }}
{{- if le (mul 1000 (sub $deadline $margin)) $waits }}
{{- fail (printf "`migrate.activeDeadlineSeconds` is %d, but one attempt may wait for `migrate.waitForDb` and `migrate.lockWait`, and ends %d s early to keep its log: set at least %d" $deadline $margin (add $margin 1 (div $waits 1000))) }}
{{- end }}
{{- $keys := dict
  "DATABASE_URL" "existingSecret` or `externalDatabase.url"
  "MIGRATE_DATABASE_URL" "migrate.database.existingSecret"
  "CORVEIL_WAIT_FOR_DB" "migrate.waitForDb"
  "CORVEIL_LOCK_WAIT" "migrate.lockWait"
  "CORVEIL_LOCK_TIMEOUT" "migrate.lockTimeout"
  "CORVEIL_STATEMENT_TIMEOUT" "migrate.statementTimeout"
  "CORVEIL_RETRIES" "migrate.retries"
  "CORVEIL_OUT_OF_ORDER" "migrate.outOfOrder"
  "CORVEIL_DETAIL" "migrate.errorDetail"
  "CORVEIL_DEADLINE" "migrate.activeDeadlineSeconds"
  "CORVEIL_ADOPT" "migrate.adopt.enabled"
  "CORVEIL_ADOPT_TO" "migrate.adopt.to"
  "CORVEIL_HISTORY_SCHEMA" "history.schema"
  "CORVEIL_HISTORY_OWNER" "history.owner"
}}
{{- range $migrate.extraEnv }}
{{- with get $keys .name }}
{{- fail (printf "`migrate.extraEnv` sets what `%s` is for: use that" .) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Values that cannot work together, each refused with one sentence that names the key. Those of the migration are
   refused by `corveil.validate.migrate`. */}}
{{- define "corveil.validate" -}}
{{- if not .Values.enabled }}
{{- fail (printf "`enabled` is false, which only the `condition` of a parent chart reads: add `condition: %s.enabled` to the dependency, or remove the key" .Chart.Name) }}
{{- end }}
{{- range $path, $image := dict "image" .Values.image "postgresql.image" .Values.postgresql.image "redis.image" .Values.redis.image }}
{{- range $key, $value := pick $image "tag" "digest" }}
{{- if not (or (kindIs "string" $value) (kindIs "invalid" $value)) }}
{{- fail (printf "`%s.%s` is a number, of which YAML keeps the value and not the digits: quote it" $path $key) }}
{{- end }}
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
{{- if and .Values.postgresql.enabled .Values.postgresql.auth.existingSecret (not .Values.existingSecret) }}
{{- fail "`postgresql.auth.existingSecret` has a password that the chart cannot put into the app's URL: name a Secret that has `DATABASE_URL` and `SECRET_KEY` in `existingSecret`, or remove the key" }}
{{- end }}
{{- if and .Values.postgresql.enabled (not (or .Values.postgresql.auth.password .Values.postgresql.auth.existingSecret)) }}
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
{{- $all := dict "resources" .Values.resources "migrate.resources" .Values.migrate.resources "wait.resources" .Values.wait.resources }}
{{- if .Values.postgresql.enabled }}
{{- $_ := set $all "postgresql.primary.resources" .Values.postgresql.primary.resources }}
{{- end }}
{{- if .Values.redis.enabled }}
{{- $_ := set $all "redis.master.resources" .Values.redis.master.resources }}
{{- end }}
{{- range $key, $resources := $all }}
{{- include "corveil.validate.resources" (dict "key" $key "resources" ($resources | default dict)) }}
{{- end }}
{{- $rolling := .Values.strategy.rollingUpdate }}
{{- if and (has (toString $rolling.maxSurge) (list "0" "0%")) (has (toString $rolling.maxUnavailable) (list "0" "0%")) }}
{{- fail "`strategy.rollingUpdate.maxSurge` and `strategy.rollingUpdate.maxUnavailable` are both 0, so that no pod could ever be replaced: set one" }}
{{- end }}
{{- if and (eq .Values.dnsPolicy "None") (not (.Values.dnsConfig).nameservers) }}
{{- fail "`dnsPolicy` is None, and `dnsConfig.nameservers` is empty: name a server, or remove the key" }}
{{- end }}
{{- if .Values.podDisruptionBudget.enabled }}
{{- include "corveil.validate.budget" . }}
{{- end }}
{{- range $name, $_ := .Values.commonLabels }}
{{- if or (hasPrefix "helm.sh/" $name) (has $name (list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "sidecar.istio.io/inject")) }}
{{- fail (printf "`commonLabels` sets `%s`, which the chart sets itself: remove it" $name) }}
{{- end }}
{{- end }}
{{- $service := .Values.service }}
{{- $needs := "`service.%s` is set, but `service.type` is %s: that is for %s" }}
{{- if eq $service.type "ClusterIP" }}
{{- range $key := list "nodePort" "externalTrafficPolicy" }}
{{- if get $service $key }}
{{- fail (printf $needs $key $service.type "NodePort and LoadBalancer") }}
{{- end }}
{{- end }}
{{- end }}
{{- if ne $service.type "LoadBalancer" }}
{{- range $key := list "loadBalancerClass" "loadBalancerSourceRanges" }}
{{- if get $service $key }}
{{- fail (printf $needs $key $service.type "LoadBalancer") }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
{{- fail "`httpRoute.parentRefs` is empty, and a route that belongs to no Gateway gets no request: name one" }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.rules) }}
{{- fail "`httpRoute.rules` is empty, so that no request would match: remove the key, or write a rule" }}
{{- end }}
{{- with .Values.serviceMonitor }}
{{- if and .enabled .interval .scrapeTimeout }}
{{- $interval := include "corveil.milliseconds" (dict "key" "serviceMonitor.interval" "value" .interval) | int64 }}
{{- if gt (include "corveil.milliseconds" (dict "key" "serviceMonitor.scrapeTimeout" "value" .scrapeTimeout) | int64) $interval }}
{{- fail (printf "`serviceMonitor.scrapeTimeout` is %s, above `serviceMonitor.interval`, which is %s: lower it" .scrapeTimeout .interval) }}
{{- end }}
{{- end }}
{{- end }}
{{- if ge (int64 .Values.minReadySeconds) (int64 .Values.wait.progressDeadlineSeconds) }}
{{- fail (printf "`minReadySeconds` is %d, not below `wait.progressDeadlineSeconds`, which is %d: lower it" (int64 .Values.minReadySeconds) (int64 .Values.wait.progressDeadlineSeconds)) }}
{{- end }}
{{- if and (lt (int64 .Values.terminationGracePeriodSeconds) 5) (not (.Values.lifecycle).preStop) }}
{{- fail (printf "`terminationGracePeriodSeconds` is %d, less than the 5 s that a pod sleeps before it ends: raise it, or set `lifecycle.preStop`" (int64 .Values.terminationGracePeriodSeconds)) }}
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
{{- if include "corveil.clusterChoosesUser" . }}
{{- /* Users and groups that the values set for this cluster stay; those of the chart's defaults are in no range of OpenShift's. */}}
{{- range $key := list "podSecurityContext" "securityContext" }}
{{- $context := deepCopy (get $.Values $key | default dict) }}
{{- range $name := list "runAsUser" "runAsGroup" "fsGroup" }}
{{- if eq (get $context $name | int64) 1000 }}
{{- $_ := unset $context $name }}
{{- end }}
{{- end }}
{{- $_ := set $.Values $key $context }}
{{- end }}
{{- end }}
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

{{/* A duration such as `1h 30min` in milliseconds; `key` is its place in the values. */}}
{{- define "corveil.milliseconds" -}}
{{- $text := toString .value -}}
{{- if not (regexMatch "^(0|([0-9]+(ms|s|m|min|h) ?)+)$" $text) -}}
{{- fail (printf "`%s` is %q: write it like `30s`, `5m` or `1h`" .key $text) -}}
{{- end -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "min" 60000 "h" 3600000 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+(ms|min|s|m|h)" $text -1 -}}
{{- $number := regexFind "[0-9]+" . -}}
{{- $sum = add $sum (mul (int64 $number) (index $units (trimPrefix $number .))) -}}
{{- end -}}
{{- $sum -}}
{{- end }}

{{/* A budget under which no pod may ever go: every drain of a node waits for ever. Where an autoscaler sets the number of
   pods, only what blocks any number is refused. Kubernetes rounds shares up. */}}
{{- define "corveil.validate.budget" -}}
{{- $budget := .Values.podDisruptionBudget }}
{{- $replicas := .Values.replicaCount }}
{{- $key := "replicaCount" }}
{{- if .Values.autoscaling.enabled }}
{{- $replicas = .Values.autoscaling.maxReplicas }}
{{- $key = "autoscaling.maxReplicas" }}
{{- end }}
{{- if not (kindIs "invalid" $budget.maxUnavailable) }}
{{- if regexMatch "^0+%?$" (include "corveil.text" $budget.maxUnavailable) }}
{{- fail (printf "`podDisruptionBudget.maxUnavailable` is %s, so that no node could be drained: set at least 1" (include "corveil.text" $budget.maxUnavailable)) }}
{{- end }}
{{- else }}
{{- $least := include "corveil.text" $budget.minAvailable }}
{{- if and (hasSuffix "%" $least) (ge (trimSuffix "%" $least | int64) 100) }}
{{- fail (printf "`podDisruptionBudget.minAvailable` is %s, so that no node could be drained: set `podDisruptionBudget.maxUnavailable: 1` instead" $least) }}
{{- end }}
{{- if not (kindIs "invalid" $replicas) }}
{{- $pods := int64 $replicas }}
{{- $stay := trimSuffix "%" $least | int64 }}
{{- if hasSuffix "%" $least }}
{{- $stay = div (add (mul $stay $pods) 99) 100 }}
{{- end }}
{{- if and (gt $pods 0) (ge $stay $pods) }}
{{- fail (printf "`podDisruptionBudget.minAvailable` is %s, and there are %d pods (`%s`), so that no node could be drained: set `podDisruptionBudget.maxUnavailable: 1` instead, or run more pods" $least $pods $key) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

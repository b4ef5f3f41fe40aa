{{/* Keys of 1.0.0's subchart that keep its data where this chart does not read them, or which shaped what can never change. */}}
{{- define "corveil.validate.takeover" -}}
{{- $here := include "corveil.postgresql.fullname" . }}
{{- $primary := .Values.postgresql.primary | default dict }}
{{- $persistence := $primary.persistence | default dict }}
{{- $delete := "run `kubectl delete statefulset %s --cascade=foreground`, which keeps the data, remove the key" }}

{{- /* Another name. */}}
{{- $empty := print "`%s` is `%s`, and this chart would start an empty database next to that of `%s`: " $delete ", and name its claim (`kubectl get pvc`) in `postgresql.primary.persistence.existingClaim`" }}
{{- $architecture := .Values.postgresql.architecture | default "standalone" }}
{{- if ne $architecture "standalone" }}
{{- $former := printf "%s-%s" $here ($primary.name | default "primary") }}
{{- fail (printf $empty "postgresql.architecture" $architecture $former $former) }}
{{- end }}
{{- $names := dict
  "global.postgresql.fullnameOverride" ((.Values.global).postgresql).fullnameOverride
  "postgresql.fullnameOverride" .Values.postgresql.fullnameOverride
}}
{{- range $key, $name := $names }}
{{- if and $name (ne (toString $name) $here) }}
{{- fail (printf $empty $key (toString $name) (toString $name) (toString $name)) }}
{{- end }}
{{- end }}
{{- $name := .Values.postgresql.nameOverride | default "postgresql" | toString }}
{{- if ne $name "postgresql" }}
{{- $former := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- fail (printf $empty "postgresql.nameOverride" $name $former $former) }}
{{- end }}

{{- /* Another folder of the volume. */}}
{{- $elsewhere := "`%s` is `%s`, and this chart would start an empty database next to the data: move them to the folder `data` at the root of the volume, and remove the key" }}
{{- with $persistence.subPath }}
{{- fail (printf $elsewhere "postgresql.primary.persistence.subPath" .) }}
{{- end }}
{{- with .Values.postgresql.postgresqlDataDir }}
{{- $root := $persistence.mountPath | default "/bitnami/postgresql" }}
{{- if not (has . (list "/bitnami/postgresql/data" (printf "%s/data" $root))) }}
{{- fail (printf $elsewhere "postgresql.postgresqlDataDir" .) }}
{{- end }}
{{- end }}

{{- /* Another server. */}}
{{- range $path, $image := dict "postgresql" .Values.postgresql.image "redis" (ternary .Values.redis.image dict .Values.redis.enabled) }}
{{- $repository := include "corveil.text" $image.repository }}
{{- if or (contains "bitnami" $repository) (contains "bitnami" (include "corveil.text" $image.registry)) }}
{{- fail (printf "`%s.image.repository` is `%s`, an image of Bitnami's, which this chart does not run: name a copy of the official image, or remove the key" $path $repository) }}
{{- end }}
{{- if regexMatch "-debian-[0-9]+(-r[0-9]+)?$" (include "corveil.text" $image.tag) }}
{{- fail (printf "`%s.image.tag` is `%s`, a tag of Bitnami's image, which this chart does not run: name a tag of the official image, or remove the key" $path $image.tag) }}
{{- end }}
{{- end }}
{{- $tag := include "corveil.text" .Values.postgresql.image.tag }}
{{- if and (not .Values.postgresql.image.digest) (or (not (regexMatch "^18([.-]|$)" $tag)) (contains "alpine" $tag)) }}
{{- fail (printf "`postgresql.image.tag` is `%s`, and the volume is that of PostgreSQL 18 on Debian, which another version cannot read and another C library sorts differently: name a tag such as `18-bookworm`" $tag) }}
{{- end }}
{{- $not := "`%s` is `%s`, which the bundled server does not do: %s" }}
{{- if ((.Values.postgresql).tls).enabled }}
{{- fail (printf $not "postgresql.tls.enabled" "true" "remove the key, and `sslmode` from the URL in `existingSecret`, or use a database of yours (`externalDatabase.url`)") }}
{{- end }}
{{- if ((.Values.postgresql).volumePermissions).enabled }}
{{- fail (printf $not "postgresql.volumePermissions.enabled" "true" "it never runs as root; remove the key, as the volume of chart 1.0.0 has its owner already, and give a new one to user 1001 yourself") }}
{{- end }}
{{- if (($primary).standby).enabled }}
{{- fail (printf $not "postgresql.primary.standby.enabled" "true" "use that database by `externalDatabase.url`, with `postgresql.enabled: false`") }}
{{- end }}
{{- if ((.Values.postgresql).ldap).enabled }}
{{- fail (printf $not "postgresql.ldap.enabled" "true" "use a database of yours (`externalDatabase.url`), or a user with a password") }}
{{- end }}
{{- $ports := dict
  "postgresql.primary.service.ports.postgresql" (((($primary).service).ports).postgresql)
  "postgresql.service.ports.postgresql" ((((.Values.postgresql).service).ports).postgresql)
  "global.postgresql.service.ports.postgresql" (((((.Values.global).postgresql).service).ports).postgresql)
}}
{{- range $key, $port := $ports }}
{{- if and $port (ne (include "corveil.text" $port) "5432") }}
{{- fail (printf $not $key (include "corveil.text" $port) "its port is 5432; remove the key, and name that port in the URL of `existingSecret`") }}
{{- end }}
{{- end }}
{{- range $key := list "database" "username" "password" "existingSecret" }}
{{- $given := get ((((($.Values).global).postgresql).auth) | default dict) $key }}
{{- if and $given (ne (include "corveil.text" $given) (include "corveil.text" (get $.Values.postgresql.auth $key))) }}
{{- fail (printf "`global.postgresql.auth.%s` differs from `postgresql.auth.%s`, which the bundled database is created with: set that to the same, and remove the global key" $key $key) }}
{{- end }}
{{- end }}

{{- /* What Kubernetes changes never. */}}
{{- $halfWay := print "`%s` is `%s`, and the upgrade would end half way, as Kubernetes changes no StatefulSet in this: " $delete }}
{{- $policy := $primary.podManagementPolicy | default "OrderedReady" }}
{{- if ne $policy "OrderedReady" }}
{{- fail (printf $halfWay "postgresql.primary.podManagementPolicy" $policy $here) }}
{{- end }}
{{- if and $persistence.enabled (not $persistence.existingClaim) }}
{{- $volume := $persistence.volumeName | default "data" }}
{{- if ne $volume "data" }}
{{- fail (printf (print $halfWay ", and name the claim `%s-%s-0` in `postgresql.primary.persistence.existingClaim`") "postgresql.primary.persistence.volumeName" $volume $here $volume $here) }}
{{- end }}
{{- with $persistence.dataSource }}
{{- fail (printf $halfWay "postgresql.primary.persistence.dataSource" (toJson .) $here) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Keys of 1.0.0's subchart with which its data are where this chart does not look, or which shaped what can never change. */}}
{{- define "corveil.validate.takeover" -}}
{{- $ours := include "corveil.postgresql.fullname" . }}
{{- $primary := .Values.postgresql.primary | default dict }}
{{- $persistence := $primary.persistence | default dict }}
{{- $delete := "run `kubectl delete statefulset %s --cascade=foreground`, which keeps the data, remove the key" }}

{{- /* Another name. */}}
{{- $beside := print "`%s` is `%s`, and this chart would start an empty database beside that of `%s`: " $delete ", and name its claim (`kubectl get pvc`) in `postgresql.primary.persistence.existingClaim`" }}
{{- $architecture := .Values.postgresql.architecture | default "standalone" }}
{{- if ne $architecture "standalone" }}
{{- $former := printf "%s-%s" $ours ($primary.name | default "primary") }}
{{- fail (printf $beside "postgresql.architecture" $architecture $former $former) }}
{{- end }}
{{- $names := dict
  "global.postgresql.fullnameOverride" ((.Values.global).postgresql).fullnameOverride
  "postgresql.fullnameOverride" .Values.postgresql.fullnameOverride
}}
{{- range $key, $name := $names }}
{{- if and $name (ne (toString $name) $ours) }}
{{- fail (printf $beside $key (toString $name) (toString $name) (toString $name)) }}
{{- end }}
{{- end }}
{{- $name := .Values.postgresql.nameOverride | default "postgresql" | toString }}
{{- if ne $name "postgresql" }}
{{- $former := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- fail (printf $beside "postgresql.nameOverride" $name $former $former) }}
{{- end }}

{{- /* Another folder of the volume. */}}
{{- $elsewhere := "`%s` is `%s`, and this chart would start an empty database beside the data: move them to the folder `data` at the root of the volume, and remove the key" }}
{{- with $persistence.subPath }}
{{- fail (printf $elsewhere "postgresql.primary.persistence.subPath" .) }}
{{- end }}
{{- with .Values.postgresql.postgresqlDataDir }}
{{- $root := $persistence.mountPath | default "/bitnami/postgresql" }}
{{- if not (has . (list "/bitnami/postgresql/data" (printf "%s/data" $root))) }}
{{- fail (printf $elsewhere "postgresql.postgresqlDataDir" .) }}
{{- end }}
{{- end }}

{{- /* What Kubernetes changes never. */}}
{{- $halfWay := print "`%s` is `%s`, and the upgrade would end half way, as Kubernetes changes no StatefulSet in this: " $delete }}
{{- $policy := $primary.podManagementPolicy | default "OrderedReady" }}
{{- if ne $policy "OrderedReady" }}
{{- fail (printf $halfWay "postgresql.primary.podManagementPolicy" $policy $ours) }}
{{- end }}
{{- if and $persistence.enabled (not $persistence.existingClaim) }}
{{- $volume := $persistence.volumeName | default "data" }}
{{- if ne $volume "data" }}
{{- fail (printf (print $halfWay ", and name the claim `%s-%s-0` in `postgresql.primary.persistence.existingClaim`") "postgresql.primary.persistence.volumeName" $volume $ours $volume $ours) }}
{{- end }}
{{- with $persistence.dataSource }}
{{- fail (printf $halfWay "postgresql.primary.persistence.dataSource" (toJson .) $ours) }}
{{- end }}
{{- end }}
{{- end }}

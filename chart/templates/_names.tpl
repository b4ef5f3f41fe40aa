{{/* Names that Kubernetes would refuse, and only when the database is migrated. The schema has checked each key by itself; here
   are those that follow from several, from the release's name or from a template. */}}
{{- define "corveil.validate.names" -}}
{{- $service := "^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$" }}
{{- $subdomain := "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$" }}
{{- $full := include "corveil.fullname" . }}
{{- if not (regexMatch $service $full) }}
{{- $form := "lower-case letters, digits and `-`, with a letter first and no `-` last" }}
{{- if .Values.fullnameOverride }}
{{- fail (printf "`fullnameOverride` makes the name `%s`, which no Service can have: write %s" $full $form) }}
{{- else }}
{{- fail (printf "the release and `nameOverride` make the name `%s`, which no Service can have: set `fullnameOverride`, to %s" $full $form) }}
{{- end }}
{{- end }}
{{- range $longest := list 63 55 }}
{{- $label := include "corveil.name" $ | trunc $longest | trimSuffix "-" }}
{{- if not (regexMatch "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$" $label) }}
{{- fail (printf "`nameOverride` makes the label `%s`, and no label may start or end so: write letters and digits, and between them `-`, `_` or `.`" $label) }}
{{- end }}
{{- end }}
{{- /* StatefulSet and pods carry `<name>-<hash>` as a label, of 63 characters at most. */}}
{{- $bundled := dict }}
{{- if .Values.postgresql.enabled }}{{ $_ := set $bundled "postgresql.enabled" 41 }}{{ end }}
{{- if .Values.redis.enabled }}{{ $_ := set $bundled "redis.enabled" 50 }}{{ end }}
{{- range $key, $longest := $bundled }}
{{- if or (gt (len $.Release.Name) $longest) (not (regexMatch $service $.Release.Name)) }}
{{- fail (printf "`%s` names a Service after the release, and `%s` is no name for one: install under a name of at most %d lower-case letters, digits and `-`, with a letter first" $key $.Release.Name $longest) }}
{{- end }}
{{- end }}
{{- if .Values.postgresql.enabled }}
{{- $persistence := .Values.postgresql.primary.persistence }}
{{- $names := dict }}
{{- /* Keys are written out, so that Helm's message for a broken template has them. */}}
{{- if $persistence.existingClaim }}{{ $_ := set $names "postgresql.primary.persistence.existingClaim" (tpl (include "corveil.text" .Values.postgresql.primary.persistence.existingClaim) $) }}{{ end }}
{{- $classes := dict "global.storageClass" .Values.global.storageClass "postgresql.primary.persistence.storageClass" $persistence.storageClass "global.defaultStorageClass" .Values.global.defaultStorageClass }}
{{- range $key, $class := $classes }}
{{- $class := include "corveil.text" $class }}
{{- if and $class (ne $class "-") }}{{ $_ := set $names $key $class }}{{ end }}
{{- end }}
{{- range $key, $name := $names }}
{{- if not (and (le (len $name) 253) (regexMatch $subdomain $name)) }}
{{- fail (printf "`%s` is `%s`, and no object can be named so: write lower-case letters, digits, `-` and `.`" $key $name) }}
{{- end }}
{{- end }}
{{- range $key, $_ := $persistence.annotations }}
{{- $_ := tpl (index $.Values.postgresql.primary.persistence.annotations $key) $ }}
{{- end }}
{{- range $key, $_ := $persistence.labels }}
{{- $label := tpl (index $.Values.postgresql.primary.persistence.labels $key) $ }}
{{- if not (regexMatch "^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$" $label) }}
{{- fail (printf "`postgresql.primary.persistence.labels` has %q for `%s`, which no label can be: write at most 63 letters and digits, and between them `-`, `_` or `.`" $label $key) }}
{{- end }}
{{- end }}
{{- if and $persistence.enabled (not $persistence.existingClaim) (not $persistence.accessModes) }}
{{- fail "`postgresql.primary.persistence.accessModes` is empty: name one, such as `ReadWriteOnce`" }}
{{- end }}
{{- if and (has "ReadWriteOncePod" ($persistence.accessModes | default list)) (gt (len $persistence.accessModes) 1) }}
{{- fail "`postgresql.primary.persistence.accessModes` has `ReadWriteOncePod` with others: Kubernetes takes it alone" }}
{{- end }}
{{- if eq 0.0 (include "corveil.quantity" $persistence.size | float64) }}
{{- fail "`postgresql.primary.persistence.size` is 0: set how large the volume is, such as `8Gi`" }}
{{- end }}
{{- end }}
{{- end }}

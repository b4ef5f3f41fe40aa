{{/* Lists of which each item is possible, and which are impossible as a whole or with what the chart adds to them. Helm 4 applies
   on the server, which refuses what is in a list twice. */}}
{{- define "corveil.validate.lists" -}}
{{- $mounted := "/run/corveil /app/config/models.yaml" | splitList " " }}
{{- range $key, $app := dict "" true "migrate." false }}
{{- $values := ternary $.Values $.Values.migrate $app }}
{{- include "corveil.validate.distinct" (dict "key" (print $key "extraEnv") "field" "name" "list" $values.extraEnv "taken" list) }}
{{- include "corveil.validate.distinct" (dict "key" (print $key "extraVolumes") "field" "name" "list" $values.extraVolumes "taken" (ternary (list "corveil-wait" "models") list $app)) }}
{{- include "corveil.validate.distinct" (dict "key" (print $key "extraVolumeMounts") "field" "mountPath" "list" $values.extraVolumeMounts "taken" (ternary $mounted list $app)) }}
{{- $names := list }}
{{- range $values.extraVolumes }}{{ $names = append $names .name }}{{ end }}
{{- range $values.extraVolumeMounts }}
{{- if not (has .name $names) }}
{{- fail (printf "`%sextraVolumeMounts` mounts `%s`, which is not in `%sextraVolumes`: add it there" $key .name $key) }}
{{- end }}
{{- if and .subPath .subPathExpr }}
{{- fail (printf "`%sextraVolumeMounts` has both `subPath` and `subPathExpr` for `%s`: remove one" $key .name) }}
{{- end }}
{{- end }}
{{- end }}
{{- include "corveil.validate.distinct" (dict "key" "podSecurityContext.sysctls" "field" "name" "list" (.Values.podSecurityContext | default dict).sysctls "taken" list) }}
{{- range $name := list "checksum/env" "checksum/secret" "checksum/models" }}
{{- if hasKey ($.Values.podAnnotations | default dict) $name }}
{{- fail (printf "`podAnnotations` has `%s`, which the chart sets: remove it" $name) }}
{{- end }}
{{- end }}
{{- with .Values.securityContext }}
{{- $added := (.capabilities | default dict).add | default list }}
{{- if and (eq (toString .allowPrivilegeEscalation) "false") (or .privileged (has "SYS_ADMIN" $added) (has "CAP_SYS_ADMIN" $added)) }}
{{- fail "`securityContext.allowPrivilegeEscalation` is false, which Kubernetes does not allow with `privileged` or SYS_ADMIN: set it to true, or remove those" }}
{{- end }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) }}
{{- fail "`ingress.hosts` is empty: name at least one host, or leave `ingress.enabled` false" }}
{{- end }}
{{- if .Values.istio.enabled }}
{{- range $key := list "gateways" "hosts" }}
{{- if not (index $.Values.istio.corveil $key) }}
{{- fail (printf "`istio.corveil.%s` is empty: name at least one, or leave `istio.enabled` false" $key) }}
{{- end }}
{{- end }}
{{- end }}
{{- range .Values.networkPolicy.additionalEgressRules }}
{{- range .ports }}
{{- if and .endPort (gt (int64 .port) (int64 .endPort)) }}
{{- fail (printf "`networkPolicy.additionalEgressRules` has `endPort` %d below `port` %d: swap them" (int64 .endPort) (int64 .port)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* `field` of each item of `list` is there once, and none is in `taken`. */}}
{{- define "corveil.validate.distinct" -}}
{{- $seen := .taken }}
{{- range .list }}
{{- $it := index . $.field }}
{{- if has $it $.taken }}
{{- fail (printf "`%s` has the %s `%s`, which the chart has for itself: take another" $.key $.field $it) }}
{{- end }}
{{- if has $it $seen }}
{{- fail (printf "`%s` has the %s `%s` twice: remove one" $.key $.field $it) }}
{{- end }}
{{- $seen = append $seen $it }}
{{- end }}
{{- end }}

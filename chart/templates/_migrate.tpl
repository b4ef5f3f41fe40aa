{{/* What the migration's objects have in common: which Jobs there are, and their names, labels and accounts. `_gate.tpl` has
   what follows from the description of the gate in Rust: annotations, waves, exit codes. */}}

{{/* The Jobs that this rendering has, as a JSON list of `hook`, `bootstrap` and `wave`. */}}
{{- define "corveil.migrate.jobs" -}}
{{- $jobs := list -}}
{{- if .Values.migrate.enabled -}}
{{- if include "corveil.migrate.hasHook" . -}}{{- $jobs = append $jobs "hook" -}}{{- end -}}
{{- if include "corveil.migrate.hasBootstrap" . -}}{{- $jobs = append $jobs "bootstrap" -}}{{- end -}}
{{- if eq (include "corveil.migrate.phase" .) "Wave" -}}{{- $jobs = append $jobs "wave" -}}{{- end -}}
{{- end -}}
{{- toJson $jobs -}}
{{- end }}

{{/* "true" unless the hook could only fail: an upgrade whose bundled database is missing or not ready, as after a first
   install that failed. The bootstrap Job migrates then, and until it has, the pods do not start. */}}
{{- define "corveil.migrate.hasHook" -}}
{{- $isMissing := false -}}
{{- if and .Values.postgresql.enabled .Release.IsUpgrade (include "corveil.migrate.reachesCluster" .) -}}
{{- $database := lookup "apps/v1" "StatefulSet" .Release.Namespace (include "corveil.postgresql.fullname" .) | default dict -}}
{{- $isMissing = not (dig "status" "readyReplicas" 0 $database) -}}
{{- end -}}
{{- if and (ne (include "corveil.migrate.phase" .) "Wave") (not $isMissing) -}}true{{- end -}}
{{- end }}

{{/* "true" where a plain Job is rendered in addition to the hook: Helm cannot run a hook between a release's database and its
   pods. */}}
{{- define "corveil.migrate.hasBootstrap" -}}
{{- if and .Values.postgresql.enabled (include "corveil.migrate.helmRenders" .) -}}true{{- end -}}
{{- end }}

{{/* Argo CD's phase, as it applies now: a plain Job is no gate under Helm, which gets the hook. */}}
{{- define "corveil.migrate.phase" -}}
{{- $default := include "corveil.gate.defaultPhase" . -}}
{{- $phase := .Values.migrate.argocd.phase | default $default -}}
{{- if and (eq $phase "Wave") (include "corveil.migrate.helmRenders" .) -}}{{ $default }}{{- else -}}{{ $phase }}{{- end -}}
{{- end }}

{{/* "true" where Helm itself applies what is rendered: Argo CD never renders an upgrade, and nothing answers its lookups. */}}
{{- define "corveil.migrate.helmRenders" -}}
{{- if or .Release.IsUpgrade (include "corveil.migrate.reachesCluster" .) -}}true{{- end -}}
{{- end }}

{{/* "true" where a lookup is answered: a list without a name exists even when it is empty, but not under `helm template`, so
   not under Argo CD. Every user who may install the chart may list the Deployments that it creates. */}}
{{- define "corveil.migrate.reachesCluster" -}}
{{- if lookup "apps/v1" "Deployment" .Release.Namespace "" -}}true{{- end -}}
{{- end }}

{{/* The full name and `suffix`, cut to 63 characters: pods have the name of their Job as a label. */}}
{{- define "corveil.migrate.name" -}}
{{- $left := sub 63 (len .suffix) | int -}}
{{- printf "%s%s" (include "corveil.fullname" .root | trunc $left | trimSuffix "-") .suffix -}}
{{- end }}

{{/* The name of an object that belongs to `job`. */}}
{{- define "corveil.migrate.objectName" -}}
{{- $suffix := eq .job "hook" | ternary "-migrate" (print "-migrate-" .job) -}}
{{- include "corveil.migrate.name" (dict "root" .root "suffix" $suffix) -}}
{{- end }}

{{/* The name of a Job with this `spec`. The bootstrap Job's ends in a hash of its spec, because a Job cannot be changed, and of
   the credentials where the chart knows them, so that a new password is another Job. */}}
{{- define "corveil.migrate.jobName" -}}
{{- if eq .job "bootstrap" -}}
{{- $credentials := .root.Values.existingSecret | empty | ternary (include "corveil.databaseUrl" .root) "" -}}
{{- $hash := print (.spec | fromYaml | toJson) $credentials | sha256sum | trunc 10 -}}
{{- include "corveil.migrate.name" (dict "root" .root "suffix" (print "-migrate-" $hash)) -}}
{{- else -}}
{{- include "corveil.migrate.objectName" . -}}
{{- end -}}
{{- end }}

{{/* The name of the hook's copy of the Secret. */}}
{{- define "corveil.migrate.copyName" -}}
{{- include "corveil.migrate.name" (dict "root" . "suffix" "-migrate-copy") -}}
{{- end }}

{{/* The Secret from which `job` reads DATABASE_URL. The hook runs before the release's objects are written, so it has a copy of
   the release's Secret. */}}
{{- define "corveil.migrate.secretName" -}}
{{- if eq .job "hook" -}}
{{- include "corveil.text" (.root.Values.existingSecret | default (include "corveil.migrate.copyName" .root)) -}}
{{- else -}}
{{- include "corveil.secretName" .root -}}
{{- end -}}
{{- end }}

{{/* The service account of `job`, or nothing. The hook's is deleted when the hook has succeeded, so the bootstrap Job never
   shares it. */}}
{{- define "corveil.migrate.account" -}}
{{- $given := include "corveil.text" .root.Values.migrate.serviceAccount -}}
{{- if and .root.Values.migrate.createServiceAccount (or (not $given) (eq .job "bootstrap")) -}}
{{- include "corveil.migrate.objectName" . -}}
{{- else -}}
{{- $given -}}
{{- end -}}
{{- end }}

{{/* What the migration's objects and pods have in common, and neither the Service nor the app selects. */}}
{{- define "corveil.migrate.labels" -}}
app.kubernetes.io/component: migrate
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/name: {{ printf "%s-migrate" (include "corveil.name" . | trunc 55 | trimSuffix "-") | quote }}
{{- end }}

{{/* The labels of the migration's objects. */}}
{{- define "corveil.migrate.objectLabels" -}}
{{ include "corveil.commonLabels" . }}
{{ include "corveil.migrate.labels" . }}
{{- end }}

{{/* The labels of the migration's pods. A mesh's sidecar would keep a pod running after the migration has ended; values may
   still ask for one. */}}
{{- define "corveil.migrate.podLabels" -}}
{{- $given := merge (dict) (.Values.migrate.podLabels | default dict) (.Values.commonLabels | default dict) -}}
{{- $fixed := include "corveil.migrate.labels" . | fromYaml -}}
{{- range $key, $value := merge $fixed $given (dict "sidecar.istio.io/inject" "false") }}
{{ $key }}: {{ $value | toString | quote }}
{{- end }}
{{- end }}

{{/* The annotations of the migration's pods, for meshes that read those. */}}
{{- define "corveil.migrate.podAnnotations" -}}
{{- $given := .Values.migrate.podAnnotations | default dict -}}
{{- range $key, $value := merge (dict) $given (dict "linkerd.io/inject" "disabled" "sidecar.istio.io/inject" "false") }}
{{ $key }}: {{ $value | toString | quote }}
{{- end }}
{{- end }}

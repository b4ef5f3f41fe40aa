{{/* A text, which a values file may have as a number without quotes: Helm reads that as a float, and alone would print the
   ones of seven digits as `1.234567e+06`. */}}
{{- define "corveil.text" -}}
{{- if kindIs "string" . -}}{{ . }}{{- else if not (kindIs "invalid" .) -}}{{ toJson . }}{{- end -}}
{{- end }}

{{/* Environment variables of a list in the values: their values are text, whatever YAML or `--set` made of them. */}}
{{- define "corveil.extraEnv" -}}
{{- $list := list -}}
{{- range . -}}
{{- $item := deepCopy . -}}
{{- if hasKey $item "value" -}}{{- $_ := set $item "value" (include "corveil.text" $item.value) -}}{{- end -}}
{{- $list = append $list $item -}}
{{- end -}}
{{- toYaml $list -}}
{{- end }}

{{/* What labels and selectors name the app. */}}
{{- define "corveil.name" -}}
{{- include "corveil.text" (.Values.nameOverride | default .Chart.Name) -}}
{{- end }}

{{/* Full name: fullnameOverride, else the release's name with the chart's appended unless it is contained. */}}
{{- define "corveil.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- include "corveil.text" .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "corveil.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Name and version of the chart, as labels allow it. */}}
{{- define "corveil.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{/* Labels of the app's pods, and what selects them. They are 1.0.0's: a Deployment's selector can never change. */}}
{{- define "corveil.selectorLabels" -}}
app.kubernetes.io/name: {{ include "corveil.name" . | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* Labels that every object carries, whatever it belongs to. */}}
{{- define "corveil.commonLabels" -}}
helm.sh/chart: {{ include "corveil.chart" . | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
{{- include "corveil.givenLabels" . }}
{{- end }}

{{/* Labels of the user's, on lines of their own. */}}
{{- define "corveil.givenLabels" -}}
{{- range $name, $value := .Values.commonLabels }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* Labels of the app's objects. */}}
{{- define "corveil.labels" -}}
{{ include "corveil.commonLabels" . }}
{{ include "corveil.selectorLabels" . }}
{{- end }}

{{/* An image's repository with its registry. What the values name with a registry is used as it is; everything else comes
   from `global.imageRegistry`, the chart's own default too. `repository`, its `default`, and `registry` where it has one. */}}
{{- define "corveil.repository" -}}
{{- $repository := include "corveil.text" .repository -}}
{{- $first := splitList "/" $repository | first -}}
{{- $hasRegistry := and (contains "/" $repository) (or (contains "." $first) (contains ":" $first) (eq $first "localhost")) -}}
{{- $registry := include "corveil.text" (.root.Values.global.imageRegistry | default .registry) | trimSuffix "/" -}}
{{- if and $registry (or (not $hasRegistry) (eq $repository .default)) -}}
{{- printf "%s/%s" $registry (ternary (trimPrefix (printf "%s/" $first) $repository) $repository $hasRegistry) -}}
{{- else -}}
{{- $repository -}}
{{- end -}}
{{- end }}

{{/* The image of a bundled server, from `image` in the values. */}}
{{- define "corveil.bundledImage" -}}
{{- $repository := include "corveil.repository" (dict "root" .root "repository" .image.repository "registry" .image.registry "default" "") -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository .image.tag -}}
{{- end -}}
{{- end }}

{{/* Secrets to pull images with, as pods name them; `more` are those of one image. */}}
{{- define "corveil.pullSecrets" -}}
{{- $secrets := list -}}
{{- range concat (.root.Values.imagePullSecrets | default list) (.root.Values.global.imagePullSecrets | default list) (.more | default list) -}}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- with uniq $secrets -}}{{- toYaml . -}}{{- end -}}
{{- end }}

{{/* "true" where the cluster chooses users and groups, as OpenShift does within the range of a namespace. */}}
{{- define "corveil.clusterChoosesUser" -}}
{{- $adapt := .Values.global.compatibility.openshift.adaptSecurityContext -}}
{{- if or (eq $adapt "force") (and (eq $adapt "auto") (.Capabilities.APIVersions.Has "security.openshift.io/v1")) -}}true{{- end -}}
{{- end }}

{{/* User and groups of a bundled server, unless the cluster chooses them: `server` from the values. */}}
{{- define "corveil.bundledUser" -}}
{{- if not (include "corveil.clusterChoosesUser" .root) }}
{{- with .server.containerSecurityContext }}
{{- if .enabled }}
runAsUser: {{ .runAsUser | int64 }}
runAsGroup: {{ .runAsGroup | int64 }}
{{- end }}
{{- end }}
{{- with .server.podSecurityContext }}
{{- if .enabled }}
fsGroup: {{ .fsGroup | int64 }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Where the pod of a bundled server runs, and what it pulls its image with: `server` and `image` from the values. */}}
{{- define "corveil.bundledPlacement" -}}
{{- with include "corveil.pullSecrets" (dict "root" .root "more" .image.pullSecrets) }}
imagePullSecrets:
  {{- . | nindent 2 }}
{{- end }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" }}
{{- with get $.server $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with .server.priorityClassName }}
priorityClassName: {{ include "corveil.text" . | quote }}
{{- end }}
{{- end }}

{{/* The app's image: the digest, which cannot change under us, else the tag. The chart's own digest is that of its appVersion;
   values that name another tag mean another image, and the digest gives way. */}}
{{- define "corveil.image" -}}
{{- $default := (include "corveil.defaults" . | fromJson).image.repository -}}
{{- $repository := include "corveil.repository" (dict "root" . "repository" .Values.image.repository "default" $default) -}}
{{- $digest := include "corveil.text" .Values.image.digest -}}
{{- $tag := include "corveil.text" (.Values.image.tag | default .Chart.AppVersion) -}}
{{- $images := index (.Chart.Annotations | default dict) "artifacthub.io/images" | default "" -}}
{{- $isOwn := contains (printf "@%s" $digest) $images -}}
{{- if and $digest (or (eq $tag .Chart.AppVersion) (not $isOwn)) -}}
{{- printf "%s@%s" $repository $digest -}}
{{- else -}}
{{- printf "%s:%s" $repository $tag -}}
{{- end -}}
{{- end }}

{{/* How the pods of the app and of the migration resolve names. */}}
{{- define "corveil.podNames" -}}
{{- with .Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- end }}

{{/* What a probe of the app is given, whichever it is. */}}
{{- define "corveil.probeTiming" -}}
initialDelaySeconds: {{ .initialDelaySeconds | int64 }}
periodSeconds: {{ .periodSeconds | int64 }}
timeoutSeconds: {{ .timeoutSeconds | int64 }}
failureThreshold: {{ .failureThreshold | int64 }}
{{- end }}

{{/* Istio's CNI plugin sends what a pod sends to its sidecar from the first init container on, and a sidecar that is not native
   starts after the last one: `wait-for-db` would wait for ever. So the database's port goes past the sidecar. */}}
{{- define "corveil.meshAnnotations" -}}
{{- if .Values.istio.enabled -}}
{{- $url := ternary "" (include "corveil.databaseUrl" .) (not (empty .Values.existingSecret)) -}}
{{- $hosts := $url | splitList "@" | last | splitList "/" | first -}}
{{- if not (contains "@" $url) }}{{ $hosts = $url | trimPrefix "postgresql://" | trimPrefix "postgres://" | splitList "/" | first }}{{ end -}}
{{- $ports := regexFindAll ":[0-9]+" (regexReplaceAll "\\[[^]]*\\]" $hosts "") -1 | uniq -}}
traffic.sidecar.istio.io/excludeOutboundPorts: {{ $ports | join "," | replace ":" "" | default "5432" | quote }}
{{- end -}}
{{- end }}

{{/* The Secret that the app reads. */}}
{{- define "corveil.secretName" -}}
{{- include "corveil.text" (.Values.existingSecret | default (printf "%s-secrets" .Release.Name)) -}}
{{- end }}

{{- define "corveil.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- include "corveil.text" (.Values.serviceAccount.name | default (include "corveil.fullname" .)) -}}
{{- else -}}
{{- include "corveil.text" (.Values.serviceAccount.name | default "default") -}}
{{- end -}}
{{- end }}

{{/* One part of a URL: urlquery alone is for queries, where a blank is a plus sign. */}}
{{- define "corveil.urlPart" -}}
{{- include "corveil.text" . | urlquery | replace "+" "%20" -}}
{{- end }}

{{/* The database's URL, where the chart owns the Secret. */}}
{{- define "corveil.databaseUrl" -}}
{{- if .Values.postgresql.enabled -}}
{{- $auth := .Values.postgresql.auth -}}
{{- printf "postgresql://%s:%s@%s:5432/%s" (include "corveil.urlPart" $auth.username) (include "corveil.urlPart" $auth.password) (include "corveil.postgresql.fullname" .) (include "corveil.urlPart" $auth.database) -}}
{{- else -}}
{{- include "corveil.text" .Values.externalDatabase.url -}}
{{- end -}}
{{- end }}

{{/* Redis' URL, or nothing. */}}
{{- define "corveil.redisUrl" -}}
{{- if .Values.redis.enabled -}}
{{- printf "redis://%s:6379" (include "corveil.redis.fullname" .) -}}
{{- else -}}
{{- include "corveil.text" .Values.externalRedis.url -}}
{{- end -}}
{{- end }}

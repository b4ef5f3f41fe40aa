{{/* Names and labels of the bundled PostgreSQL: those of the subchart that 1.0.0 used. */}}
{{- define "corveil.postgresql.fullname" -}}
{{- printf "%s-postgresql" .Release.Name -}}
{{- end }}

{{- define "corveil.postgresql.selectorLabels" -}}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/name: "postgresql"
app.kubernetes.io/component: "primary"
{{- end }}

{{- define "corveil.postgresql.labels" -}}
{{ include "corveil.commonLabels" . }}
{{ include "corveil.postgresql.selectorLabels" . }}
{{- end }}

{{/* The server's settings. The volume of 1.0.0 holds none, as its image kept them outside. */}}
{{- define "corveil.postgresql.configuration" -}}
postgresql.conf: |
  ident_file = '/etc/corveil-postgresql/pg_ident.conf'
  listen_addresses = '*'
  port = 5432
  unix_socket_directories = '/var/run/postgresql'
  max_connections = 100
  shared_buffers = 128MB
  dynamic_shared_memory_type = posix
  max_wal_size = 1GB
  min_wal_size = 80MB
  password_encryption = 'scram-sha-256'
  timezone = 'Etc/UTC'
  log_timezone = 'Etc/UTC'
  datestyle = 'iso, mdy'
  default_text_search_config = 'pg_catalog.english'
pg_hba.conf: |
  # TYPE  DATABASE  USER  ADDRESS  METHOD
  local   all       all            trust
  # Means SCRAM where the password is stored so, and accepts what the image of 1.0.0 may have stored otherwise.
  host    all       all   all      md5
pg_ident.conf: |
  # No user maps; without the file the server complains at each start.
{{- end }}

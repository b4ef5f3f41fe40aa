{{/* What the ConfigMap `<release>-env` holds. Values are text, so everything is quoted. */}}
{{- define "corveil.env" -}}
ENVIRONMENT: {{ include "corveil.text" .Values.corveil.environment | quote }}
LOG_LEVEL: {{ .Values.corveil.logLevel | quote }}
API_KEY_PREFIX: {{ include "corveil.text" .Values.corveil.apiKeyPrefix | quote }}
AUTO_PROVISION_USERS: {{ .Values.corveil.autoProvisionUsers | quote }}
DEV_LOGIN_ENABLED: {{ .Values.corveil.devLoginEnabled | quote }}
GUARDRAILS_ENABLED: {{ .Values.corveil.guardrails.enabled | quote }}
GUARDRAIL_OPENAI_MODERATION: {{ .Values.corveil.guardrails.openaiModeration | quote }}
GUARDRAIL_PII_FILTER: {{ .Values.corveil.guardrails.piiFilter | quote }}
PASSTHROUGH_ENABLED: {{ .Values.corveil.passthrough.enabled | quote }}
PLUGINS_ENABLED: {{ .Values.corveil.plugins.enabled | quote }}
{{- with .Values.corveil.okta }}
{{- if .enabled }}
OKTA_DOMAIN: {{ include "corveil.text" .domain | quote }}
OKTA_CLIENT_ID: {{ include "corveil.text" .clientId | quote }}
UI_SESSION_EXPIRY_HOURS: {{ .sessionExpiryHours | int64 | quote }}
UI_BASE_URL: {{ include "corveil.text" .baseUrl | quote }}
{{- end }}
{{- end }}
DEFAULT_RATE_LIMIT_RPM: {{ .Values.rateLimiting.defaultRpm | int64 | quote }}
DEFAULT_RATE_LIMIT_TPM: {{ .Values.rateLimiting.defaultTpm | int64 | quote }}
LOG_REQUEST_BODY: {{ .Values.logging.requestBody | quote }}
LOG_RESPONSE_BODY: {{ .Values.logging.responseBody | quote }}
{{- with .Values.providers.openrouter.siteUrl }}
OPENROUTER_SITE_URL: {{ include "corveil.text" . | quote }}
{{- end }}
{{- with .Values.providers.openrouter.appName }}
OPENROUTER_APP_NAME: {{ include "corveil.text" . | quote }}
{{- end }}
{{- with .Values.providers.vertexai.projectId }}
GCP_PROJECT_ID: {{ include "corveil.text" . | quote }}
{{- end }}
{{- with .Values.providers.vertexai.location }}
GCP_LOCATION: {{ include "corveil.text" . | quote }}
{{- end }}
{{- with .Values.providers.bedrock }}
{{- if .enabled }}
AWS_REGION: {{ include "corveil.text" .region | quote }}
AWS_USE_TASK_ROLE: {{ .useTaskRole | quote }}
{{- end }}
{{- end }}
MODELS_CONFIG_PATH: "/app/config/models.yaml"
MODEL_CURATION_ENABLED: "true"
{{- with .Values.history.schema }}
CORVEIL_HISTORY_SCHEMA: {{ include "corveil.text" . | quote }}
{{- end }}
{{- with .Values.history.owner }}
CORVEIL_HISTORY_OWNER: {{ include "corveil.text" . | quote }}
{{- end }}
{{- if and .Values.existingSecret .Values.redis.enabled }}
{{- /* The chart cannot write into a Secret that is not its own. One that has the key wins, being read later. */}}
REDIS_URL: {{ include "corveil.redisUrl" . | quote }}
{{- end }}
{{- end }}

{{/* What the Secret `<release>-secrets` holds: only keys that are set. Under `stringData` a removed key would stay. */}}
{{- define "corveil.secrets" -}}
{{- $okta := dict }}
{{- if .Values.corveil.okta.enabled }}{{ $okta = .Values.corveil.okta }}{{ end }}
{{- $bedrock := dict }}
{{- if .Values.providers.bedrock.enabled }}{{ $bedrock = .Values.providers.bedrock }}{{ end }}
{{- $secrets := dict
  "DATABASE_URL" (include "corveil.databaseUrl" .)
  "SECRET_KEY" .Values.corveil.secretKey
  "UI_SESSION_SECRET" (.Values.corveil.uiSessionSecret | default $okta.sessionSecret)
  "OKTA_CLIENT_SECRET" $okta.clientSecret
  "OPENROUTER_API_KEY" .Values.providers.openrouter.apiKey
  "ANTHROPIC_API_KEY" .Values.providers.anthropic.apiKey
  "GOOGLE_APPLICATION_CREDENTIALS_JSON" .Values.providers.vertexai.credentialsJson
  "AWS_ACCESS_KEY_ID" $bedrock.accessKeyId
  "AWS_SECRET_ACCESS_KEY" $bedrock.secretAccessKey
  "REDIS_URL" (include "corveil.redisUrl" .)
}}
{{- range $name, $value := $secrets }}
{{- if $value }}
{{ $name }}: {{ include "corveil.text" $value | b64enc | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* What models.yaml holds. */}}
{{- define "corveil.models" -}}
{{- $models := .Values.modelsConfig }}
{{- if not $models -}}
{{- .Files.Get "files/models.yaml" -}}
{{- else if kindIs "string" $models -}}
{{- $models -}}
{{- else -}}
{{- toYaml $models -}}
{{- end -}}
{{- end }}

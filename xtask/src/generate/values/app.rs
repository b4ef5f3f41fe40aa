//! Values of the app: its name, image, settings and secrets.

use crate::generate::values::Shape::{self, OneOf};
use crate::generate::values::kubernetes::Part;
use crate::generate::values::{
    Key, Pattern, annotations, env_list, flag, formed, from_yaml, integer, labels, list_of, quoted, removed,
    section, text, unset, value,
};
use crate::released;

pub(crate) fn keys() -> Vec<Key> {
    vec![
        text("domain", "bigbang.dev", "Domain that `istio.corveil.hosts` can refer to"),
        formed("nameOverride", Pattern::Label, "", "Name in labels and selectors instead of the chart's"),
        formed(
            "fullnameOverride",
            Pattern::ServiceName,
            "corveil",
            "Name of the objects; empty derives it from the release's name",
        ),
        image(),
        list_of(
            "imagePullSecrets",
            Part::References,
            "Secrets to pull the private image with: `[{name: …}]`",
        ),
        corveil(),
        section(
            "rateLimiting",
            "Limits of a key that has none of its own",
            vec![
                integer("defaultRpm", 0, 60, "Requests per minute").sets(&["DEFAULT_RATE_LIMIT_RPM"]),
                integer("defaultTpm", 0, 100_000, "Tokens per minute").sets(&["DEFAULT_RATE_LIMIT_TPM"]),
            ],
        ),
        section(
            "logging",
            "What is logged of a request",
            vec![
                flag("requestBody", true, "Log bodies of requests").sets(&["LOG_REQUEST_BODY"]),
                flag("responseBody", true, "Log bodies of responses").sets(&["LOG_RESPONSE_BODY"]),
            ],
        ),
        providers(),
        unset(
            "modelsConfig",
            Shape::TextOrObject,
            "models: []\n",
            "Contents of `models.yaml`, as text or as YAML, instead of the chart's own",
        ),
        formed(
            "existingSecret",
            Pattern::Name,
            "",
            "A Secret with `DATABASE_URL` and `SECRET_KEY`; the chart renders none, and ignores secrets in values",
        ),
        removed("citadel", "Renamed to `corveil` in chart 1.0.0"),
        removed("socketzero", "Removed in chart 1.0.0; the app's settings are under `corveil`"),
        value(
            "global",
            Shape::Object,
            from_yaml("{}"),
            "What a parent chart passes on; only `global.storageClass` is read",
        ),
    ]
}

fn image() -> Key {
    section(
        "image",
        "The app's image, which also migrates the database",
        vec![
            value(
                "repository",
                Shape::Formed(Pattern::Repository),
                released::current().repository(),
                "Repository",
            ),
            value(
                "pullPolicy",
                OneOf(&["Always", "IfNotPresent", "Never"]),
                "IfNotPresent",
                "When the image is pulled",
            ),
            quoted(
                "tag",
                Pattern::Tag,
                "",
                "Tag; empty is the chart's appVersion, by the chart's own digest if it has one",
            ),
            quoted(
                "digest",
                Pattern::Digest,
                &*released::current().digest,
                "`sha256:…`; one of yours wins over the tag, so that Job and pods are the same build",
            ),
        ],
    )
}

fn corveil() -> Key {
    section(
        "corveil",
        "Settings of the app",
        vec![
            text("environment", "production", "Name of the environment").sets(&["ENVIRONMENT"]),
            value("logLevel", OneOf(&["DEBUG", "INFO", "WARNING", "ERROR"]), "INFO", "What is logged")
                .sets(&["LOG_LEVEL"]),
            text("secretKey", "", "Signs tokens; required unless `existingSecret` is set")
                .sets(&["SECRET_KEY"]),
            text("uiSessionSecret", "", "Signs sessions of the UI").sets(&["UI_SESSION_SECRET"]),
            text("apiKeyPrefix", "sk-citadel", "How API keys start").sets(&["API_KEY_PREFIX"]),
            flag("autoProvisionUsers", true, "Create users at their first request")
                .sets(&["AUTO_PROVISION_USERS"]),
            flag("devLoginEnabled", false, "Login without a password, for development")
                .sets(&["DEV_LOGIN_ENABLED"]),
            section(
                "guardrails",
                "Checks of what users send",
                vec![
                    flag("enabled", true, "Check requests").sets(&["GUARDRAILS_ENABLED"]),
                    flag("openaiModeration", true, "Ask OpenAI's moderation")
                        .sets(&["GUARDRAIL_OPENAI_MODERATION"]),
                    flag("piiFilter", false, "Look for personal data").sets(&["GUARDRAIL_PII_FILTER"]),
                ],
            ),
            section(
                "passthrough",
                "Requests that are passed on as they are",
                vec![flag("enabled", true, "Allow them").sets(&["PASSTHROUGH_ENABLED"])],
            ),
            section(
                "plugins",
                "Plugins of the app",
                vec![flag("enabled", true, "Load them").sets(&["PLUGINS_ENABLED"])],
            ),
            okta(),
        ],
    )
}

fn okta() -> Key {
    section(
        "okta",
        "Login with Okta",
        vec![
            flag("enabled", false, "Offer it; the other keys have no effect otherwise"),
            text("domain", "", "Okta's domain").sets(&["OKTA_DOMAIN"]),
            text("clientId", "", "OAuth client").sets(&["OKTA_CLIENT_ID"]),
            text("clientSecret", "", "The client's secret").sets(&["OKTA_CLIENT_SECRET"]),
            text("sessionSecret", "", "Signs sessions, if `corveil.uiSessionSecret` is empty")
                .sets(&["UI_SESSION_SECRET"]),
            integer("sessionExpiryHours", 1, 24, "How long a session lasts")
                .sets(&["UI_SESSION_EXPIRY_HOURS"]),
            text("baseUrl", "", "The UI's address, as users see it").sets(&["UI_BASE_URL"]),
        ],
    )
}

fn providers() -> Key {
    section(
        "providers",
        "LLM providers",
        vec![
            section(
                "openrouter",
                "OpenRouter",
                vec![
                    text("apiKey", "", "API key").sets(&["OPENROUTER_API_KEY"]),
                    text("siteUrl", "", "Address that OpenRouter shows").sets(&["OPENROUTER_SITE_URL"]),
                    text("appName", "", "Name that OpenRouter shows").sets(&["OPENROUTER_APP_NAME"]),
                ],
            ),
            section(
                "anthropic",
                "Anthropic",
                vec![text("apiKey", "", "API key").sets(&["ANTHROPIC_API_KEY"])],
            ),
            section(
                "vertexai",
                "Google Vertex AI",
                vec![
                    text("projectId", "", "Project").sets(&["GCP_PROJECT_ID"]),
                    text("location", "us-central1", "Location").sets(&["GCP_LOCATION"]),
                    text("credentialsJson", "", "Key of a service account, as JSON")
                        .sets(&["GOOGLE_APPLICATION_CREDENTIALS_JSON"]),
                ],
            ),
            section(
                "bedrock",
                "AWS Bedrock",
                vec![
                    flag("enabled", false, "Offer it; the other keys have no effect otherwise"),
                    text("region", "us-east-1", "Region").sets(&["AWS_REGION"]),
                    text("accessKeyId", "", "Access key").sets(&["AWS_ACCESS_KEY_ID"]),
                    text("secretAccessKey", "", "Its secret").sets(&["AWS_SECRET_ACCESS_KEY"]),
                    flag("useTaskRole", false, "Use the pod's own role instead of a key")
                        .sets(&["AWS_USE_TASK_ROLE"]),
                ],
            ),
        ],
    )
}

/// Escape hatches for the pod.
pub(crate) fn extras() -> Vec<Key> {
    vec![
        env_list(
            "extraEnv",
            "More environment variables of the app and of `wait-for-db`, as in a container's `env`",
        ),
        list_of("extraVolumes", Part::Volumes, "More volumes of the pod"),
        list_of(
            "extraVolumeMounts",
            Part::VolumeMounts,
            "More volume mounts of the app and of `wait-for-db`",
        ),
        labels("podLabels", "More labels of the pods"),
        annotations("podAnnotations", "More annotations of the pods"),
    ]
}

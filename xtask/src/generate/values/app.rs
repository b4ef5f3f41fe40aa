//! Values of the app: its name, image, settings and secrets.

use crate::generate::values::Shape::{self, OneOf};
use crate::generate::values::kubernetes::Part;
use crate::generate::values::{
    Key, Pattern, annotations, env_list, flag, formed, from_yaml, integer, labels, list_of, objects,
    pull_secrets, quoted, removed, section, text, unset, value,
};
use crate::project::released;

/// When an image is pulled.
pub(crate) const PULL_POLICY: Shape = OneOf(&["Always", "IfNotPresent", "Never"]);

pub(crate) fn keys() -> Vec<Key> {
    vec![
        text("domain", "bigbang.dev", "Domain that `istio.corveil.hosts` can refer to"),
        formed("nameOverride", Pattern::Label, "", "Name in labels and selectors instead of the chart's"),
        formed(
            "fullnameOverride",
            Pattern::ServiceName,
            "corveil",
            "Name of the app's objects; empty derives one from the release's name",
        ),
        labels("commonLabels", "More labels of every object and every pod; nothing is selected by them"),
        annotations("deploymentAnnotations", "Annotations of the app's Deployment"),
        image(),
        pull_secrets(
            "imagePullSecrets",
            "Secrets that every pod of the release pulls its images with, the bundled PostgreSQL and Redis too: `[{name: …}]`",
        ),
        corveil(),
        section(
            "rateLimiting",
            "Limits of a key that has none of its own",
            vec![
                integer("defaultRpm", 0, 60, "Requests per minute of a key that has no limit")
                    .sets(&["DEFAULT_RATE_LIMIT_RPM"]),
                integer("defaultTpm", 0, 100_000, "Tokens per minute of a key that has no limit")
                    .sets(&["DEFAULT_RATE_LIMIT_TPM"]),
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
                "Repository of the app's image; one of yours that names a registry is used as it is, whatever \
                 `global.imageRegistry` says",
            ),
            value("pullPolicy", PULL_POLICY, "IfNotPresent", "When the app's image is pulled"),
            quoted(
                "tag",
                Pattern::Tag,
                "",
                "Tag of the app's image; empty is the chart's appVersion, by the chart's own digest if it has one",
            ),
            quoted(
                "digest",
                Pattern::Digest,
                &*released::current().digest,
                "Digest of the app's image, `sha256:…`; one of yours wins over the tag, so that Job and pods are the same build",
            ),
        ],
    )
}

fn corveil() -> Key {
    section(
        "corveil",
        "Settings of the app",
        vec![
            text("environment", "production", "Name of the environment, for the app").sets(&["ENVIRONMENT"]),
            value(
                "logLevel",
                OneOf(&["DEBUG", "INFO", "WARNING", "ERROR"]),
                "INFO",
                "Level of the app's log",
            )
            .sets(&["LOG_LEVEL"]),
            text("secretKey", "", "Signs tokens; required unless `existingSecret` is set")
                .sets(&["SECRET_KEY"]),
            text("uiSessionSecret", "", "Signs sessions of the UI").sets(&["UI_SESSION_SECRET"]),
            text("apiKeyPrefix", "sk-citadel", "Prefix of API keys").sets(&["API_KEY_PREFIX"]),
            flag("autoProvisionUsers", true, "Create users at their first request")
                .sets(&["AUTO_PROVISION_USERS"]),
            flag("devLoginEnabled", false, "Login without a password, for development")
                .sets(&["DEV_LOGIN_ENABLED"]),
            section(
                "guardrails",
                "Checks of what users send",
                vec![
                    flag("enabled", true, "Check what users send").sets(&["GUARDRAILS_ENABLED"]),
                    flag("openaiModeration", true, "Check requests with OpenAI's moderation")
                        .sets(&["GUARDRAIL_OPENAI_MODERATION"]),
                    flag("piiFilter", false, "Look for personal data in requests")
                        .sets(&["GUARDRAIL_PII_FILTER"]),
                ],
            ),
            section(
                "passthrough",
                "Requests that are passed on as they are",
                vec![
                    flag("enabled", true, "Allow requests that are passed on as they are")
                        .sets(&["PASSTHROUGH_ENABLED"]),
                ],
            ),
            section(
                "plugins",
                "Plugins of the app",
                vec![flag("enabled", true, "Load plugins of the app").sets(&["PLUGINS_ENABLED"])],
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
            flag(
                "enabled",
                false,
                "Offer login with Okta; the other keys of `corveil.okta` have no effect otherwise",
            ),
            text("domain", "", "Domain at Okta").sets(&["OKTA_DOMAIN"]),
            text("clientId", "", "OAuth client at Okta").sets(&["OKTA_CLIENT_ID"]),
            text("clientSecret", "", "Secret of the OAuth client at Okta").sets(&["OKTA_CLIENT_SECRET"]),
            text("sessionSecret", "", "Signs sessions of the UI, if `corveil.uiSessionSecret` is empty")
                .sets(&["UI_SESSION_SECRET"]),
            integer("sessionExpiryHours", 1, 24, "Hours that a session of the UI lasts")
                .sets(&["UI_SESSION_EXPIRY_HOURS"]),
            text("baseUrl", "", "Address of the UI, as users see it").sets(&["UI_BASE_URL"]),
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
                    text("apiKey", "", "API key for OpenRouter").sets(&["OPENROUTER_API_KEY"]),
                    text("siteUrl", "", "Address of your site that OpenRouter shows")
                        .sets(&["OPENROUTER_SITE_URL"]),
                    text("appName", "", "Name of your app that OpenRouter shows")
                        .sets(&["OPENROUTER_APP_NAME"]),
                ],
            ),
            section(
                "anthropic",
                "Anthropic",
                vec![text("apiKey", "", "API key for Anthropic").sets(&["ANTHROPIC_API_KEY"])],
            ),
            section(
                "vertexai",
                "Google Vertex AI",
                vec![
                    text("projectId", "", "Project at Google Cloud").sets(&["GCP_PROJECT_ID"]),
                    text("location", "us-central1", "Location of Vertex AI").sets(&["GCP_LOCATION"]),
                    text("credentialsJson", "", "Key of a service account at Google Cloud, as JSON")
                        .sets(&["GOOGLE_APPLICATION_CREDENTIALS_JSON"]),
                ],
            ),
            section(
                "bedrock",
                "AWS Bedrock",
                vec![
                    flag(
                        "enabled",
                        false,
                        "Offer AWS Bedrock; the other keys of `providers.bedrock` have no effect otherwise",
                    ),
                    text("region", "us-east-1", "Region of AWS Bedrock").sets(&["AWS_REGION"]),
                    text("accessKeyId", "", "Access key for AWS Bedrock").sets(&["AWS_ACCESS_KEY_ID"]),
                    text("secretAccessKey", "", "Secret of the access key for AWS Bedrock")
                        .sets(&["AWS_SECRET_ACCESS_KEY"]),
                    flag("useTaskRole", false, "Use the pod's own role for AWS Bedrock instead of a key")
                        .sets(&["AWS_USE_TASK_ROLE"]),
                ],
            ),
        ],
    )
}

/// Escape hatches for the pod.
pub(crate) fn extras() -> Vec<Key> {
    vec![
        value(
            "extraObjects",
            Shape::TextOrObjectList,
            from_yaml("[]"),
            "More objects of the release, as YAML or as text; templates are allowed",
        ),
        env_list(
            "extraEnv",
            "More environment variables of the app and of `wait-for-db`, as in a container's `env`",
        ),
        list_of(
            "extraEnvFrom",
            Part::EnvFrom,
            "Secrets and ConfigMaps with more environment variables of the app and of `wait-for-db`, as in a container's \
             `envFrom`; the chart's own win",
        ),
        objects(
            "extraInitContainers",
            "Init containers of the app's pods, and of the pod of `helm test`, that start before `wait-for-db`; with `restartPolicy: Always` a sidecar, such as \
             a proxy to the database, whose place in the migration Job is `migrate.extraInitContainers`",
        ),
        objects("extraContainers", "More containers of the app's pods"),
        list_of("extraVolumes", Part::Volumes, "More volumes of the app's pods"),
        list_of(
            "extraVolumeMounts",
            Part::VolumeMounts,
            "More volume mounts of the app and of `wait-for-db`",
        ),
        labels("podLabels", "More labels of the app's pods"),
        annotations("podAnnotations", "More annotations of the app's pods"),
    ]
}

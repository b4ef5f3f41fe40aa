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
        text(
            "domain",
            "bigbang.dev",
            "Domain name for templates in other values, such as `istio.corveil.hosts`",
        ),
        formed(
            "nameOverride",
            Pattern::Label,
            "",
            "Name of the app in labels and selectors, instead of the chart's name",
        ),
        formed(
            "fullnameOverride",
            Pattern::ServiceName,
            "corveil",
            "Name of the app's objects; if empty, derived from the release's name",
        ),
        labels("commonLabels", "Labels added to every object and every pod; no selector uses them"),
        annotations("deploymentAnnotations", "Annotations of the app's Deployment"),
        image(),
        pull_secrets(
            "imagePullSecrets",
            "Image pull secrets for every pod of the release, those of the bundled PostgreSQL and Redis \
             included: `[{name: …}]`",
        ),
        corveil(),
        section(
            "rateLimiting",
            "Default rate limits of API keys",
            vec![
                integer("defaultRpm", 0, 60, "Requests per minute for an API key that has no limit")
                    .sets(&["DEFAULT_RATE_LIMIT_RPM"]),
                integer("defaultTpm", 0, 100_000, "Tokens per minute for an API key that has no limit")
                    .sets(&["DEFAULT_RATE_LIMIT_TPM"]),
            ],
        ),
        section(
            "logging",
            "What the app logs of a request",
            vec![
                flag("requestBody", true, "Log the bodies of requests to the app")
                    .sets(&["LOG_REQUEST_BODY"]),
                flag("responseBody", true, "Log the bodies of the app's responses")
                    .sets(&["LOG_RESPONSE_BODY"]),
            ],
        ),
        providers(),
        unset(
            "modelsConfig",
            Shape::TextOrObject,
            "models: []\n",
            "Contents of `models.yaml`, as text or as YAML; replaces the chart's default",
        ),
        formed(
            "existingSecret",
            Pattern::Name,
            "",
            "Name of an existing Secret with `DATABASE_URL` and `SECRET_KEY`; the chart then creates no \
             Secret for the app, and ignores secrets in values",
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
                "Repository of the app's image; `global.imageRegistry` does not change one that you set \
                 with a registry",
            ),
            value("pullPolicy", PULL_POLICY, "IfNotPresent", "Pull policy of the app's image"),
            quoted(
                "tag",
                Pattern::Tag,
                "",
                "Tag of the app's image; if empty, the chart's appVersion, pinned by digest if the chart \
                 has one",
            ),
            quoted(
                "digest",
                Pattern::Digest,
                &*released::current().digest,
                "Digest of the app's image, `sha256:…`; a digest that you set overrides the tag, so that \
                 the migration Job and the pods run the same build",
            ),
        ],
    )
}

fn corveil() -> Key {
    section(
        "corveil",
        "Settings of the app",
        vec![
            text("environment", "production", "Name of the environment that the app runs in")
                .sets(&["ENVIRONMENT"]),
            value("logLevel", OneOf(&["DEBUG", "INFO", "WARNING", "ERROR"]), "INFO", "Log level of the app")
                .sets(&["LOG_LEVEL"]),
            text(
                "secretKey",
                "",
                "Key with which the app signs tokens; required unless `existingSecret` is set",
            )
            .sets(&["SECRET_KEY"]),
            text("uiSessionSecret", "", "Key with which the app signs sessions of the UI")
                .sets(&["UI_SESSION_SECRET"]),
            text("apiKeyPrefix", "sk-citadel", "Prefix of the API keys that the app issues")
                .sets(&["API_KEY_PREFIX"]),
            flag("autoProvisionUsers", true, "Create an unknown user at the user's first request")
                .sets(&["AUTO_PROVISION_USERS"]),
            flag("devLoginEnabled", false, "Allow login without a password, for development only")
                .sets(&["DEV_LOGIN_ENABLED"]),
            section(
                "guardrails",
                "Guardrails, which check the content of requests",
                vec![
                    flag("enabled", true, "Check the content of requests with guardrails")
                        .sets(&["GUARDRAILS_ENABLED"]),
                    flag(
                        "openaiModeration",
                        true,
                        "Check the content of requests with OpenAI's moderation API",
                    )
                    .sets(&["GUARDRAIL_OPENAI_MODERATION"]),
                    flag("piiFilter", false, "Detect personal data in requests")
                        .sets(&["GUARDRAIL_PII_FILTER"]),
                ],
            ),
            section(
                "passthrough",
                "Passthrough requests, which the app forwards unchanged",
                vec![
                    flag("enabled", true, "Allow passthrough requests, which the app forwards unchanged")
                        .sets(&["PASSTHROUGH_ENABLED"]),
                ],
            ),
            section(
                "plugins",
                "Plugins of the app",
                vec![flag("enabled", true, "Load the app's plugins").sets(&["PLUGINS_ENABLED"])],
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
                "Enable login with Okta; if false, the other keys of `corveil.okta` have no effect",
            ),
            text("domain", "", "Domain of the Okta organization").sets(&["OKTA_DOMAIN"]),
            text("clientId", "", "Client ID of the OAuth application at Okta").sets(&["OKTA_CLIENT_ID"]),
            text("clientSecret", "", "Client secret of the OAuth application at Okta")
                .sets(&["OKTA_CLIENT_SECRET"]),
            text(
                "sessionSecret",
                "",
                "Key with which the app signs sessions of the UI if `corveil.uiSessionSecret` is empty",
            )
            .sets(&["UI_SESSION_SECRET"]),
            integer("sessionExpiryHours", 1, 24, "Lifetime of a UI session in hours, for login with Okta")
                .sets(&["UI_SESSION_EXPIRY_HOURS"]),
            text("baseUrl", "", "URL at which users open the UI, for login with Okta").sets(&["UI_BASE_URL"]),
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
                    text("siteUrl", "", "URL of your site, as OpenRouter shows it")
                        .sets(&["OPENROUTER_SITE_URL"]),
                    text("appName", "", "Name of your app, as OpenRouter shows it")
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
                    text("projectId", "", "Google Cloud project for Vertex AI").sets(&["GCP_PROJECT_ID"]),
                    text("location", "us-central1", "Google Cloud location for Vertex AI")
                        .sets(&["GCP_LOCATION"]),
                    text(
                        "credentialsJson",
                        "",
                        "Key of a Google Cloud service account for Vertex AI, as JSON",
                    )
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
                        "Enable AWS Bedrock; if false, the other keys of `providers.bedrock` have no effect",
                    ),
                    text("region", "us-east-1", "AWS region for Bedrock").sets(&["AWS_REGION"]),
                    text("accessKeyId", "", "AWS access key ID for Bedrock").sets(&["AWS_ACCESS_KEY_ID"]),
                    text("secretAccessKey", "", "AWS secret access key for Bedrock")
                        .sets(&["AWS_SECRET_ACCESS_KEY"]),
                    flag(
                        "useTaskRole",
                        false,
                        "Use the pod's IAM role for AWS Bedrock instead of an access key",
                    )
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
            "Additional objects of the release, as YAML or as text; templates are evaluated",
        ),
        env_list(
            "extraEnv",
            "Additional environment variables for the app and `wait-for-db`, as in a container's `env`",
        ),
        list_of(
            "extraEnvFrom",
            Part::EnvFrom,
            "Secrets and ConfigMaps with additional environment variables for the app and `wait-for-db`, as \
             in a container's `envFrom`; variables that the chart sets take precedence",
        ),
        objects(
            "extraInitContainers",
            "Init containers that the app's pods and the pod of `helm test` start before `wait-for-db`; one \
             with `restartPolicy: Always` is a sidecar, such as a proxy to the database, which the \
             migration Job needs in `migrate.extraInitContainers`",
        ),
        objects("extraContainers", "Additional containers of the app's pods"),
        list_of("extraVolumes", Part::Volumes, "Additional volumes of the app's pods"),
        list_of(
            "extraVolumeMounts",
            Part::VolumeMounts,
            "Additional volume mounts of the app's container and `wait-for-db`",
        ),
        labels("podLabels", "Additional labels of the app's pods"),
        annotations("podAnnotations", "Additional annotations of the app's pods"),
    ]
}

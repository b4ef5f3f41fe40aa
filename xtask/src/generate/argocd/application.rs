//! Argo CD's own objects, as much of them as we write. <https://argo-cd.readthedocs.io/en/stable/operator-manual/application.yaml>

use serde::Serialize;
use serde_json::{Value, json};

use crate::project::objects::merge;
use crate::project::released;

/// The environments of the `ApplicationSet`, those of `helmfile.yaml`.
const ENVIRONMENTS: [&str; 3] = ["default", "staging", "production"];

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Object<S> {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: S,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    finalizers: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Application {
    project: String,
    source: Source,
    destination: Destination,
    sync_policy: SyncPolicy,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    #[serde(rename = "repoURL")]
    repo_url: String,
    target_revision: String,
    path: String,
    helm: Helm,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Helm {
    release_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    values_object: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Destination {
    server: String,
    namespace: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SyncPolicy {
    automated: Automated,
    retry: Retry,
    sync_options: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Automated {
    prune: bool,
    self_heal: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Retry {
    limit: i64,
    refresh: bool,
    backoff: Backoff,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Backoff {
    duration: String,
    factor: i64,
    max_duration: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationSet {
    go_template: bool,
    go_template_options: Vec<String>,
    generators: Vec<Generator>,
    template: Template,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Generator {
    list: List,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    elements: Vec<Value>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Template {
    metadata: Metadata,
    spec: Application,
}

/// One environment, with an external database.
pub(super) fn application() -> Object<Application> {
    object("Application", spec("corveil", Some(external()), None))
}

/// The three environments: the first brings its own database, the others use an external one.
pub(super) fn application_set() -> Object<ApplicationSet> {
    let elements = ENVIRONMENTS
        .into_iter()
        .map(|environment| {
            let values = if environment == ENVIRONMENTS[0] { bundled() } else { external() };
            json!({"environment": environment, "values": values})
        })
        .collect();
    // A field of text takes a whole object only as text, and JSON is YAML.
    let values = Some("{{ toJson .values }}".to_owned());
    let set = ApplicationSet {
        go_template: true,
        go_template_options: vec!["missingkey=error".into()],
        generators: vec![Generator { list: List { elements } }],
        template: Template {
            metadata: metadata("corveil-{{ .environment }}"),
            spec: spec("corveil-{{ .environment }}", None, values),
        },
    };
    let mut set = object("ApplicationSet", set);
    set.metadata.finalizers.clear();
    set
}

fn object<S>(kind: &str, spec: S) -> Object<S> {
    Object {
        api_version: "argoproj.io/v1alpha1".into(),
        kind: kind.into(),
        metadata: Metadata { namespace: Some("argocd".into()), ..metadata("corveil") },
        spec,
    }
}

fn metadata(name: &str) -> Metadata {
    Metadata {
        name: name.into(),
        namespace: None,
        // Deleting the application deletes what it applied.
        finalizers: vec!["resources-finalizer.argocd.argoproj.io".into()],
    }
}

fn spec(namespace: &str, values_object: Option<Value>, values: Option<String>) -> Application {
    Application {
        project: "default".into(),
        source: Source {
            repo_url: env!("CARGO_PKG_REPOSITORY").into(),
            target_revision: format!("v{}", released::version()),
            path: "chart".into(),
            helm: Helm { release_name: "corveil".into(), values_object, values },
        },
        destination: Destination {
            server: "https://kubernetes.default.svc".into(),
            namespace: namespace.into(),
        },
        sync_policy: SyncPolicy {
            automated: Automated { prune: true, self_heal: true },
            // With `refresh` a retry takes the newest commit; without it a fix waits until the broken one was retried to the
            // end. Nothing ends a pause before its time, so none is longer than a fix should wait. What passes by itself, such
            // as a database that is away, the Job waits for: a retry is the last resort, and each runs a broken migration
            // once more.
            retry: Retry {
                limit: 3,
                refresh: true,
                backoff: Backoff { duration: "5s".into(), factor: 2, max_duration: "10s".into() },
            },
            sync_options: vec!["CreateNamespace=true".into()],
        },
    }
}

fn external() -> Value {
    with_image(json!({
        "existingSecret": "corveil",
        "migrate": {"database": {"existingSecret": "corveil-migrate"}},
        "postgresql": {"enabled": false},
    }))
}

fn bundled() -> Value {
    with_image(json!({
        "existingSecret": "corveil",
        "postgresql": {"enabled": true},
    }))
}

/// The digest is the chart's own. Here too it says to whoever reads the manifest which image runs.
fn with_image(values: Value) -> Value {
    let digest = &released::current().digest;
    if digest.is_empty() { values } else { merge(values, json!({"image": {"digest": digest}})) }
}

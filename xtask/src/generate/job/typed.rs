//! The migration Job as Kubernetes' own types: what every rendering of the chart, and `argocd/migrate/`, has to be.

use std::collections::BTreeMap;

use crate::gate::bounds::Bounds;
use crate::gate::failure::{self, On};
use crate::gate::{self, Annotations};
use crate::project::released;
use corveil::{DEFAULT_RETRIES, env};
use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, EnvVar, EnvVarSource, PodSecurityContext, PodSpec, PodTemplateSpec,
    ResourceRequirements, SeccompProfile, SecretKeySelector, SecurityContext,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The container's name.
const CONTAINER: &str = "migrate";
/// Labels, and annotations of a pod, in no order that matters.
pub type Strings = BTreeMap<String, String>;

/// What differs between two Jobs of the same kind.
#[derive(Debug, Clone)]
pub struct Setting {
    pub image: String,
    /// The Secret with `DATABASE_URL`.
    pub secret: String,
    /// The Secret of the role that migrates, and the key in it.
    pub ddl: Option<(String, String)>,
    pub service_account: Option<String>,
    /// What it adopts: the former tool or `auto`, and the version where one is given.
    pub adopt: Option<(String, Option<String>)>,
    /// Which history is meant: variables and their values.
    pub history: Vec<(&'static str, String)>,
    /// Labels that every object of the migration has, its pods too.
    pub labels: Strings,
    /// The same of the user's, who may give any: nothing is selected by them.
    pub more_labels: Strings,
    /// Annotations of the user's for the Job itself.
    pub annotations: Strings,
    pub bounds: Bounds,
}

impl Setting {
    /// The image of this checkout, the chart's bounds, and nothing that is optional.
    pub fn new(secret: &str, labels: Strings) -> Self {
        Self {
            image: released::current().image(released::version()),
            secret: secret.to_owned(),
            ddl: None,
            service_account: None,
            adopt: None,
            history: Vec::new(),
            labels,
            more_labels: Strings::new(),
            annotations: Strings::new(),
            bounds: Bounds::DEFAULT,
        }
    }
}

/// The Job. `object_labels` are those that its pods do not have.
pub fn job(
    which: gate::Job,
    name: &str,
    object_labels: &Strings,
    annotations: Annotations,
    setting: &Setting,
) -> Job {
    let mut metadata = metadata(name, object_labels, annotations, setting);
    if !setting.annotations.is_empty() {
        metadata.annotations.get_or_insert_default().extend(setting.annotations.clone());
    }
    Job { metadata, spec: Some(spec(which, setting)), status: None }
}

/// One rule of the Job's `podFailurePolicy`.
pub fn rule(rule: &failure::Rule) -> PodFailurePolicyRule {
    let (codes, conditions) = match &rule.on {
        On::Codes(codes) => {
            let requirement = PodFailurePolicyOnExitCodesRequirement {
                container_name: Some(CONTAINER.into()),
                operator: "In".into(),
                values: codes.iter().copied().map(i32::from).collect(),
            };
            (Some(requirement), None)
        }
        On::Disruption => {
            let condition = PodFailurePolicyOnPodConditionsPattern {
                type_: "DisruptionTarget".into(),
                status: "True".into(),
            };
            (None, Some(vec![condition]))
        }
    };
    PodFailurePolicyRule {
        action: rule.action.name().into(),
        on_exit_codes: codes,
        on_pod_conditions: conditions,
    }
}

/// A sidecar would keep the Job's pod running after the migration has ended.
fn mesh_labels() -> Strings {
    strings(&[("sidecar.istio.io/inject", "false")])
}

/// The same for meshes that read annotations.
fn mesh_annotations() -> Strings {
    strings(&[("linkerd.io/inject", "disabled"), ("sidecar.istio.io/inject", "false")])
}

pub fn strings(pairs: &[(&str, &str)]) -> Strings {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// What every object of the migration has.
pub fn metadata(
    name: &str,
    object_labels: &Strings,
    annotations: Annotations,
    setting: &Setting,
) -> ObjectMeta {
    let annotations: Strings = annotations.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let labels: Strings =
        [&setting.labels, &setting.more_labels, object_labels].into_iter().flatten().map(owned).collect();
    ObjectMeta {
        name: Some(name.to_owned()),
        annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
        labels: Some(labels).filter(|labels| !labels.is_empty()),
        ..ObjectMeta::default()
    }
}

fn spec(which: gate::Job, setting: &Setting) -> JobSpec {
    let deadline = which.has_deadline().then_some(setting.bounds.active_deadline);
    JobSpec {
        active_deadline_seconds: deadline.and_then(|deadline| deadline.as_secs().try_into().ok()),
        backoff_limit: Some(1),
        pod_failure_policy: Some(PodFailurePolicy {
            rules: failure::rules(which).iter().map(rule).collect(),
        }),
        template: PodTemplateSpec {
            metadata: Some(ObjectMeta {
                annotations: Some(mesh_annotations()),
                labels: Some(pod_labels(setting)),
                ..ObjectMeta::default()
            }),
            spec: Some(PodSpec {
                automount_service_account_token: Some(false),
                containers: vec![container(which, setting)],
                // A Service of the same name would set `CORVEIL_…` variables of its own.
                enable_service_links: Some(false),
                restart_policy: Some("Never".into()),
                security_context: Some(PodSecurityContext {
                    // So that the process can read mounted keys whose mode is 0400, as libpq wants them.
                    fs_group: Some(1000),
                    run_as_group: Some(1000),
                    run_as_non_root: Some(true),
                    run_as_user: Some(1000),
                    seccomp_profile: Some(SeccompProfile {
                        type_: "RuntimeDefault".into(),
                        localhost_profile: None,
                    }),
                    ..PodSecurityContext::default()
                }),
                service_account_name: setting.service_account.clone(),
                ..PodSpec::default()
            }),
        },
        ..JobSpec::default()
    }
}

fn pod_labels(setting: &Setting) -> Strings {
    let given = [&setting.labels, &setting.more_labels].into_iter().flatten().map(owned);
    given.chain(mesh_labels()).collect()
}

fn owned((key, value): (&String, &String)) -> (String, String) {
    (key.clone(), value.clone())
}

fn container(which: gate::Job, setting: &Setting) -> Container {
    let quantities = |cpu: &str, memory: &str| {
        [("cpu", cpu), ("memory", memory)].map(|(k, v)| (k.into(), Quantity(v.into())))
    };
    Container {
        name: CONTAINER.into(),
        image: Some(setting.image.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(vec!["corveil".into(), "migrate".into()]),
        env: Some(variables(which, setting)),
        resources: Some(ResourceRequirements {
            limits: Some(quantities("500m", "128Mi").into()),
            requests: Some(quantities("50m", "32Mi").into()),
            claims: None,
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { add: None, drop: Some(vec!["ALL".into()]) }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        // The last lines of the log, for a pod that could not write a message of its own.
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        ..Container::default()
    }
}

fn variables(which: gate::Job, setting: &Setting) -> Vec<EnvVar> {
    let secret = |variable: &str, name: &str, key: &str| EnvVar {
        name: variable.into(),
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector { name: name.into(), key: key.into(), optional: None }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    };
    let plain =
        |name: &str, value: String| EnvVar { name: name.into(), value: Some(value), ..EnvVar::default() };
    let seconds = |duration: std::time::Duration| format!("{}s", duration.as_secs());
    let bounds = &setting.bounds;
    let mut variables = vec![secret(env::DATABASE_URL, &setting.secret, env::DATABASE_URL)];
    variables.extend(setting.ddl.as_ref().map(|(name, key)| secret(env::MIGRATE_DATABASE_URL, name, key)));
    variables.extend([
        plain(env::WAIT_FOR_DB, seconds(bounds.wait_for_db)),
        plain(env::LOCK_WAIT, seconds(bounds.lock_wait)),
        plain(env::LOCK_TIMEOUT, "2s".into()),
        plain(env::STATEMENT_TIMEOUT, "none".into()),
        plain(env::RETRIES, DEFAULT_RETRIES.to_string()),
        plain(env::OUT_OF_ORDER, "fail".into()),
        plain(env::DETAIL, "off".into()),
    ]);
    if which.has_deadline() {
        variables.push(plain(env::DEADLINE, seconds(bounds.deadline())));
    }
    if let Some((from, to)) = &setting.adopt {
        variables.push(plain(env::ADOPT, from.clone()));
        variables.extend(to.as_ref().map(|to| plain(env::ADOPT_TO, to.clone())));
    }
    variables.extend(setting.history.iter().map(|(name, value)| plain(name, value.clone())));
    variables
}

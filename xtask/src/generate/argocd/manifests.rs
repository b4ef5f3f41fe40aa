//! `argocd/migrate/`: the Job without the chart, as a kustomize base and two variants of it.

use crate::gate::{self, Annotations, Phase, Step};
use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::file;
use crate::generate::Files;
use crate::generate::job::typed::{self, Setting, Strings, strings};

/// The base's name.
const NAME: &str = "corveil-migrate";

pub(super) fn files() -> Result<Files> {
    Ok(vec![
        file("migrate/base/job.yaml", &job())?,
        file("migrate/base/kustomization.yaml", &Kustomization::of("job.yaml"))?,
        file("migrate/presync/hook.yaml", &patch(hook()))?,
        file("migrate/presync/kustomization.yaml", &Kustomization::variant("hook.yaml", None))?,
        file("migrate/wave/wave.yaml", &patch(gate::wave(Step::Job)))?,
        file("migrate/wave/kustomization.yaml", &Kustomization::variant("wave.yaml", Some("-wave")))?,
    ])
}

/// The Job that a variant makes a gate: by itself it is no hook, and could not be applied twice.
pub fn job() -> k8s_openapi::api::batch::v1::Job {
    let labels = strings(&[
        ("app.kubernetes.io/component", "migrate"),
        ("app.kubernetes.io/instance", "corveil"),
        ("app.kubernetes.io/name", NAME),
    ]);
    let setting = Setting::new("corveil", labels);
    typed::job(gate::Job::Hook, NAME, &Strings::new(), Annotations::new(), &setting)
}

/// Argo CD's alone: Helm does not see these. A Job that succeeded goes, a failed one stays, as from the chart.
pub fn hook() -> Annotations {
    vec![
        (gate::ARGOCD_HOOK, Phase::PreSync.name().to_owned()),
        (gate::ARGOCD_WAVE, Step::Job.wave().to_string()),
        (gate::ARGOCD_DELETE, "BeforeHookCreation,HookSucceeded".to_owned()),
    ]
}

fn patch(annotations: Annotations) -> serde_json::Value {
    let annotations: Strings = annotations.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": NAME, "annotations": annotations},
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Kustomization {
    api_version: &'static str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_suffix: Option<&'static str>,
    resources: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    patches: Vec<serde_json::Value>,
}

impl Kustomization {
    fn of(resource: &'static str) -> Self {
        Self {
            api_version: "kustomize.config.k8s.io/v1beta1",
            kind: "Kustomization",
            name_suffix: None,
            resources: vec![resource],
            patches: Vec::new(),
        }
    }

    /// The fixed name of a wave's Job differs from the hook's, so that one can follow the other.
    fn variant(patch: &str, name_suffix: Option<&'static str>) -> Self {
        Self { name_suffix, patches: vec![json!({"path": patch})], ..Self::of("../base") }
    }
}

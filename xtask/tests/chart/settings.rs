//! Keys of 1.0.0 set what they set there, and a file that has them all still works.

use serde_yaml::Value as Yaml;
use xshell::cmd;

use super::*;
use xtask::generate::values::{self, Key, Kind};
use xtask::project::released;

/// What is new in 2.0.0, or comes from the former subcharts.
const NEW: &[&str] = &[
    "automountServiceAccountToken",
    "commonLabels",
    "deploymentAnnotations",
    "extraObjects",
    "httpRoute.",
    "service.annotations",
    "service.externalTrafficPolicy",
    "service.ipFamil",
    "service.loadBalancer",
    "service.nodePort",
    "serviceMonitor.",
    "dnsConfig",
    "dnsPolicy",
    "enabled",
    "extraContainers",
    "extraEnvFrom",
    "extraInitContainers",
    "hostAliases",
    "lifecycle",
    "livenessProbe.",
    "minReadySeconds",
    "priorityClassName",
    "readinessProbe.",
    "revisionHistoryLimit",
    "startupProbe.",
    "strategy.",
    "terminationGracePeriodSeconds",
    "topologySpreadConstraints",
    "history.",
    "migrate.",
    "wait.",
    "image.digest",
    "global",
    "postgresql.auth.existingSecret",
    "postgresql.auth.secretKeys.",
    "postgresql.image.",
    "postgresql.primary.",
    "redis.image.",
    "redis.master.",
];

#[test]
fn every_key_of_1_0_0_sets_what_it_did() {
    let file =
        std::fs::read_to_string(xtask::project::root().join("chart/ci/chart-1.0.0-values.yaml")).unwrap();
    let file: Yaml = serde_yaml::from_str(&file).unwrap();
    check(&values::keys(), &file, "");
}

fn check(keys: &[Key], given: &Yaml, parent: &str) {
    for key in keys {
        let path = format!("{parent}{}", key.name);
        if matches!(key.kind, Kind::Removed) || NEW.iter().any(|new| path.starts_with(new)) {
            continue;
        }
        let given = given.get(key.name);
        if let Kind::Section(keys, _) = &key.kind {
            check(keys, given.unwrap_or(&Yaml::Null), &format!("{path}."));
            continue;
        }
        let given = given.unwrap_or_else(|| panic!("chart/ci/chart-1.0.0-values.yaml does not set `{path}`"));
        if let Kind::Value(_, default) = &key.kind {
            let is_set = given != default || SAME.contains(&&*path);
            assert!(
                is_set,
                "chart/ci/chart-1.0.0-values.yaml has `{path}` at its default, which proves nothing"
            );
        }
        for name in key.env {
            assert_eq!(
                env(rendering("chart-1.0.0"), name).as_deref(),
                Some(&*plain(given)),
                "`{path}`: `{name}`"
            );
        }
    }
}

/// Keys that would turn others off: other files set them.
const SAME: &[&str] = &["existingSecret", "redis.enabled", "serviceAccount.create"];

fn plain(value: &Yaml) -> String {
    value.as_str().map_or_else(|| serde_yaml::to_string(value).unwrap().trim().to_owned(), str::to_owned)
}

/// What the app finds in its environment, from `ConfigMap` or Secret.
fn env(rendering: &Rendering, name: &str) -> Option<String> {
    let plain = rendering.get("ConfigMap", "prod-env")["data"][name].as_str();
    plain.map(str::to_owned).or_else(|| {
        let found = rendering.get("Secret", "prod-secrets")["data"].get(name)?;
        Some(decode(found.as_str()?))
    })
}

/// A key of the release's Secret, in clear.
pub(super) fn secret(rendering: &Rendering, name: &str) -> String {
    decode(rendering.get("Secret", "prod-secrets")["data"][name].as_str().unwrap())
}

/// An object as text, what a Secret holds in clear.
pub(super) fn in_clear(object: &Value) -> String {
    let data = object["data"].as_object().filter(|_| object["kind"] == "Secret");
    let values = data.into_iter().flat_map(|data| data.values()).filter_map(Value::as_str);
    values.fold(object.to_string(), |text, value| format!("{text}\n{}", decode(value)))
}

/// Base64 without another dependency.
fn decode(text: &str) -> String {
    let sh = shell();
    cmd!(sh, "base64 --decode").stdin(text).quiet().read().unwrap()
}

#[test]
fn what_is_always_set_is_set() {
    let data = &rendering("default").get("ConfigMap", "prod-env")["data"];
    assert_eq!(data["MODELS_CONFIG_PATH"], "/app/config/models.yaml");
    assert_eq!(data["MODEL_CURATION_ENABLED"], "true");
    let keys = rendering("default").get("Secret", "prod-secrets")["data"].as_object().unwrap();
    assert_eq!(keys.keys().collect::<Vec<_>>(), ["DATABASE_URL", "SECRET_KEY"]);
}

/// As in 1.0.0, which knew no condition.
#[test]
fn the_location_of_vertex_ai_is_set_without_a_project() {
    let data = &rendering("default").get("ConfigMap", "prod-env")["data"];
    assert_eq!((&data["GCP_LOCATION"], data.get("GCP_PROJECT_ID")), (&"us-central1".into(), None));
}

#[test]
fn the_bundled_redis_is_found() {
    assert_eq!(secret(rendering("chart-1.0.0-bundled"), "REDIS_URL"), "redis://prod-redis-master:6379");
}

#[test]
fn an_existing_secret_is_read_and_none_is_rendered() {
    let rendering = rendering("existing-secret");
    assert!(rendering.of("Secret").next().is_none());
    let deployment = rendering.get("Deployment", "corveil");
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["envFrom"][1]["secretRef"]["name"], "corveil");
    let variables = pod["initContainers"][0]["env"].as_array().unwrap();
    let url = variables.iter().find(|variable| variable["name"] == "DATABASE_URL").unwrap();
    assert_eq!(url["valueFrom"]["secretKeyRef"]["name"], "corveil");
}

#[test]
fn a_digest_wins_over_a_tag() {
    let image = |case: &str| {
        rendering(case).get("Deployment", "corveil")["spec"]["template"]["spec"]["containers"][0]["image"]
            .clone()
    };
    assert_eq!(image("default"), released::current().image(released::version()));
    assert_eq!(image("everything"), "registry.example/corveil:2.0.1");
    assert!(
        image("existing-secret")
            .as_str()
            .unwrap()
            .starts_with(&format!("{}@sha256:", released::current().repository()))
    );
}

//! Names, labels and selectors: those of chart 1.0.0, so that an upgrade changes objects in place.

use std::collections::BTreeSet;

use super::*;

/// What a rendering consists of, apart from the migration.
fn names(case: &str) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pairs = rendering(case).objects.iter().map(|o| (text(&o["kind"]), text(&o["metadata"]["name"])));
    pairs.filter(|(_, name)| !name.contains("-migrate") && !name.ends_with("-test")).collect()
}

#[track_caller]
fn assert_names(case: &str, expected: &[(&str, &str)]) {
    let expected = expected.iter().map(|(kind, name)| ((*kind).to_owned(), (*name).to_owned())).collect();
    assert_eq!(names(case), expected);
}

#[test]
fn the_smallest_release_has_the_objects_of_1_0_0() {
    assert_names(
        "existing-secret",
        &[
            ("ConfigMap", "prod-env"),
            ("ConfigMap", "prod-models"),
            ("Deployment", "corveil"),
            ("Service", "corveil"),
            ("ServiceAccount", "corveil"),
        ],
    );
}

#[test]
fn the_default_release_has_the_objects_of_1_0_0() {
    assert_names(
        "default",
        &[
            ("ConfigMap", "prod-env"),
            ("ConfigMap", "prod-models"),
            ("ConfigMap", "prod-postgresql"),
            ("Deployment", "corveil"),
            ("Secret", "prod-postgresql"),
            ("Secret", "prod-secrets"),
            ("Service", "corveil"),
            ("Service", "prod-postgresql"),
            ("Service", "prod-postgresql-hl"),
            ("ServiceAccount", "corveil"),
            ("StatefulSet", "prod-postgresql"),
        ],
    );
}

#[test]
fn everything_has_the_names_of_1_0_0() {
    assert_names(
        "everything",
        &[
            ("ConfigMap", "prod-env"),
            ("ConfigMap", "prod-models"),
            // The two of `extraObjects`.
            ("ConfigMap", "prod-more"),
            ("ConfigMap", "corveil-text"),
            ("ConfigMap", "prod-postgresql"),
            ("Deployment", "corveil"),
            ("Deployment", "prod-redis-master"),
            ("HTTPRoute", "corveil"),
            ("HorizontalPodAutoscaler", "corveil"),
            ("Ingress", "corveil"),
            ("NetworkPolicy", "corveil"),
            ("NetworkPolicy", "prod-postgresql"),
            ("NetworkPolicy", "prod-redis-master"),
            ("PeerAuthentication", "corveil"),
            ("PodDisruptionBudget", "corveil"),
            ("Secret", "prod-postgresql"),
            ("Secret", "prod-secrets"),
            ("Service", "corveil"),
            ("Service", "prod-postgresql"),
            ("Service", "prod-postgresql-hl"),
            ("Service", "prod-redis-master"),
            ("ServiceAccount", "corveil"),
            // The hook's, of `migrate.createServiceAccount`.
            ("ServiceAccount", "migrations"),
            ("ServiceMonitor", "corveil"),
            ("StatefulSet", "prod-postgresql"),
            ("VirtualService", "corveil"),
        ],
    );
}

#[test]
fn names_follow_the_keys_of_1_0_0() {
    let rendering = rendering("chart-1.0.0");
    for kind in ["Deployment", "Service", "Ingress", "HorizontalPodAutoscaler", "PodDisruptionBudget"] {
        rendering.get(kind, "llm-gateway");
    }
    rendering.get("ServiceAccount", "gateway");
    rendering.get("Secret", "prod-secrets");
    let labels = &rendering.get("Deployment", "llm-gateway")["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels["app.kubernetes.io/name"], "gateway");
}

#[test]
fn selectors_are_those_of_1_0_0() {
    let ours = serde_json::json!({
        "app.kubernetes.io/name": "corveil-chart",
        "app.kubernetes.io/instance": "prod",
    });
    let deployment = rendering("default").get("Deployment", "corveil");
    assert_eq!(deployment["spec"]["selector"]["matchLabels"], ours);
    assert_eq!(deployment["spec"]["template"]["metadata"]["labels"], ours);
    assert_eq!(rendering("default").get("Service", "corveil")["spec"]["selector"], ours);
    let containers = &deployment["spec"]["template"]["spec"];
    assert_eq!(containers["containers"][0]["name"], "corveil-chart");
    assert_eq!(containers["containers"][0]["ports"][0]["name"], "http");
    assert_eq!(containers["initContainers"][0]["name"], "wait-for-db");
}

/// A migration that a Service sends requests to would answer none of them.
#[test]
fn selectors_of_the_app_match_its_own_pods_alone() {
    for rendering in renderings() {
        for selecting in rendering.objects.iter().filter(|object| is_apps(object)) {
            let Some(selector) = selector(selecting) else { continue };
            for object in &rendering.objects {
                let Some(pod) = pod(object) else { continue };
                let is_app = object["kind"] == "Deployment" && is_apps(object);
                let matches = selector.iter().all(|(key, value)| &pod["metadata"]["labels"][key] == value);
                let names =
                    (&rendering.case, &selecting["kind"], &object["kind"], &object["metadata"]["name"]);
                assert_eq!(matches, is_app, "{names:?}");
            }
        }
    }
}

fn is_apps(object: &Value) -> bool {
    let name = &object["metadata"]["name"];
    name == "corveil" || name == "llm-gateway"
}

fn selector(object: &Value) -> Option<&serde_json::Map<String, Value>> {
    let spec = &object["spec"];
    match object["kind"].as_str()? {
        "Service" => spec["selector"].as_object(),
        "NetworkPolicy" => spec["podSelector"]["matchLabels"].as_object(),
        "Deployment" | "PodDisruptionBudget" | "PeerAuthentication" => {
            spec["selector"]["matchLabels"].as_object()
        }
        _ => None,
    }
}

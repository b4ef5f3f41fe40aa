//! Reads a rendered object as Kubernetes' own type and back: what does not survive that is no field of the type, as the
//! API server would drop it without a word.

use anyhow::{Context, Result, bail};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Fails on a field that the object's type does not have, or of another type.
pub(crate) fn check(object: &Value) -> Result<()> {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    match (text("apiVersion"), text("kind")) {
        ("apps/v1", "Deployment") => read::<Deployment>(object).map(drop),
        ("apps/v1", "StatefulSet") => read::<StatefulSet>(object).map(drop),
        ("autoscaling/v2", "HorizontalPodAutoscaler") => read::<HorizontalPodAutoscaler>(object).map(drop),
        ("batch/v1", "Job") => read::<Job>(object).map(drop),
        ("networking.k8s.io/v1", "Ingress") => read::<Ingress>(object).map(drop),
        ("networking.k8s.io/v1", "NetworkPolicy") => read::<NetworkPolicy>(object).map(drop),
        ("policy/v1", "PodDisruptionBudget") => read::<PodDisruptionBudget>(object).map(drop),
        ("v1", "ConfigMap") => read::<ConfigMap>(object).map(drop),
        ("v1", "Pod") => read::<Pod>(object).map(drop),
        ("v1", "Secret") => read::<Secret>(object).map(drop),
        ("v1", "Service") => read::<Service>(object).map(drop),
        ("v1", "ServiceAccount") => read::<ServiceAccount>(object).map(drop),
        (version, kind) => bail!("no type is known for {kind} of `{version}`: add it here"),
    }
}

/// The object, unless something of it is lost.
pub(crate) fn read<T: DeserializeOwned + Serialize>(object: &Value) -> Result<T> {
    let name = || format!("{} {}", object["kind"], object["metadata"]["name"]);
    let typed: T = serde_json::from_value(object.clone()).with_context(name)?;
    let back = serde_json::to_value(&typed)?;
    match lost(object, &back, "") {
        Some(path) => bail!("{}: `{path}` is no field of its type", name()),
        None => Ok(typed),
    }
}

/// The first path of the object whose value the other does not have.
pub(crate) fn lost(object: &Value, back: &Value, path: &str) -> Option<String> {
    match (object, back) {
        (Value::Object(object), Value::Object(back)) => object.iter().find_map(|(key, value)| {
            let path = format!("{path}.{key}");
            match back.get(key) {
                Some(back) => lost(value, back, &path),
                None => Some(path),
            }
        }),
        (Value::Array(object), Value::Array(back)) if object.len() == back.len() => (object.iter().zip(back))
            .enumerate()
            .find_map(|(n, (value, back))| lost(value, back, &format!("{path}[{n}]"))),
        _ => (object != back).then(|| path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_misspelt_field_fails() {
        let job =
            |spec| json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": spec});
        let pod = json!({"containers": [{"name": "c"}]});
        check(&job(json!({"template": {"spec": pod}}))).expect("every field is known");
        let error =
            check(&job(json!({"template": {"spec": pod}, "backofLimit": 1}))).expect_err("no such field");
        assert!(error.to_string().contains(".spec.backofLimit"), "{error}");
        check(&job(json!({"template": {"spec": pod}, "backoffLimit": "1"}))).expect_err("a number is wanted");
    }

    #[test]
    fn an_annotation_that_is_no_text_fails() {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"annotations": {"a": true}}});
        check(&map).expect_err("text is wanted");
    }
}

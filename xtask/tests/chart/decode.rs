//! Rendered objects, read strictly: a misspelt field or a value of another type is an error, as it is nowhere in Helm.

use anyhow::{Context, Result, bail};
use k8s_openapi::api::{apps, autoscaling, batch, core, networking, policy};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Fails unless Kubernetes, or Istio, would understand every field.
pub(crate) fn strictly(object: &Value) -> Result<()> {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let read = match (text("apiVersion"), text("kind")) {
        ("v1", "ConfigMap") => strict::<core::v1::ConfigMap>,
        ("v1", "Pod") => strict::<core::v1::Pod>,
        ("v1", "Secret") => strict::<core::v1::Secret>,
        ("v1", "Service") => strict::<core::v1::Service>,
        ("v1", "ServiceAccount") => strict::<core::v1::ServiceAccount>,
        ("apps/v1", "Deployment") => strict::<apps::v1::Deployment>,
        ("apps/v1", "StatefulSet") => strict::<apps::v1::StatefulSet>,
        ("autoscaling/v2", "HorizontalPodAutoscaler") => strict::<autoscaling::v2::HorizontalPodAutoscaler>,
        ("batch/v1", "Job") => strict::<batch::v1::Job>,
        ("networking.k8s.io/v1", "Ingress") => strict::<networking::v1::Ingress>,
        ("networking.k8s.io/v1", "NetworkPolicy") => strict::<networking::v1::NetworkPolicy>,
        ("policy/v1", "PodDisruptionBudget") => strict::<policy::v1::PodDisruptionBudget>,
        ("networking.istio.io/v1", "VirtualService") => strict::<Custom<VirtualService>>,
        ("security.istio.io/v1", "PeerAuthentication") => strict::<Custom<PeerAuthentication>>,
        ("gateway.networking.k8s.io/v1", "HTTPRoute") => strict::<Custom<HttpRoute>>,
        ("monitoring.coreos.com/v1", "ServiceMonitor") => strict::<Custom<ServiceMonitor>>,
        (version, kind) => bail!("`{kind}` of `{version}` is not known here: add it"),
    };
    read(object).with_context(|| format!("{} {}", text("kind"), object["metadata"]["name"]))
}

/// The types skip what they do not know. What is lost when an object is read and written again was unknown.
fn strict<T: DeserializeOwned + Serialize>(object: &Value) -> Result<()> {
    let read: T = serde_json::from_value(object.clone())?;
    let written = serde_json::to_value(read)?;
    match lost(object, &written, "") {
        Some(path) => bail!("no such field: `{path}`"),
        None => Ok(()),
    }
}

/// The first field of the one that is not the same in the other.
pub(crate) fn lost(object: &Value, written: &Value, path: &str) -> Option<String> {
    match (object, written) {
        (Value::Object(fields), Value::Object(known)) => fields.iter().find_map(|(name, value)| {
            let path = format!("{path}.{name}");
            known.get(name).map_or(Some(path.clone()), |known| lost(value, known, &path))
        }),
        (Value::Array(values), Value::Array(known)) if values.len() == known.len() => {
            let mut pairs = values.iter().zip(known).enumerate();
            pairs.find_map(|(at, (value, known))| lost(value, known, &format!("{path}[{at}]")))
        }
        (value, known) if value == known => None,
        _ => Some(path.to_owned()),
    }
}

/// An object of a custom kind, as far as the chart uses it.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Custom<S> {
    api_version: String,
    kind: String,
    metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
    spec: S,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct VirtualService {
    gateways: Vec<String>,
    hosts: Vec<String>,
    http: Vec<Http>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Http {
    route: Vec<Route>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Route {
    destination: Destination,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Destination {
    host: String,
    port: Port,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Port {
    number: u16,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct PeerAuthentication {
    selector: Selector,
    mtls: Mtls,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Selector {
    match_labels: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Mtls {
    mode: Mode,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Mode {
    Strict,
    Permissive,
    Disable,
    Unset,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HttpRoute {
    parent_refs: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostnames: Option<Vec<String>>,
    rules: Vec<HttpRule>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HttpRule {
    backend_refs: Vec<HttpBackend>,
    #[serde(skip_serializing_if = "Option::is_none")]
    matches: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filters: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeouts: Option<std::collections::BTreeMap<String, String>>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct HttpBackend {
    name: String,
    port: u16,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ServiceMonitor {
    selector: Selector,
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Endpoint {
    port: String,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scrape_timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    relabelings: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metric_relabelings: Option<Vec<Value>>,
}

#[test]
fn a_misspelt_field_is_found_wherever_it_is() {
    let service = |spec: Value| serde_json::json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": spec});
    assert!(strictly(&service(serde_json::json!({"ports": [{"port": 1}]}))).is_ok());
    let error = strictly(&service(serde_json::json!({"ports": [{"port": 1, "tragetPort": 2}]}))).unwrap_err();
    assert_eq!(error.root_cause().to_string(), "no such field: `.spec.ports[0].tragetPort`");
    assert!(strictly(&service(serde_json::json!({"ports": [{"port": "1"}]}))).is_err());
}

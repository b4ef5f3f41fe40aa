//! Rendered objects, read strictly: those of Kubernetes by `gate::strict`, those of Istio, which no crate describes, here.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::gate::strict;

/// Fails unless Kubernetes, or Istio, would understand every field.
pub(crate) fn strictly(object: &Value) -> Result<()> {
    match object["kind"].as_str() {
        Some("VirtualService") => strict::read::<Custom<VirtualService>>(object).map(drop),
        Some("PeerAuthentication") => strict::read::<Custom<PeerAuthentication>>(object).map(drop),
        _ => strict::check(object),
    }
}

/// An object of Istio's, as far as the chart uses it.
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

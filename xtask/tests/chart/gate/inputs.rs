//! What the migration Job needs, as Kubernetes' own types: its Secret, its `NetworkPolicy` and its `ServiceAccount`.

use corveil::env;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use xtask::gate::Annotations;
use xtask::generate::job::typed::{Setting, Strings, metadata};

/// The copy of `DATABASE_URL` that lives as long as the hook.
pub(crate) fn secret(
    name: &str,
    url: &str,
    object_labels: &Strings,
    annotations: Annotations,
    setting: &Setting,
) -> Secret {
    Secret {
        metadata: metadata(name, object_labels, annotations, setting),
        string_data: Some([(env::DATABASE_URL.into(), url.into())].into()),
        type_: Some("Opaque".into()),
        ..Secret::default()
    }
}

/// Lets the migration's pods ask for names and connect to PostgreSQL, and nothing connect to them.
pub(crate) fn network_policy(
    name: &str,
    object_labels: &Strings,
    annotations: Annotations,
    setting: &Setting,
) -> NetworkPolicy {
    let port = |protocol: &str, port| NetworkPolicyPort {
        port: Some(IntOrString::Int(port)),
        protocol: Some(protocol.into()),
        ..NetworkPolicyPort::default()
    };
    let to = |ports| NetworkPolicyEgressRule { ports: Some(ports), to: None };
    NetworkPolicy {
        metadata: metadata(name, object_labels, annotations, setting),
        spec: Some(NetworkPolicySpec {
            egress: Some(vec![to(vec![port("UDP", 53), port("TCP", 53)]), to(vec![port("TCP", 5432)])]),
            ingress: None,
            pod_selector: Some(LabelSelector {
                match_labels: Some(setting.labels.clone()),
                match_expressions: None,
            }),
            policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
        }),
    }
}

/// An account for one Job. No rights are bound to it: clouds give some to its name.
pub(crate) fn service_account(
    name: &str,
    given: &Strings,
    object_labels: &Strings,
    annotations: Annotations,
    setting: &Setting,
) -> ServiceAccount {
    let mut metadata = metadata(name, object_labels, annotations, setting);
    if !given.is_empty() {
        metadata.annotations.get_or_insert_default().extend(given.clone());
    }
    ServiceAccount { metadata, automount_service_account_token: Some(false), ..ServiceAccount::default() }
}

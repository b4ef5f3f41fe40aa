//! The keys and certificates of one node. Every node gets new ones.

use anyhow::{Context, Result};
use k8s_openapi::ByteString;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use serde_json::json;

use crate::cluster::local::files;
use crate::cluster::local::layout::{ADDRESS, API, API_SERVICE, Layout, NODE};

/// The clients of the API server that have a kubeconfig: its file, the user, the group. Kubernetes defines the permissions of
/// these groups.
const CLIENTS: [(&str, &str, &str); 5] = [
    ("admin", "corveil-admin", "system:masters"),
    ("kube-controller-manager", "system:kube-controller-manager", ""),
    ("kube-scheduler", "system:kube-scheduler", ""),
    ("kube-proxy", "system:kube-proxy", ""),
    ("kubelet", "system:node:node", "system:nodes"),
];

/// A key and its certificate, in PEM.
struct Identity {
    certificate: String,
    key: String,
}

/// Writes all of them. `port` is that of the API on this machine's loopback.
pub(crate) fn write(node: &Layout, port: u16) -> Result<()> {
    let (authority, certificate) = authority()?;
    files::write(&node.pki("ca.crt"), &certificate)?;
    // kube-controller-manager signs certificates that pods request.
    files::write_private(&node.pki("ca.key"), &authority.key().serialize_pem())?;
    let tokens = KeyPair::generate()?;
    files::write_private(&node.pki("sa.key"), &tokens.serialize_pem())?;
    files::write(&node.pki("sa.pub"), &tokens.public_key_pem())?;

    let names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"];
    let full = ["kubernetes.default.svc.cluster.local", "localhost", "127.0.0.1", ADDRESS, API_SERVICE];
    let names: Vec<_> = names.into_iter().chain(full).collect();
    for (file, name, names) in [
        ("kube-apiserver", "kube-apiserver", &names[..]),
        ("kubelet-server", "system:node:node", &[NODE, ADDRESS, "127.0.0.1"]),
    ] {
        save(node, file, &identity(&authority, name, "", names)?)?;
    }
    save(
        node,
        "kube-apiserver-kubelet",
        &identity(&authority, "kube-apiserver-kubelet", "system:masters", &[])?,
    )?;
    for (file, name, group) in CLIENTS {
        let identity = identity(&authority, name, group, &[])?;
        let config = kubeconfig(&certificate, &identity, API)?;
        files::write_private(&node.pki(&format!("{file}.kubeconfig")), &config)?;
        if file == "admin" {
            let config = kubeconfig(&certificate, &identity, &format!("https://127.0.0.1:{port}"))?;
            files::write_private(&node.kubeconfig(), &config)?;
        }
    }
    Ok(())
}

fn authority() -> Result<(Issuer<'static, KeyPair>, String)> {
    let mut params = CertificateParams::default();
    params.distinguished_name = name("corveil-node", "");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?.pem();
    Ok((Issuer::new(params, key), certificate))
}

/// Issues a certificate; a server has names and a client has none.
fn identity(
    authority: &Issuer<'_, KeyPair>,
    common_name: &str,
    group: &str,
    names: &[&str],
) -> Result<Identity> {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let usage = if names.is_empty() {
        ExtendedKeyUsagePurpose::ClientAuth
    } else {
        ExtendedKeyUsagePurpose::ServerAuth
    };
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = name(common_name, group);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?.pem();
    Ok(Identity { certificate, key: key.serialize_pem() })
}

/// Kubernetes reads the user from the common name, and groups from organizations.
fn name(common_name: &str, group: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if !group.is_empty() {
        name.push(DnType::OrganizationName, group);
    }
    name.push(DnType::CommonName, common_name);
    name
}

fn save(node: &Layout, file: &str, Identity { certificate, key }: &Identity) -> Result<()> {
    files::write(&node.pki(&format!("{file}.crt")), certificate)?;
    files::write_private(&node.pki(&format!("{file}.key")), key)
}

/// A kubeconfig with everything in one file, which can be moved.
fn kubeconfig(authority: &str, Identity { certificate, key }: &Identity, server: &str) -> Result<String> {
    let data = |pem: &str| ByteString(pem.as_bytes().to_vec());
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "corveil",
            "cluster": { "server": server, "certificate-authority-data": data(authority) },
        }],
        "users": [{
            "name": "corveil",
            "user": { "client-certificate-data": data(certificate), "client-key-data": data(key) },
        }],
        "contexts": [{ "name": "corveil", "context": { "cluster": "corveil", "user": "corveil" } }],
        "current-context": "corveil",
    });
    serde_yaml::to_string(&config).context("a kubeconfig is YAML")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_holds_certificates_as_kubernetes_reads_them() {
        let identity = Identity { certificate: "b".to_owned(), key: "c".to_owned() };
        let config = kubeconfig("a", &identity, "https://127.0.0.1:1").expect("a kubeconfig");
        let config: serde_json::Value = serde_yaml::from_str(&config).expect("YAML");
        assert_eq!(config["clusters"][0]["cluster"]["certificate-authority-data"], "YQ==");
        assert_eq!(config["users"][0]["user"]["client-key-data"], "Yw==");
        assert_eq!(config["clusters"][0]["cluster"]["server"], "https://127.0.0.1:1");
    }

    #[test]
    fn the_user_of_the_kubelet_is_the_node() {
        let (_, name, _) = CLIENTS[4];
        assert_eq!(name, format!("system:node:{NODE}"));
    }
}

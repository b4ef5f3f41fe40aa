//! The programs of a node, with their arguments.

use std::path::{Path, PathBuf};

use crate::cluster::local::layout::{ADDRESS, Layout, NODE, SERVICES};

pub(crate) struct Component {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
}

const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEERS: &str = "http://127.0.0.1:2380";

/// The components that hold the state and run the containers.
pub(crate) fn foundation(node: &Layout) -> Vec<Component> {
    vec![
        Component {
            name: "etcd",
            program: node.program("etcd"),
            arguments: vec![
                format!("--data-dir={}", node.data("etcd").display()),
                format!("--listen-client-urls={ETCD}"),
                format!("--advertise-client-urls={ETCD}"),
                format!("--listen-peer-urls={ETCD_PEERS}"),
                format!("--initial-advertise-peer-urls={ETCD_PEERS}"),
                format!("--initial-cluster=default={ETCD_PEERS}"),
                // The node's data need not survive a power failure: the node does not survive it either.
                "--unsafe-no-fsync".to_owned(),
                "--log-level=warn".to_owned(),
            ],
        },
        Component {
            name: "containerd",
            program: "containerd".into(),
            arguments: vec!["--config".to_owned(), text(&node.config("containerd.toml"))],
        },
        Component {
            name: "api-socket",
            program: "socat".into(),
            arguments: vec![
                format!("UNIX-LISTEN:{},fork,unlink-early,mode=600,backlog=128", node.api_socket().display()),
                "TCP:127.0.0.1:6443".to_owned(),
            ],
        },
        Component {
            name: "kube-apiserver",
            program: node.program("kube-apiserver"),
            arguments: vec![
                format!("--etcd-servers={ETCD}"),
                format!("--advertise-address={ADDRESS}"),
                format!("--service-cluster-ip-range={SERVICES}"),
                format!("--client-ca-file={}", node.pki("ca.crt").display()),
                format!("--tls-cert-file={}", node.pki("kube-apiserver.crt").display()),
                format!("--tls-private-key-file={}", node.pki("kube-apiserver.key").display()),
                format!("--kubelet-certificate-authority={}", node.pki("ca.crt").display()),
                format!("--kubelet-client-certificate={}", node.pki("kube-apiserver-kubelet.crt").display()),
                format!("--kubelet-client-key={}", node.pki("kube-apiserver-kubelet.key").display()),
                "--kubelet-preferred-address-types=InternalIP".to_owned(),
                "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
                format!("--service-account-key-file={}", node.pki("sa.pub").display()),
                format!("--service-account-signing-key-file={}", node.pki("sa.key").display()),
                "--authorization-mode=Node,RBAC".to_owned(),
                "--enable-admission-plugins=NodeRestriction".to_owned(),
                "--allow-privileged=true".to_owned(),
            ],
        },
    ]
}

/// The components that use the API, started once it answers.
pub(crate) fn workers(node: &Layout) -> Vec<Component> {
    vec![
        Component {
            name: "kube-controller-manager",
            program: node.program("kube-controller-manager"),
            arguments: by_api(
                node,
                "kube-controller-manager",
                [
                    "--use-service-account-credentials=true".to_owned(),
                    format!("--service-account-private-key-file={}", node.pki("sa.key").display()),
                    format!("--root-ca-file={}", node.pki("ca.crt").display()),
                    format!("--cluster-signing-cert-file={}", node.pki("ca.crt").display()),
                    format!("--cluster-signing-key-file={}", node.pki("ca.key").display()),
                ],
            ),
        },
        Component {
            name: "kube-scheduler",
            program: node.program("kube-scheduler"),
            arguments: by_api(node, "kube-scheduler", []),
        },
        Component {
            name: "kubelet",
            program: node.program("kubelet"),
            arguments: vec![
                format!("--config={}", node.config("kubelet.yaml").display()),
                format!("--kubeconfig={}", node.pki("kubelet.kubeconfig").display()),
                format!("--root-dir={}", node.data("kubelet").display()),
                format!("--hostname-override={NODE}"),
                format!("--node-ip={ADDRESS}"),
            ],
        },
        Component {
            name: "kube-proxy",
            program: node.program("kube-proxy"),
            arguments: vec![
                format!("--config={}", node.config("kube-proxy.yaml").display()),
                format!("--hostname-override={NODE}"),
            ],
        },
        Component {
            name: "coredns",
            program: node.program("coredns"),
            arguments: vec!["-conf".to_owned(), text(&node.config("Corefile"))],
        },
    ]
}

/// Arguments of components that would elect a leader, and that ask the API to authenticate their clients.
fn by_api<const N: usize>(node: &Layout, name: &str, more: [String; N]) -> Vec<String> {
    let kubeconfig = node.pki(&format!("{name}.kubeconfig"));
    let kubeconfig = kubeconfig.display();
    let common = [
        format!("--kubeconfig={kubeconfig}"),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--leader-elect=false".to_owned(),
        // Tests start and end many pods at once.
        "--kube-api-qps=200".to_owned(),
        "--kube-api-burst=400".to_owned(),
    ];
    common.into_iter().chain(more).collect()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

//! The programs of Argo CD, with their arguments and the probe that shows that each is ready.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;

use crate::argocd::NAMESPACE;
use crate::argocd::layout::Layout;

pub(crate) struct Component {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) probe: Probe,
}

/// What a component answers once it is ready.
#[derive(Clone, Copy)]
pub(crate) enum Probe {
    /// `+PONG` to `PING`.
    Redis(u16),
    /// Success to a `GET` of this path.
    Http(u16, &'static str),
}

/// The number of components.
pub(crate) const COUNT: usize = 5;

/// The components that start without the cluster.
pub(crate) fn by_themselves(state: &Layout) -> Result<Vec<Component>> {
    let ports = state.ports()?;
    Ok(vec![Component {
        name: "redis",
        program: "redis-server".into(),
        arguments: [
            ("--bind", "127.0.0.1".to_owned()),
            ("--port", ports.redis.to_string()),
            ("--dir", state.data("tmp").display().to_string()),
            // Redis is only a cache here, so it saves nothing.
            ("--save", String::new()),
            ("--appendonly", "no".to_owned()),
            // A process title would overwrite the environment variable by which `processes.rs` finds the process.
            ("--set-proc-title", "no".to_owned()),
        ]
        .into_iter()
        .flat_map(|(option, value)| [option.to_owned(), value])
        .collect(),
        probe: Probe::Redis(ports.redis),
    }])
}

/// The components that read their settings from the cluster.
pub(crate) fn by_api(state: &Layout) -> Result<Vec<Component>> {
    let ports = state.ports()?;
    let redis = format!("--redis=127.0.0.1:{}", ports.redis);
    let repo_server = format!("127.0.0.1:{}", ports.repo_server);
    let plaintext = || "--repo-server-plaintext".to_owned();
    let component =
        |name, arguments, probe| Component { name, program: state.program(name), arguments, probe };
    Ok(vec![
        component(
            "argocd-repo-server",
            vec![
                "--address=127.0.0.1".to_owned(),
                format!("--port={}", ports.repo_server),
                "--metrics-address=127.0.0.1".to_owned(),
                format!("--metrics-port={}", ports.repo_server_metrics),
                "--disable-tls".to_owned(),
                // By default it names a file, and then the server requires TLS.
                "--client-ca-path=".to_owned(),
                redis.clone(),
            ],
            Probe::Http(ports.repo_server_metrics, "/healthz?full=true"),
        ),
        component(
            "argocd-server",
            vec![
                "--address=127.0.0.1".to_owned(),
                format!("--port={}", ports.server),
                "--metrics-address=127.0.0.1".to_owned(),
                format!("--metrics-port={}", ports.server_metrics),
                format!("--repo-server={repo_server}"),
                plaintext(),
                redis.clone(),
                // It listens on loopback, for users who may read the kubeconfig anyway.
                "--disable-auth".to_owned(),
                "--insecure".to_owned(),
            ],
            Probe::Http(ports.server, "/healthz?full=true"),
        ),
        component(
            "argocd-application-controller",
            vec![
                format!("--metrics-port={}", ports.controller_metrics),
                format!("--repo-server={repo_server}"),
                plaintext(),
                redis,
            ],
            Probe::Http(ports.controller_metrics, "/healthz"),
        ),
        component(
            "argocd-applicationset-controller",
            vec![
                format!("--metrics-addr=127.0.0.1:{}", ports.applicationset_metrics),
                format!("--probe-addr=127.0.0.1:{}", ports.applicationset_probe),
                format!("--webhook-addr=127.0.0.1:{}", ports.applicationset_webhook),
                format!("--argocd-repo-server={repo_server}"),
                plaintext(),
                format!("--namespace={NAMESPACE}"),
                "--enable-progressive-syncs".to_owned(),
            ],
            // The probe address serves no path, so the metrics are read.
            Probe::Http(ports.applicationset_metrics, "/metrics"),
        ),
    ])
}

/// The whole environment of a component: the caller's settings of git, Helm and Argo CD do not reach it.
pub(crate) fn environment(state: &Layout) -> Vec<(&'static str, OsString)> {
    let mut path = state.program("").into_os_string();
    path.push(":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    vec![
        ("PATH", path),
        ("HOME", state.data("home").into()),
        ("TMPDIR", state.data("tmp").into()),
        ("KUBECONFIG", state.kubeconfig().into()),
        // `https://kubernetes.default.svc`, which is where Applications go, is the cluster of the kubeconfig.
        ("ARGOCD_FAKE_IN_CLUSTER", "true".into()),
        ("ARGOCD_GPG_ENABLED", "false".into()),
        ("ARGOCD_GNUPGHOME", state.data("gnupg").into()),
        ("ARGOCD_GPG_DATA_PATH", state.data("gpg").into()),
        ("ARGOCD_PLUGINSOCKFILEPATH", state.data("plugins").into()),
        ("ARGOCD_SSH_DATA_PATH", state.data("ssh").into()),
        ("ARGOCD_TLS_DATA_PATH", state.data("tls").into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = Layout { folder: folder.path().to_owned() };
        let ports = (0..9).map(|port| port.to_string()).collect::<Vec<_>>();
        let names = [
            "redis",
            "repo_server",
            "repo_server_metrics",
            "server",
            "server_metrics",
            "controller_metrics",
            "applicationset_metrics",
            "applicationset_probe",
            "applicationset_webhook",
        ];
        let pairs: Vec<_> =
            names.iter().zip(&ports).map(|(name, port)| format!("\"{name}\":{port}")).collect();
        std::fs::write(folder.path().join("ports.json"), format!("{{{}}}", pairs.join(","))).expect("a file");
        let by_themselves = by_themselves(&state).expect("ports").len();
        assert_eq!(by_themselves + by_api(&state).expect("ports").len(), COUNT);
    }
}

//! The folder in which Argo CD keeps its files and logs. It is removed when Argo CD stops.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use xshell::{Shell, cmd};

use crate::argocd::NAMESPACE;
use crate::cluster::Cluster;
use xtask::tools::{self, Tool};

pub(crate) struct Layout {
    pub(crate) folder: PathBuf,
}

/// The port of each component on 127.0.0.1, free when it was chosen.
#[derive(Serialize, Deserialize)]
pub(crate) struct Ports {
    pub(crate) redis: u16,
    pub(crate) repo_server: u16,
    pub(crate) repo_server_metrics: u16,
    pub(crate) server: u16,
    pub(crate) server_metrics: u16,
    pub(crate) controller_metrics: u16,
    pub(crate) applicationset_metrics: u16,
    pub(crate) applicationset_probe: u16,
    pub(crate) applicationset_webhook: u16,
}

/// Argo CD takes its role from the name that the program is called by.
const ROLES: [&str; 5] = [
    "argocd",
    "argocd-repo-server",
    "argocd-server",
    "argocd-application-controller",
    "argocd-applicationset-controller",
];

/// What the repo server calls to check signatures. Without them every sync fails with just "permission denied".
const WRAPPERS: [&str; 2] = ["git-verify-wrapper.sh", "gpg-wrapper.sh"];

/// Folders that components expect, even empty.
const DATA: [&str; 8] = ["cli", "gnupg", "gpg", "home", "plugins", "ssh", "tls", "tmp"];

impl Layout {
    pub(crate) fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.folder.join("data").join(name)
    }

    /// The cluster's kubeconfig, with Argo CD's namespace as the current one.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// A copy of the cluster's kubeconfig, by which `is_up` recognizes the cluster.
    pub(crate) fn source(&self) -> PathBuf {
        self.folder.join("kubeconfig.source")
    }

    /// Exists once every component has answered.
    pub(crate) fn ready(&self) -> PathBuf {
        self.folder.join("ready")
    }

    pub(crate) fn ports(&self) -> Result<Ports> {
        let path = self.folder.join("ports.json");
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Ok(serde_json::from_str(&text)?)
    }
}

/// Writes everything that the components read.
pub(crate) fn prepare(sh: &Shell, state: &Layout, cluster: &Cluster, sources: &Path) -> Result<()> {
    for folder in [state.logs(), state.program("")].into_iter().chain(DATA.map(|name| state.data(name))) {
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    }
    let argocd = tools::path(sh, Tool::Argocd)?;
    for role in ROLES {
        symlink(&argocd, state.program(role))?;
    }
    symlink(&cluster.kubectl, state.program("kubectl"))?;
    symlink(tools::path(sh, Tool::Helm4)?, state.program("helm"))?;
    symlink(tools::path(sh, Tool::Kustomize)?, state.program("kustomize"))?;
    for name in WRAPPERS {
        let wrapper = state.program(name);
        // Not `copy`, which would keep the mode: files of a Go module are not executable.
        fs::write(&wrapper, fs::read(sources.join("hack").join(name))?)?;
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    }
    for (copy, mode) in [(state.source(), 0o600), (state.kubeconfig(), 0o600)] {
        fs::write(&copy, "")?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(mode))?;
        fs::write(&copy, fs::read(&cluster.kubeconfig)?)?;
    }
    let (kubectl, kubeconfig) = (&cluster.kubectl, state.kubeconfig());
    let namespace = ["config", "set-context", "--current", "--namespace", NAMESPACE];
    cmd!(sh, "{kubectl} --kubeconfig {kubeconfig} {namespace...}").quiet().ignore_stdout().run()?;
    fs::write(state.folder.join("ports.json"), serde_json::to_string(&free_ports()?)?)?;
    Ok(())
}

/// Binds all ports at once, so that no two are the same.
fn free_ports() -> Result<Ports> {
    let listeners: Vec<_> = (0..9).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect();
    let mut ports = listeners.into_iter().map(|listener| Ok(listener?.local_addr()?.port()));
    let mut next = || -> Result<u16> { ports.next().context("there are nine")? };
    Ok(Ports {
        redis: next()?,
        repo_server: next()?,
        repo_server_metrics: next()?,
        server: next()?,
        server_metrics: next()?,
        controller_metrics: next()?,
        applicationset_metrics: next()?,
        applicationset_probe: next()?,
        applicationset_webhook: next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_component_gets_another_port() {
        let ports = serde_json::to_value(free_ports().expect("free ports")).expect("a map");
        let mut ports: Vec<_> =
            ports.as_object().expect("a map").values().filter_map(serde_json::Value::as_u64).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 9);
    }
}

//! The names, addresses and files of a node. All files are in one folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The node's name.
pub(crate) const NODE: &str = "node";

/// Addresses in a separate network, so that nothing else can have them.
pub(crate) const ADDRESS: &str = "10.250.0.1";
pub(crate) const PODS: &str = "10.244.0.0/24";
pub(crate) const SERVICES: &str = "10.96.0.0/16";
/// The Service `kubernetes` has the first address of those.
pub(crate) const API_SERVICE: &str = "10.96.0.1";

/// The API, as components within the node reach it.
pub(crate) const API: &str = "https://127.0.0.1:6443";

pub(crate) struct Layout {
    state: PathBuf,
}

impl Layout {
    pub(crate) fn at(state: PathBuf) -> Self {
        Self { state }
    }

    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// Links to the programs in the cache. `e2e` is a copy, so that a rebuild does not replace it under a running node.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.state.join("bin").join(name)
    }

    /// Keys, certificates and kubeconfigs.
    pub(crate) fn pki(&self, file: &str) -> PathBuf {
        self.state.join("pki").join(file)
    }

    pub(crate) fn config(&self, file: &str) -> PathBuf {
        self.state.join("config").join(file)
    }

    /// A component's data, which is removed with the node.
    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.state.join("data").join(name)
    }

    pub(crate) fn volume(&self, name: &str) -> PathBuf {
        self.state.join("volumes").join(name)
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.state.join("kubeconfig")
    }

    pub(crate) fn pause_image(&self) -> PathBuf {
        self.state.join("pause.tar")
    }

    pub(crate) fn containerd_socket(&self) -> PathBuf {
        self.state.join("containerd.sock")
    }

    /// The port of the API on the machine's loopback, as a number.
    pub(crate) fn port(&self) -> PathBuf {
        self.state.join("port")
    }

    /// A socket into the node's network: both sides see the file.
    pub(crate) fn api_socket(&self) -> PathBuf {
        self.state.join("api.sock")
    }

    /// Exists once the process inside has its namespaces.
    pub(crate) fn entered(&self) -> PathBuf {
        self.state.join("entered")
    }

    /// Exists once the node's cgroups are ready for pods.
    pub(crate) fn cgroups_ready(&self) -> PathBuf {
        self.state.join("cgroups-ready")
    }

    /// Exists once everything inside is up.
    pub(crate) fn started(&self) -> PathBuf {
        self.state.join("started")
    }

    /// Exists once the node runs pods. It has the number of the process that holds the node's namespaces.
    pub(crate) fn ready(&self) -> PathBuf {
        self.state.join("ready")
    }

    /// The node's cgroups, one in each hierarchy; empty before they are created.
    pub(crate) fn cgroups(&self) -> Result<Vec<PathBuf>> {
        let file = self.cgroups_file();
        if !file.exists() {
            return Ok(Vec::new());
        }
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        Ok(text.lines().map(PathBuf::from).collect())
    }

    pub(crate) fn cgroups_file(&self) -> PathBuf {
        self.state.join("cgroups")
    }
}

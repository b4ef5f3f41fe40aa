//! Where everything of a node is: its names, its addresses, and its files, all of them in one folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The node's name.
pub(super) const NODE: &str = "node";

/// Addresses of a network that nothing else is on, so that they cannot be taken.
pub(super) const ADDRESS: &str = "10.250.0.1";
pub(super) const PODS: &str = "10.244.0.0/24";
pub(super) const SERVICES: &str = "10.96.0.0/16";
/// The Service `kubernetes` has the first address of those.
pub(super) const API_SERVICE: &str = "10.96.0.1";

/// As components within the node reach it.
pub(super) const API: &str = "https://127.0.0.1:6443";

pub(super) struct Layout {
    state: PathBuf,
}

impl Layout {
    pub(super) fn at(state: PathBuf) -> Self {
        Self { state }
    }

    pub(super) fn state(&self) -> &Path {
        &self.state
    }

    /// Links to the programs in the cache; `xtask` is a copy, which a rebuild does not replace under a running node.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.state.join("bin").join(name)
    }

    /// Keys, certificates and who may do what with them.
    pub(super) fn pki(&self, file: &str) -> PathBuf {
        self.state.join("pki").join(file)
    }

    pub(super) fn config(&self, file: &str) -> PathBuf {
        self.state.join("config").join(file)
    }

    /// What a component keeps, gone with the node.
    pub(super) fn data(&self, name: &str) -> PathBuf {
        self.state.join("data").join(name)
    }

    pub(super) fn volume(&self, name: &str) -> PathBuf {
        self.state.join("volumes").join(name)
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.state.join("kubeconfig")
    }

    pub(super) fn pause_image(&self) -> PathBuf {
        self.state.join("pause.tar")
    }

    pub(super) fn containerd_socket(&self) -> PathBuf {
        self.state.join("containerd.sock")
    }

    /// The port of the API on the machine's loopback, as a number.
    pub(super) fn port(&self) -> PathBuf {
        self.state.join("port")
    }

    /// Leads into the node's network, as a file does that both sides see.
    pub(super) fn api_socket(&self) -> PathBuf {
        self.state.join("api.sock")
    }

    /// There once the process inside has its namespaces.
    pub(super) fn entered(&self) -> PathBuf {
        self.state.join("entered")
    }

    /// There once the node's cgroups take pods.
    pub(super) fn settled(&self) -> PathBuf {
        self.state.join("settled")
    }

    /// There once everything inside is up.
    pub(super) fn started(&self) -> PathBuf {
        self.state.join("started")
    }

    /// There once the node takes pods: the number of the process that holds its namespaces.
    pub(super) fn ready(&self) -> PathBuf {
        self.state.join("ready")
    }

    /// The node's cgroups, one in each hierarchy; none before it has any.
    pub(super) fn cgroups(&self) -> Result<Vec<PathBuf>> {
        let file = self.cgroups_file();
        if !file.exists() {
            return Ok(Vec::new());
        }
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        Ok(text.lines().map(PathBuf::from).collect())
    }

    pub(super) fn cgroups_file(&self) -> PathBuf {
        self.state.join("cgroups")
    }
}

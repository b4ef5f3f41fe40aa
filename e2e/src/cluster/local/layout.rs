//! Where everything of a node is: its names, its addresses, and its files, all of them in one folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The node's name.
pub(crate) const NODE: &str = "node";

/// Addresses of a network that nothing else is on, so that they cannot be taken.
pub(crate) const ADDRESS: &str = "10.250.0.1";
pub(crate) const PODS: &str = "10.244.0.0/24";
pub(crate) const SERVICES: &str = "10.96.0.0/16";
/// The Service `kubernetes` has the first address of those.
pub(crate) const API_SERVICE: &str = "10.96.0.1";

/// As components within the node reach it.
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

    /// Links to the programs in the cache; `xtask` is a copy, which a rebuild does not replace under a running node.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.state.join("bin").join(name)
    }

    /// Keys, certificates and who may do what with them.
    pub(crate) fn pki(&self, file: &str) -> PathBuf {
        self.state.join("pki").join(file)
    }

    pub(crate) fn config(&self, file: &str) -> PathBuf {
        self.state.join("config").join(file)
    }

    /// What a component keeps, gone with the node.
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

    /// Leads into the node's network, as a file does that both sides see.
    pub(crate) fn api_socket(&self) -> PathBuf {
        self.state.join("api.sock")
    }

    /// There once the process inside has its namespaces.
    pub(crate) fn entered(&self) -> PathBuf {
        self.state.join("entered")
    }

    /// There once the node's cgroups take pods.
    pub(crate) fn settled(&self) -> PathBuf {
        self.state.join("settled")
    }

    /// There once everything inside is up.
    pub(crate) fn started(&self) -> PathBuf {
        self.state.join("started")
    }

    /// There once the node takes pods: the number of the process that holds its namespaces.
    pub(crate) fn ready(&self) -> PathBuf {
        self.state.join("ready")
    }

    /// The node's cgroups, one in each hierarchy; none before it has any.
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

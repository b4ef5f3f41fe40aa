//! Argo CD: rolls out commits, and its CLI is called as a user would call it.

mod application;
mod repository;

use std::process::Command;

use anyhow::{Result, bail};
use serde_json::{Value, json};
use xtask::project::objects::merge;

use crate::rollout::{Rollout, Rolls};
use crate::world::{Outcome, World};

pub(crate) use application::{Application, follow, shipped};
pub(crate) use repository::{Commit, Repository, VALUES};

/// The full name of the kind: other programs define applications too.
const KIND: &str = "applications.argoproj.io";

/// Argo CD, as a scenario uses it.
pub(super) struct Argocd;

impl Rolls for Argocd {
    fn command(&self, _: &World, _: &Rollout) -> Result<Command> {
        bail!("Argo CD rolls out what is committed: see `Application::roll`")
    }

    fn remove(&self, world: &World) -> Result<()> {
        remove(world)
    }
}

/// Removes the scenario's Application and what it applied. A running sync is ended first: while it waits for something, or
/// pauses between retries, Argo CD deletes nothing.
pub(crate) fn remove(world: &World) -> Result<()> {
    let (namespace, name) = (&world.stage.argocd()?.namespace, &world.namespace);
    let get = ["get", KIND, name, "--namespace", namespace, "--ignore-not-found", "--output=name"];
    if world.kubectl_anywhere(&get)?.trim().is_empty() {
        return Ok(());
    }
    // Auto-sync would start another sync.
    let manual = r#"{"spec": {"syncPolicy": {"automated": null}}}"#;
    world.kubectl_anywhere(&[
        "patch",
        KIND,
        name,
        "--namespace",
        namespace,
        "--type=merge",
        "--patch",
        manual,
    ])?;
    // This fails where no sync is running.
    world.argocd(&["app", "terminate-op", name])?;
    let delete = ["delete", KIND, name, "--namespace", namespace, "--ignore-not-found", "--timeout=120s"];
    world.kubectl_anywhere(&delete).map(drop)
}

impl World<'_> {
    /// The CLI, as a user would call it.
    pub(crate) fn argocd(&self, arguments: &[&str]) -> Result<Outcome> {
        let argocd = self.stage.argocd()?;
        let mut command = self.program(&argocd.cli, arguments);
        command.envs(argocd.environment.iter().map(|(name, value)| (name, value)));
        self.run(command)
    }

    /// Creates a Secret before the application exists.
    pub(crate) fn secret(&self, name: &str, data: &Value) -> Result<()> {
        let kind = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
        self.apply(&merge(kind, json!({"stringData": data})))
    }
}

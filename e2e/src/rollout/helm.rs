//! Helm: an upgrade that installs too, and the status of the release.

use std::process::Command;

use anyhow::Result;
use serde_json::Value;

use crate::engine::{Engine, RELEASE};
use crate::rollout::{Rollout, Rolls, text};
use crate::world::{Outcome, World};

/// Helm 3 or Helm 4, by the scenario's engine.
pub(super) struct Helm;

impl Rolls for Helm {
    fn command(&self, world: &World, rollout: &Rollout) -> Result<Command> {
        let (helm, file) = (world.stage.helm(world.engine), text(&rollout.values_file(world)?));
        let chart = text(rollout.chart.as_ref().unwrap_or(&world.stage.chart));
        let (tag, timeout) = (rollout.tag(), format!("--timeout={}s", rollout.timeout.as_secs()));
        let upgrade = ["upgrade", "--install", RELEASE, &chart, "--namespace", &world.namespace];
        let options = ["--values", &file, "--set-string", &tag, "--wait", &timeout];
        Ok(world.program(helm, &[&upgrade[..], &options].concat()))
    }
}

impl World<'_> {
    /// Helm in the scenario's namespace.
    pub(crate) fn helm(&self, arguments: &[&str]) -> Result<Outcome> {
        let (helm, namespace) = (self.stage.helm(self.engine), &self.namespace);
        self.run(self.program(helm, &[&["--namespace", namespace][..], arguments].concat()))
    }

    /// The release's status as Helm reports it: `deployed`, `failed`, `pending-upgrade`.
    pub(crate) fn release_status(&self) -> Result<String> {
        let outcome = self.helm(&["status", self.release(), "--output=json"])?.expect_success()?;
        // Warnings on stderr follow the JSON.
        let mut stream = serde_json::Deserializer::from_str(&outcome.text).into_iter::<Value>();
        let status = stream.next().transpose()?.unwrap_or_default();
        Ok(status["info"]["status"].as_str().unwrap_or_default().to_owned())
    }

    /// The release's name; `helmfile.yaml` and `argocd/` set another one.
    pub(crate) fn release(&self) -> &'static str {
        if self.engine.is_helmfile() || self.engine == Engine::Argocd { "corveil" } else { RELEASE }
    }
}

//! Helmfile: `helmfile.yaml` of this checkout, with the engine's Helm.

use std::process::Command;

use anyhow::Result;
use xtask::project::root;

use crate::rollout::{Rollout, Rolls, text};
use crate::world::World;

/// With Helm 3 or Helm 4, by the scenario's engine.
pub(super) struct Helmfile;

impl Rolls for Helmfile {
    fn command(&self, world: &World, rollout: &Rollout) -> Result<Command> {
        let is_external = rollout.values["postgresql"]["enabled"] == false;
        let environment = if is_external { "staging" } else { "default" };
        let (releases, file) = (text(&root().join("helmfile.yaml")), text(&rollout.values_file(world)?));
        let (tag, verb) = (rollout.tag(), rollout.verb);
        let options = ["--file", &releases, "--environment", environment];
        let with = ["--namespace", &world.namespace, verb, "--skip-deps", "--set", &tag];
        // `helmfile.yaml` sets the timeout.
        Ok(world.helmfile(&[&options[..], &with, &["--values", &file]].concat()))
    }
}

impl World<'_> {
    /// Helmfile with the engine's Helm.
    pub(crate) fn helmfile(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(&self.stage.helmfile, arguments);
        // Set by the variable, which hooks see too.
        command.env("HELMFILE_HELM_BINARY", self.stage.helm(self.engine));
        command
    }
}

//! A rollout of one build, and the interface of an engine: it rolls out, and it removes.

pub(crate) mod argocd;
mod helm;
mod helmfile;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use xtask::project::objects::merge;

use crate::builds::Build;
use crate::engine::Engine;
use crate::stage::Stage;
use crate::world::{Outcome, World};

/// An engine, as a scenario uses it.
trait Rolls {
    /// The process that rolls out.
    fn command(&self, world: &World, rollout: &Rollout) -> Result<Command>;

    /// Removes what the engine made outside of the scenario's namespace.
    fn remove(&self, _: &World) -> Result<()> {
        Ok(())
    }
}

const fn rolls(engine: Engine) -> &'static dyn Rolls {
    match engine {
        Engine::Helm3 | Engine::Helm4 => &helm::Helm,
        Engine::Helmfile | Engine::Helmfile3 => &helmfile::Helmfile,
        Engine::Argocd => &argocd::Argocd,
    }
}

/// What is rolled out, and how.
#[derive(Clone)]
pub(crate) struct Rollout {
    build: Build,
    values: Value,
    timeout: Duration,
    arguments: Vec<String>,
    chart: Option<PathBuf>,
    /// Helmfile's command: `apply` or `sync`.
    verb: &'static str,
}

impl Rollout {
    /// A rollout of the build, with these values over those of every scenario.
    pub(crate) fn of(build: Build, values: &Value) -> Self {
        let little = json!({
            "requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"},
        });
        // Several scenarios share two cores, and the app needs little here.
        let common = json!({
            "corveil": {"secretKey": "e2e-only"},
            "resources": little, "wait": {"resources": little}, "migrate": {"resources": little},
        });
        let values = merge(common, values.clone());
        Self {
            build,
            values,
            timeout: Duration::from_mins(3),
            arguments: Vec::new(),
            chart: None,
            verb: "apply",
        }
    }

    /// Writes the values to a file in the scenario's folder.
    pub(crate) fn values_file(&self, world: &World) -> Result<PathBuf> {
        let file = world.folder.join(format!("{}-values.json", self.build.tag()));
        fs::write(&file, self.values.to_string())?;
        Ok(file)
    }

    /// How long the engine waits.
    pub(crate) fn within(mut self, seconds: u64) -> Self {
        self.timeout = Duration::from_secs(seconds);
        self
    }

    /// Uses another chart than the project's.
    pub(crate) fn on_chart(mut self, chart: &Path) -> Self {
        self.chart = Some(chart.to_owned());
        self
    }

    /// All values, including the build's tag.
    pub(crate) fn values(&self) -> Value {
        merge(self.values.clone(), json!({"image": {"tag": self.build.tag()}}))
    }

    /// The value that Helm and Helmfile set on the command line.
    fn tag(&self) -> String {
        format!("image.tag={}", self.build.tag())
    }

    /// Rolls out with `helmfile sync`, which upgrades even without a difference.
    pub(crate) fn by_sync(mut self) -> Self {
        self.verb = "sync";
        self
    }

    /// Adds an argument for Helm.
    pub(crate) fn with(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }
}

impl<'a> World<'a> {
    /// Creates the scenario's namespace. What an earlier run left of it is removed first.
    pub(crate) fn begin(stage: &'a Stage, scenario: &str, engine: Engine) -> Result<Self> {
        let world = Self::new(stage, scenario, engine)?;
        world.remove()?;
        world.create_namespace()?;
        Ok(world)
    }

    /// Removes the namespace and waits until it is gone, with every pod that uses a database.
    pub(crate) fn remove(&self) -> Result<()> {
        rolls(self.engine).remove(self)?;
        self.remove_namespace()
    }

    /// Rolls out, and returns the outcome, success or failure.
    pub(crate) fn roll(&self, rollout: &Rollout) -> Result<Outcome> {
        self.run(self.command(rollout)?)
    }

    /// The engine's command, for a scenario that kills it early.
    pub(crate) fn command(&self, rollout: &Rollout) -> Result<Command> {
        let mut command = rolls(self.engine).command(self, rollout)?;
        command.args(&rollout.arguments);
        Ok(command)
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

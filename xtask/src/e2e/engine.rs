//! The engines, and what a scenario asks of them: a rollout of one build.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::e2e::builds::Build;
use crate::e2e::world::{Outcome, World};
use crate::objects::merge;
use crate::tools::Tool;

/// What rolls out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Engine {
    Helm3,
    Helm4,
    /// With Helm 4.
    Helmfile,
    /// With Helm 3.
    Helmfile3,
    Argocd,
}

/// The release's name. It is not that of the chart, nor of its objects.
pub(crate) const RELEASE: &str = "prod";

/// The Deployment, the Service, and where names of the Job begin: the chart's full name.
pub(crate) const APP: &str = "corveil";

/// The hook's Job.
pub(crate) const JOB: &str = "corveil-migrate";

/// What a rollout brings.
#[derive(Clone)]
pub(crate) struct Rollout {
    build: Build,
    values: Value,
    timeout: Duration,
    arguments: Vec<String>,
    chart: Option<PathBuf>,
    /// What Helmfile is told to do.
    verb: &'static str,
}

impl Engine {
    pub(crate) const NONE: &'static [Self] = &[];
    pub(crate) const HELMS: &'static [Self] = &[Self::Helm3, Self::Helm4];
    /// Those that make a Helm release.
    pub(crate) const RELEASES: &'static [Self] = &[Self::Helm3, Self::Helm4, Self::Helmfile];
    pub(crate) const HELMFILES: &'static [Self] = &[Self::Helmfile, Self::Helmfile3];
    pub(crate) const ARGOCD: &'static [Self] = &[Self::Argocd];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Helm3 => "helm3",
            Self::Helm4 => "helm4",
            Self::Helmfile => "helmfile",
            Self::Helmfile3 => "helmfile3",
            Self::Argocd => "argocd",
        }
    }

    pub(crate) const fn is_helmfile(self) -> bool {
        matches!(self, Self::Helmfile | Self::Helmfile3)
    }

    /// The Helm that does the work.
    pub(crate) const fn helm(self) -> Tool {
        match self {
            Self::Helm3 | Self::Helmfile3 => Tool::Helm3,
            Self::Helm4 | Self::Helmfile | Self::Argocd => Tool::Helm4,
        }
    }
}

impl Rollout {
    /// The build, with these values over what every scenario has.
    pub(crate) fn of(build: Build, values: &Value) -> Self {
        let little = json!({
            "requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"},
        });
        // Several scenarios share two cores. What the app does here needs little.
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

    /// Its values, in a file of the scenario's.
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

    /// With another chart than the project's.
    pub(crate) fn on_chart(mut self, chart: &Path) -> Self {
        self.chart = Some(chart.to_owned());
        self
    }

    /// All of them, the build's tag among them.
    pub(crate) fn values(&self) -> Value {
        merge(self.values.clone(), json!({"image": {"tag": self.build.tag()}}))
    }

    /// By `helmfile sync`, which upgrades without a difference too.
    pub(crate) fn by_sync(mut self) -> Self {
        self.verb = "sync";
        self
    }

    /// With one more argument for Helm.
    pub(crate) fn with(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }
}

impl World<'_> {
    /// Rolls out, to whatever end.
    pub(crate) fn roll(&self, rollout: &Rollout) -> Result<Outcome> {
        self.run(self.command(rollout)?)
    }

    /// The engine as a process, for whoever wants to end it.
    pub(crate) fn command(&self, rollout: &Rollout) -> Result<Command> {
        let Rollout { build, values, timeout, arguments, chart, verb } = rollout;
        let file = rollout.values_file(self)?;
        let helm = self.stage.helm(self.engine);
        let tag = format!("image.tag={}", build.tag());
        let timeout = format!("--timeout={}s", timeout.as_secs());
        let chart = chart.as_ref().unwrap_or(&self.stage.chart);
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut command = match self.engine {
            Engine::Helm3 | Engine::Helm4 => {
                let (chart, file) = (text(chart), text(&file));
                let upgrade = ["upgrade", "--install", RELEASE, &chart, "--namespace", &self.namespace];
                let options = ["--values", &file, "--set-string", &tag, "--wait", &timeout];
                self.program(helm, &[&upgrade[..], &options].concat())
            }
            Engine::Argocd => bail!("Argo CD rolls out what is committed"),
            Engine::Helmfile | Engine::Helmfile3 => {
                let is_external = values["postgresql"]["enabled"] == false;
                let environment = if is_external { "staging" } else { "default" };
                let (releases, file) = (text(&crate::root().join("helmfile.yaml")), text(&file));
                let options = ["--file", &releases, "--environment", environment];
                let with = ["--namespace", &self.namespace, verb, "--skip-deps", "--set", &tag];
                // The timeout is that of `helmfile.yaml`.
                self.helmfile(&[&options[..], &with, &["--values", &file]].concat())
            }
        };
        command.args(arguments);
        Ok(command)
    }

    /// Helmfile with the engine's Helm.
    pub(crate) fn helmfile(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(&self.stage.helmfile, arguments);
        // By its variable, which hooks see too.
        command.env("HELMFILE_HELM_BINARY", self.stage.helm(self.engine));
        command
    }

    /// Helm in the scenario's namespace.
    pub(crate) fn helm(&self, arguments: &[&str]) -> Result<Outcome> {
        let (helm, namespace) = (self.stage.helm(self.engine), &self.namespace);
        self.run(self.program(helm, &[&["--namespace", namespace][..], arguments].concat()))
    }

    /// What Helm says of the release: `deployed`, `failed`, `pending-upgrade`.
    pub(crate) fn release_status(&self) -> Result<String> {
        let outcome = self.helm(&["status", self.release(), "--output=json"])?.expect_success()?;
        // Warnings go to stderr, which follows.
        let mut stream = serde_json::Deserializer::from_str(&outcome.text).into_iter::<Value>();
        let status = stream.next().transpose()?.unwrap_or_default();
        Ok(status["info"]["status"].as_str().unwrap_or_default().to_owned())
    }

    /// `helmfile.yaml` and `argocd/` give the release its own name.
    pub(crate) fn release(&self) -> &'static str {
        if self.engine.is_helmfile() || self.engine == Engine::Argocd { "corveil" } else { RELEASE }
    }
}

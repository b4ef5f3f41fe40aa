//! What all scenarios share: the cluster with its images, the programs, and a database server.

use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::argocd::{self, ArgoCd};
use crate::builds::Build;
use crate::cluster::{self, Provider};
use crate::engine::Engine;
use crate::releases::Releases;
use crate::wait::until;
use crate::{helm_diff, packages, server, stand_in};
use xtask::image;
use xtask::project::{released, root};
use xtask::tools::{self, Tool};

/// The server of chart 1.0.0's subchart.
pub(crate) const BITNAMI: &str = "docker.io/bitnami/postgresql:18";

/// The place where scenarios run.
pub(crate) struct Stage {
    pub(crate) kubeconfig: PathBuf,
    pub(crate) kubectl: PathBuf,
    pub(crate) helmfile: PathBuf,
    pub(crate) chart: PathBuf,
    /// It has a folder for each scenario.
    pub(crate) folder: PathBuf,
    helm3: PathBuf,
    helm4: PathBuf,
    plugins: PathBuf,
    /// Set where a scenario needs it.
    argocd: Option<ArgoCd>,
    provider: Provider,
    /// Made when the first scenario asks for them.
    releases: Mutex<Option<Arc<Releases>>>,
    /// Which program `helm diff` is.
    pub(crate) diff: &'static str,
}

impl Stage {
    /// Builds what is missing, starts the cluster unless it is up, and loads the images.
    pub(crate) fn set(sh: &Shell, provider: Provider, needs_argocd: bool) -> Result<Self> {
        // Checked before anything that takes minutes.
        packages::images(sh)?;
        cluster::prepare(sh, provider)?;
        let folder = root().join("target/e2e");
        sh.remove_path(&folder)?;
        sh.create_dir(&folder)?;
        let programs = tools::ensure(sh, &[Tool::Helm3, Tool::Helm4, Tool::Helmfile])?;
        let images = step("images", || images(sh))?;
        let cluster = step("cluster", || {
            let cluster = cluster::up(sh, provider, None)?;
            cluster::load(sh, &cluster, &images)?;
            Ok(cluster)
        })?;
        let argocd =
            if needs_argocd { Some(step("argocd", || argocd::up(sh, provider, &cluster))?) } else { None };
        let (plugins, diff) = helm_diff::plugins(sh, &programs[1], &cluster.kubectl, &folder)?;
        let stage = Self {
            kubeconfig: cluster.kubeconfig,
            kubectl: cluster.kubectl,
            argocd,
            provider,
            releases: Mutex::default(),
            chart: root().join("chart"),
            helm3: programs[0].clone(),
            helm4: programs[1].clone(),
            helmfile: programs[2].clone(),
            plugins,
            diff,
            folder,
        };
        step("database", || stage.start_database())?;
        Ok(stage)
    }

    /// A shell in the checkout. Its programs use this cluster, and leave the user's Helm settings alone.
    pub(crate) fn shell(&self) -> Result<Shell> {
        let sh = Shell::new()?;
        sh.change_dir(root());
        for (name, value) in self.environment() {
            sh.set_var(name, value);
        }
        Ok(sh)
    }

    /// The environment of programs that use this cluster.
    pub(crate) fn environment(&self) -> [(&'static str, PathBuf); 6] {
        let helm = self.folder.join("helm");
        [
            ("KUBECONFIG", self.kubeconfig.clone()),
            ("HELM_PLUGINS", self.plugins.clone()),
            ("HELM_CACHE_HOME", helm.join("cache")),
            ("HELM_CONFIG_HOME", helm.join("config")),
            ("HELM_DATA_HOME", helm.join("data")),
            // `helmfile.yaml` requires it with the bundled database.
            ("CORVEIL_SECRET_KEY", "e2e-only".into()),
        ]
    }

    pub(crate) fn helm(&self, engine: Engine) -> &Path {
        if engine.helm() == Tool::Helm3 { &self.helm3 } else { &self.helm4 }
    }

    pub(crate) fn argocd(&self) -> Result<&ArgoCd> {
        self.argocd.as_ref().context("Argo CD was not started: no chosen scenario needs it")
    }

    /// Releases of this checkout in a registry. A scenario that asks while they are made waits for them.
    pub(crate) fn releases(&self) -> Result<Arc<Releases>> {
        let mut releases = self.releases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(releases) = &*releases {
            return Ok(Arc::clone(releases));
        }
        let made = Arc::new(step("releases", || Releases::make(&self.shell()?, self.provider))?);
        *releases = Some(Arc::clone(&made));
        Ok(made)
    }

    /// Waits until the namespaces of the scenarios are gone.
    pub(crate) fn wait_until_idle(&self) -> Result<()> {
        let sh = self.shell()?;
        let kubectl = &self.kubectl;
        until("the scenarios' namespaces to go", Duration::from_mins(3), || {
            let names = cmd!(sh, "{kubectl} get namespaces --output=name").quiet().read()?;
            let is_left = |name: &str| name.starts_with("namespace/e2e-") && !name.ends_with(server::SHARED);
            Ok((!names.lines().any(is_left)).then_some(()))
        })
    }

    fn remove_database(&self) -> Result<()> {
        let (sh, kubectl) = (self.shell()?, &self.kubectl);
        let delete = ["delete", "namespace", server::SHARED, "--ignore-not-found", "--timeout=90s"];
        Ok(cmd!(sh, "{kubectl} {delete...}").quiet().ignore_stdout().run()?)
    }

    fn start_database(&self) -> Result<()> {
        let sh = self.shell()?;
        // A server that an earlier run left may be full of that run's databases.
        self.remove_database()?;
        let (kubectl, shared) = (&self.kubectl, server::SHARED);
        let namespace = serde_json::json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": shared},
        });
        let apply = ["apply", "--server-side", "--namespace", shared, "--filename=-"];
        for object in [namespace, server::server()] {
            cmd!(sh, "{kubectl} {apply...}").stdin(object.to_string()).quiet().ignore_stdout().run()?;
        }
        let rollout = ["rollout", "status", "statefulset/postgres", "--timeout=90s", "--namespace", shared];
        cmd!(sh, "{kubectl} {rollout...}").quiet().ignore_stdout().run()?;
        Ok(())
    }
}

/// Every image that a scenario runs.
fn images(sh: &Shell) -> Result<Vec<PathBuf>> {
    let base = image::corveil(sh)?;
    let folder = root().join("target/image");
    let postgres = folder.join("postgres.tar");
    stand_in::postgres(sh, &postgres)?;
    let bitnami = folder.join("bitnami.tar");
    stand_in::bitnami(&postgres, BITNAMI, &bitnami)?;
    let mut images = vec![postgres, bitnami];
    for build in Build::ALL {
        let output = folder.join(format!("{}.tar", build.tag()));
        // The chart's repository; each build has another tag.
        let reference = format!("{}:{}", released::current().repository(), build.tag());
        image::with_migrations(&base, &reference, &build.migrations()?, &output)?;
        images.push(output);
    }
    Ok(images)
}

/// Runs a step, and prints how long it took.
fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let done = work()?;
    writeln!(stderr(), "{what}: {:.1} s", start.elapsed().as_secs_f64())?;
    Ok(done)
}

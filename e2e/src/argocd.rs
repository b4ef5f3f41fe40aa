//! `cargo xtask argocd`: starts and stops a real Argo CD for the tests that need one.
//!
//! Its components run as processes of this machine, next to the cluster, as in Argo CD's own development setup. No image has
//! to come from a registry.

mod components;
mod context;
mod layout;
mod objects;
mod processes;

use std::fs;
use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use xshell::Shell;

use crate::argocd::layout::Layout;
use crate::cluster::{self, Cluster, Provider};
use crate::packages;
use xtask::project::cache;
use xtask::tools::{self, Tool};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
    /// Select the cluster that Argo CD runs on; that of `context` has to have its own Argo CD
    #[arg(long, global = true, default_value = "local", env = "CORVEIL_CLUSTER_PROVIDER")]
    provider: Provider,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Start Argo CD and its cluster unless they are up, and print the environment that makes `argocd` and `kubectl` use them
    Up,
    /// Delete the applications and stop Argo CD; the cluster stays up
    Down,
}

/// Where Argo CD's objects are.
pub(crate) const NAMESPACE: &str = "argocd";

/// An Argo CD that answers.
pub(crate) struct ArgoCd {
    /// The CLI. It has the version of the other components, unless the cluster brought its own Argo CD.
    pub(crate) cli: PathBuf,
    /// Where Applications belong.
    pub(crate) namespace: String,
    /// Makes the CLI use this Argo CD, whatever the settings of the user name.
    pub(crate) environment: Vec<(&'static str, String)>,
}

pub(crate) fn run(sh: &Shell, Args { action, provider }: &Args) -> Result<()> {
    match action {
        Action::Up => {
            let cluster = cluster::up(sh, *provider, None)?;
            let argocd = up(sh, *provider, &cluster)?;
            write!(stdout(), "{}", exports(&argocd, &cluster))?;
            Ok(())
        }
        Action::Down => down(sh, *provider),
    }
}

/// Starts Argo CD on the cluster, or returns the one that is up already.
pub(crate) fn up(sh: &Shell, provider: Provider, cluster: &Cluster) -> Result<ArgoCd> {
    tools::ensure(sh, &[Tool::Argocd])?;
    let cli = tools::path(sh, Tool::Argocd)?;
    if matches!(provider, Provider::Context) {
        return context::find(sh, cli, cluster);
    }
    packages::argocd(sh)?;
    tools::ensure(sh, &[Tool::Helm4, Tool::Kustomize])?;
    let state = layout(sh)?;
    if is_up(&state, cluster)? {
        writeln!(stderr(), "argocd: already up")?;
        return argocd(&state);
    }
    let start = Instant::now();
    // Removes what an Argo CD left that did not end by `down`, or whose cluster is gone.
    processes::end(&state)?;
    sh.remove_path(&state.folder)?;
    if let Err(error) = launch(sh, &state, cluster) {
        processes::end(&state)?;
        bail!("{error:#}\nhint: more in {}; `cargo xtask argocd down` removes it", state.logs().display());
    }
    writeln!(stderr(), "argocd: up in {:.1} s", start.elapsed().as_secs_f32())?;
    argocd(&state)
}

/// Stops Argo CD, unless it belongs to the cluster of a context.
pub(crate) fn down(sh: &Shell, provider: Provider) -> Result<()> {
    if matches!(provider, Provider::Context) {
        writeln!(
            stderr(),
            "argocd: the Argo CD of a context keeps running; `down` only stops one that `up` started"
        )?;
        return Ok(());
    }
    let state = layout(sh)?;
    if !state.folder.exists() {
        writeln!(stderr(), "argocd: not up")?;
        return Ok(());
    }
    let start = Instant::now();
    let cluster = objects::cluster(sh, &state);
    // Argo CD's controller removes what the applications applied, so they are deleted before the controller stops.
    if let Some(cluster) = &cluster {
        objects::delete_applications(cluster)?;
    }
    processes::end(&state)?;
    if let Some(cluster) = &cluster {
        objects::delete(cluster, &tools::sources(sh, Tool::Argocd)?)?;
    }
    sh.remove_path(&state.folder)?;
    writeln!(stderr(), "argocd: down in {:.1} s", start.elapsed().as_secs_f32())?;
    Ok(())
}

fn launch(sh: &Shell, state: &Layout, cluster: &Cluster) -> Result<()> {
    let sources = tools::sources(sh, Tool::Argocd)?;
    layout::prepare(sh, state, cluster, &sources)?;
    // Components that use the Kubernetes API expect their objects in the cluster. The others start meanwhile.
    let mut running = processes::start(state, &components::by_themselves(state)?)?;
    objects::apply(&objects::reachable(sh, state)?, &sources)?;
    running.extend(processes::start(state, &components::by_api(state)?)?);
    processes::wait_for(state, &mut running)?;
    fs::write(state.ready(), "").context("write the marker that Argo CD is ready")
}

/// Whether every component runs, and on this cluster.
fn is_up(state: &Layout, cluster: &Cluster) -> Result<bool> {
    if !state.ready().exists() || fs::read(state.source())? != fs::read(&cluster.kubeconfig)? {
        return Ok(false);
    }
    Ok(processes::running(state).len() >= components::COUNT)
}

fn argocd(state: &Layout) -> Result<ArgoCd> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let environment = vec![
        ("ARGOCD_SERVER", format!("127.0.0.1:{}", state.ports()?.server)),
        ("ARGOCD_OPTS", "--plaintext --insecure".to_owned()),
        ("ARGOCD_CONFIG_DIR", text(&state.data("cli"))),
    ];
    Ok(ArgoCd { cli: state.program("argocd"), namespace: NAMESPACE.to_owned(), environment })
}

/// For `eval` in a shell.
fn exports(argocd: &ArgoCd, cluster: &Cluster) -> String {
    use std::fmt::Write as _;

    let mut text = format!("export KUBECONFIG='{}'\n", cluster.kubeconfig.display());
    for (name, value) in &argocd.environment {
        let _ = writeln!(text, "export {name}='{value}'");
    }
    if let Some(folder) = argocd.cli.parent() {
        let _ = writeln!(text, "export PATH='{}':\"$PATH\"", folder.display());
    }
    text
}

fn layout(sh: &Shell) -> Result<Layout> {
    Ok(Layout { folder: cache::root(sh)?.join("argocd") })
}

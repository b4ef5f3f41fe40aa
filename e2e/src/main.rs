//! Runs rollouts on a real cluster with the real engines, and starts the cluster and Argo CD that they need. `cargo xtask
//! e2e`, `cargo xtask cluster` and `cargo xtask argocd` call it.

mod argocd;
mod builds;
mod cluster;
mod database;
mod engine;
mod evidence;
mod helm_diff;
mod packages;
mod releases;
mod report;
mod rollout;
mod run;
mod scenario;
mod server;
mod stage;
mod stand_in;
mod traffic;
mod wait;
mod watch;
mod world;

use clap::Parser;
use xshell::Shell;

/// Run rollouts on a real cluster
#[derive(Parser)]
#[command(name = "e2e", bin_name = "cargo xtask")]
enum Task {
    /// Run rollouts with every engine on a real cluster, and check the guarantees
    E2e(run::Args),
    /// Start and stop a Kubernetes cluster for the tests that need one
    Cluster(cluster::Args),
    /// Start and stop Argo CD on the cluster of the tests
    Argocd(argocd::Args),
    /// Print what an upgrade would change; `helmfile apply` calls it where the plugin helm-diff is not installed
    #[command(hide = true)]
    HelmDiff(helm_diff::Args),
}

fn main() -> anyhow::Result<()> {
    let task = Task::parse();
    let shell = Shell::new()?;
    shell.change_dir(xtask::project::root());
    match task {
        Task::E2e(args) => run::run(&shell, &args),
        Task::Cluster(args) => cluster::run(&shell, &args),
        Task::Argocd(args) => argocd::run(&shell, &args),
        Task::HelmDiff(args) => helm_diff::run(&shell, &args),
    }
}

//! The project's own tasks, run as `cargo xtask <task>`.

mod argocd;
mod bench;
mod cache;
mod cargo;
mod cluster;
mod e2e;
#[cfg(test)]
mod gate;
mod generate;
mod image;
mod migrators;
mod objects;
mod postgres;
mod render;
mod setup;
mod tail;
mod test;
#[cfg(test)]
mod tidy;
mod tools;

use std::path::Path;

use clap::Parser;
use xshell::Shell;

/// The project's own tasks.
#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask")]
enum Task {
    /// Write the generated files.
    Gen(generate::Args),
    /// Install what the tests need and run them all.
    Test(test::Args),
    /// Compare speed, memory and size with psql and other migration programs.
    Bench(bench::Args),
    /// Make the container image, without Docker.
    Image(image::Args),
    /// Find the programs that tests and clusters run, or build them.
    Tools(tools::Args),
    /// Start and end a Kubernetes cluster for the tests that need one.
    Cluster(cluster::Args),
    /// Start and end Argo CD on the cluster of the tests.
    Argocd(argocd::Args),
    /// Roll out on a real cluster with the real engines, and see what must never happen not happen.
    E2e(e2e::Args),
    /// What `helmfile apply` calls where the plugin helm-diff is not installed.
    #[command(hide = true)]
    HelmDiff(e2e::helm_diff::Args),
}

fn main() -> anyhow::Result<()> {
    let task = Task::parse();
    let shell = Shell::new()?;
    shell.change_dir(root());
    match task {
        Task::Gen(args) => generate::run(&shell, &args),
        Task::Test(args) => test::run(&shell, &args),
        Task::Bench(args) => bench::run(&shell, &args),
        Task::Image(args) => image::run(&shell, &args),
        Task::Tools(args) => tools::run(&shell, &args),
        Task::Cluster(args) => cluster::run(&shell, &args),
        Task::Argocd(args) => argocd::run(&shell, &args),
        Task::E2e(args) => e2e::run(&shell, &args),
        Task::HelmDiff(args) => e2e::helm_diff::run(&shell, &args),
    }
}

/// The checkout, from wherever in it the task was called.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the checkout")
}

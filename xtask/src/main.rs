//! Runs the tasks of the repository: `cargo xtask <task>`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Parser;
use xshell::Shell;
use xtask::project::cargo::cargo;
use xtask::project::root;
use xtask::{bench, generate, image, release, test, tools};

/// Run a task of the repository
#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask")]
enum Task {
    /// Write the generated files
    Gen(generate::Args),
    /// Install what the tests need and run them all
    Test(test::Args),
    /// Compare speed, memory and size with psql and other migration programs
    Bench(bench::Args),
    /// Make the container image, without Docker
    Image(image::Args),
    /// Find the programs that tests and clusters run, or build them
    Tools(tools::Args),
    /// Publish a version: image, chart, commit and tag
    Release(release::Args),
    /// Start and stop a Kubernetes cluster for the tests that need one
    #[command(disable_help_flag = true)]
    Cluster(Rest),
    /// Start and stop Argo CD on the cluster of the tests
    #[command(disable_help_flag = true)]
    Argocd(Rest),
    /// Run rollouts with every engine on a real cluster, and check the guarantees
    #[command(disable_help_flag = true)]
    E2e(Rest),
}

/// Arguments that the end-to-end tests parse.
#[derive(clap::Args)]
struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    arguments: Vec<OsString>,
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
        Task::Release(args) => release::run(&shell, &args),
        Task::Tools(args) => tools::run(&shell, &args),
        Task::Cluster(rest) => hand_over(&shell, "cluster", rest),
        Task::Argocd(rest) => hand_over(&shell, "argocd", rest),
        Task::E2e(rest) => hand_over(&shell, "e2e", rest),
    }
}

/// Replaces this process with the program of the end-to-end tests, a separate package that Cargo builds first.
fn hand_over(sh: &Shell, task: &str, rest: Rest) -> anyhow::Result<()> {
    let run = cargo(sh, &["run", "--quiet", "--package", "e2e", "--", task]).args(rest.arguments);
    Err(Command::from(run).exec().into())
}

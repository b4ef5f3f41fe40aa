//! `cargo xtask cluster`: starts and stops a real Kubernetes for the tests that need one.

mod context;
mod kind;
mod local;

use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::Value;
use xshell::{Shell, cmd};

use xtask::render::KUBERNETES;
use xtask::tools::{self, Tool, Version};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
    /// Select where the cluster comes from
    #[arg(long, global = true, value_enum, default_value_t, env = "CORVEIL_CLUSTER_PROVIDER")]
    provider: Provider,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Start the cluster unless it is up, and print the path of its kubeconfig
    Up {
        /// Set the port of a local cluster's API on 127.0.0.1; the default is any free port
        #[arg(long)]
        port: Option<u16>,
    },
    /// Stop the cluster and remove its files
    Down {
        /// Copy the logs of a local cluster to this folder first
        #[arg(long, value_name = "FOLDER")]
        keep_logs: Option<PathBuf>,
    },
    /// Print what runs and where the kubeconfig is, and fail when nothing runs
    Status,
    /// Load images from OCI or docker archives into the cluster, and print their references
    Load {
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<PathBuf>,
    },
    /// Run a step of the node; a local cluster calls it
    #[command(hide = true)]
    Node(local::Stage),
}

/// Where a cluster comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Provider {
    /// A node on this machine, from programs that are built here; needs root.
    #[default]
    Local,
    /// A node in a container, by the `kind` on the PATH.
    Kind,
    /// The cluster of kubectl's current context.
    Context,
}

/// A cluster that is up.
pub(crate) struct Cluster {
    provider: Provider,
    /// A kubeconfig with only this cluster.
    pub(crate) kubeconfig: PathBuf,
    /// A kubectl for the cluster's version.
    pub(crate) kubectl: PathBuf,
}

pub(crate) fn run(sh: &Shell, Args { action, provider }: &Args) -> Result<()> {
    match action {
        Action::Up { port } => writeln!(stdout(), "{}", up(sh, *provider, *port)?.kubeconfig.display())?,
        Action::Down { keep_logs } => down(sh, *provider, keep_logs.as_deref())?,
        Action::Status => status(sh, *provider)?,
        Action::Load { images } => {
            for reference in load(sh, &running(sh, *provider)?, images)? {
                writeln!(stdout(), "{reference}")?;
            }
        }
        Action::Node(stage) => local::run(sh, stage)?,
    }
    Ok(())
}

/// Installs what the provider's cluster needs, or fails and names what is missing. It runs before builds that take minutes.
pub(crate) fn prepare(sh: &Shell, provider: Provider) -> Result<()> {
    match provider {
        Provider::Local => local::prepare(sh),
        Provider::Kind => kind::prepare(sh),
        Provider::Context => Ok(()),
    }
}

/// Starts a cluster and waits until it runs pods, or returns the one that is up already. Only a local cluster takes the port.
pub(crate) fn up(sh: &Shell, provider: Provider, port: Option<u16>) -> Result<Cluster> {
    if port.is_some() && provider != Provider::Local {
        bail!("only a local cluster takes a port\nhint: leave out `--port`, or use `--provider local`");
    }
    prepare(sh, provider)?;
    let cluster = match provider {
        Provider::Local => local::up(sh, port)?,
        Provider::Kind => kind::up(sh)?,
        Provider::Context => context::up(sh)?,
    };
    let version = cluster.version(sh)?;
    if Version::find(&version) < Version::find(KUBERNETES) {
        bail!("this is Kubernetes {version}, and the chart needs {KUBERNETES} or newer");
    }
    writeln!(stderr(), "cluster: Kubernetes {version} is up")?;
    Ok(cluster)
}

/// Stops the cluster, unless it is that of a context.
pub(crate) fn down(sh: &Shell, provider: Provider, keep_logs: Option<&Path>) -> Result<()> {
    match provider {
        Provider::Local => local::down(sh, keep_logs),
        Provider::Kind => kind::down(sh),
        Provider::Context => context::down(sh),
    }
}

/// Loads images, and returns the references by which pods name them.
pub(crate) fn load(sh: &Shell, cluster: &Cluster, images: &[PathBuf]) -> Result<Vec<String>> {
    match cluster.provider {
        Provider::Local => local::load(sh, images),
        Provider::Kind => kind::load(sh, images),
        Provider::Context => context::load(),
    }
}

/// The network namespace of the node, as a file.
pub(crate) fn network(sh: &Shell, provider: Provider) -> Result<PathBuf> {
    let process = match provider {
        Provider::Local => local::process(sh)?,
        Provider::Kind => kind::process(sh)?,
        Provider::Context => {
            bail!("the nodes of a context are other machines\nhint: `--provider local`, or `kind`")
        }
    };
    Ok(format!("/proc/{process}/ns/net").into())
}

/// The cluster that is up; the error names the command that starts one.
pub(crate) fn running(sh: &Shell, provider: Provider) -> Result<Cluster> {
    let cluster = match provider {
        Provider::Local => local::running(sh)?,
        Provider::Kind => kind::running(sh)?,
        Provider::Context => Some(context::up(sh)?),
    };
    let name = provider.to_possible_value().context("a provider has a name")?;
    let name = name.get_name();
    cluster.with_context(|| format!("no cluster is up\nhint: `cargo xtask cluster up --provider {name}`"))
}

fn status(sh: &Shell, provider: Provider) -> Result<()> {
    let cluster = running(sh, provider)?;
    let version = cluster.version(sh)?;
    let Cluster { kubeconfig, kubectl, .. } = &cluster;
    writeln!(stdout(), "kubernetes {version}\nkubeconfig {}", kubeconfig.display())?;
    writeln!(stdout(), "kubectl {}", kubectl.display())?;
    if provider == Provider::Local {
        write!(stdout(), "{}", local::describe(sh)?)?;
    }
    let pods = ["get", "pods", "--all-namespaces", "--no-headers", "--request-timeout=10s"];
    let pods = cmd!(sh, "{kubectl} --kubeconfig {kubeconfig} {pods...}").quiet().ignore_stderr().read()?;
    writeln!(stdout(), "pods {}", pods.lines().count())?;
    Ok(())
}

impl Cluster {
    /// The API server's version, such as `v1.36.3`.
    fn version(&self, sh: &Shell) -> Result<String> {
        let Self { kubeconfig, kubectl, .. } = self;
        let ask = ["version", "--output=json", "--request-timeout=10s"];
        let answer = cmd!(sh, "{kubectl} --kubeconfig {kubeconfig} {ask...}").quiet().read();
        let answer: Value = serde_json::from_str(&answer.context("the cluster does not answer")?)?;
        let version = answer["serverVersion"]["gitVersion"].as_str();
        Ok(version.context("the API server reports no version")?.to_owned())
    }
}

/// The kubectl for a cluster that is not built here: the user's, otherwise the one built for local clusters.
fn kubectl(sh: &Shell) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&path).map(|folder| folder.join("kubectl"));
    match candidates.find(|candidate| candidate.is_file()) {
        Some(kubectl) => Ok(kubectl),
        None => tools::built(sh, Tool::Kubernetes, "kubectl"),
    }
}

//! A cluster that is there already: the one that kubectl talks to.

use std::io::{Write, stderr};
use std::path::PathBuf;

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use crate::cluster::{Cluster, Provider, kubectl, local::files};
use xtask::project::cache;

/// A copy of what kubectl knows of it, so that a context chosen in another terminal does not move a test elsewhere.
pub(crate) fn up(sh: &Shell) -> Result<Cluster> {
    let kubectl = kubectl(sh)?;
    let Ok(context) = cmd!(sh, "{kubectl} config current-context").quiet().ignore_stderr().read() else {
        bail!("kubectl has no current context\nhint: `kubectl config use-context NAME`");
    };
    let config = cmd!(sh, "{kubectl} config view --raw --minify --flatten").quiet().read()?;
    let kubeconfig = kubeconfig(sh)?;
    files::write_private(&kubeconfig, &config)?;
    writeln!(stderr(), "cluster: context `{context}`")?;
    Ok(Cluster { provider: Provider::Context, kubeconfig, kubectl })
}

/// Only our copy goes.
pub(crate) fn down(sh: &Shell) -> Result<()> {
    sh.remove_path(kubeconfig(sh)?)?;
    writeln!(stderr(), "cluster: the cluster of a context is not ours to end, and stays as it is")?;
    Ok(())
}

pub(crate) fn load() -> Result<Vec<String>> {
    bail!(
        "images cannot be loaded into the cluster of a context\n\
         hint: push them to a registry that it pulls from, or use `--provider local` or `--provider kind`"
    )
}

fn kubeconfig(sh: &Shell) -> Result<PathBuf> {
    Ok(cache::root(sh)?.join("context.kubeconfig"))
}

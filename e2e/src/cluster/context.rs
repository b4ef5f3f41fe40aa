//! An existing cluster: that of kubectl's current context.

use std::io::{Write, stderr};
use std::path::PathBuf;

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use crate::cluster::{Cluster, Provider, kubectl, local::files};
use xtask::project::cache;

/// Copies the settings of the current context, so that selecting another context in another terminal does not move a running
/// test.
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

/// Removes only the copy of the kubeconfig.
pub(crate) fn down(sh: &Shell) -> Result<()> {
    sh.remove_path(kubeconfig(sh)?)?;
    writeln!(
        stderr(),
        "cluster: the cluster of a context keeps running; `down` only stops one that `up` started"
    )?;
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

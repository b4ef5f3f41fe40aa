//! A cluster in a container, by kind.

use std::path::PathBuf;

use anyhow::{Result, bail};
use xshell::{Cmd, Shell, cmd};

use crate::cluster::{Cluster, Provider, kubectl};
use xtask::project::cache;

const NAME: &str = "corveil";

/// Fails where `kind` is not installed. The tests do not install it.
pub(crate) fn prepare(sh: &Shell) -> Result<()> {
    if cmd!(sh, "kind version").quiet().ignore_stdout().ignore_stderr().run().is_err() {
        bail!(
            "`kind` is not installed\nhint: install it, https://kind.sigs.k8s.io, or use `--provider local`"
        );
    }
    Ok(())
}

pub(crate) fn up(sh: &Shell) -> Result<Cluster> {
    if let Some(cluster) = running(sh)? {
        return Ok(cluster);
    }
    let cluster = cluster(sh)?;
    let kubeconfig = &cluster.kubeconfig;
    kind(sh, &["create", "cluster", "--wait", "3m", "--name", NAME, "--kubeconfig"])?
        .arg(kubeconfig)
        .run()?;
    Ok(cluster)
}

/// The cluster that an earlier run started.
pub(crate) fn running(sh: &Shell) -> Result<Option<Cluster>> {
    let names = kind(sh, &["get", "clusters"])?.ignore_stderr().read()?;
    if !names.lines().any(|name| name == NAME) {
        return Ok(None);
    }
    let cluster = cluster(sh)?;
    let export = ["export", "kubeconfig", "--name", NAME, "--kubeconfig"];
    kind(sh, &export)?.arg(&cluster.kubeconfig).ignore_stderr().run()?;
    Ok(Some(cluster))
}

pub(crate) fn down(sh: &Shell) -> Result<()> {
    let kubeconfig = kubeconfig(sh)?;
    kind(sh, &["delete", "cluster", "--name", NAME, "--kubeconfig"])?.arg(&kubeconfig).run()?;
    sh.remove_path(kubeconfig)?;
    Ok(())
}

/// The first process of the node.
pub(crate) fn process(sh: &Shell) -> Result<String> {
    let (format, node) = ("{{.State.Pid}}", format!("{NAME}-control-plane"));
    Ok(cmd!(sh, "docker inspect --format {format} {node}").quiet().read()?)
}

/// kind does not print which references an archive holds, so the archive's name is returned.
pub(crate) fn load(sh: &Shell, images: &[PathBuf]) -> Result<Vec<String>> {
    let mut loaded = Vec::new();
    for image in images {
        kind(sh, &["load", "image-archive", "--name", NAME])?.arg(image).run()?;
        loaded.push(image.display().to_string());
    }
    Ok(loaded)
}

fn cluster(sh: &Shell) -> Result<Cluster> {
    Ok(Cluster { provider: Provider::Kind, kubeconfig: kubeconfig(sh)?, kubectl: kubectl(sh)? })
}

/// A separate kubeconfig: in the user's file kind would change the current context.
fn kubeconfig(sh: &Shell) -> Result<PathBuf> {
    Ok(cache::root(sh)?.join("kind.kubeconfig"))
}

fn kind<'a>(sh: &'a Shell, arguments: &[&str]) -> Result<Cmd<'a>> {
    prepare(sh)?;
    Ok(cmd!(sh, "kind {arguments...}").quiet())
}

//! The Argo CD of an existing cluster.

use std::io::{Write, stderr};
use std::path::PathBuf;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::argocd::ArgoCd;
use crate::cluster::Cluster;
use xtask::project::cache;

/// Finds Argo CD by its settings, and uses it through the Kubernetes API. So anyone who may use the context needs no account
/// of Argo CD, and its server need not be reachable from this machine.
pub(crate) fn find(
    sh: &Shell,
    cli: PathBuf,
    Cluster { kubeconfig, kubectl, .. }: &Cluster,
) -> Result<ArgoCd> {
    let settings = ["get", "configmaps", "--all-namespaces", "--field-selector=metadata.name=argocd-cm"];
    let output = "--output=jsonpath={.items[*].metadata.namespace}";
    let namespaces = cmd!(sh, "{kubectl} --kubeconfig {kubeconfig} {settings...} {output}").quiet().read()?;
    let namespace = namespaces.split_whitespace().next().context(
        "there is no Argo CD in this cluster: no namespace has its ConfigMap `argocd-cm`\n\
         hint: install it there, or use `--provider local`",
    )?;
    writeln!(stderr(), "argocd: found in namespace `{namespace}`")?;
    // The CLI takes Argo CD's namespace from the kubeconfig.
    let own = cache::root(sh)?.join("argocd-context.kubeconfig");
    cmd!(sh, "cp {kubeconfig} {own}").quiet().run()?;
    cmd!(sh, "{kubectl} --kubeconfig {own} config set-context --current --namespace {namespace}")
        .quiet()
        .ignore_stdout()
        .run()?;
    let environment = vec![("KUBECONFIG", own.display().to_string()), ("ARGOCD_OPTS", "--core".to_owned())];
    Ok(ArgoCd { cli, namespace: namespace.to_owned(), environment })
}

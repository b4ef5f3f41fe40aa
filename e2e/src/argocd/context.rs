//! The Argo CD of a cluster that is there already.

use std::io::{Write, stderr};
use std::path::PathBuf;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::argocd::ArgoCd;
use crate::cluster::Cluster;
use xtask::project::cache;

/// Finds it by its settings, and speaks to it through the Kubernetes API: whoever may use the context needs no account of
/// Argo CD's, and its server need not be reachable from here.
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
    writeln!(stderr(), "argocd: the one in namespace `{namespace}`")?;
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

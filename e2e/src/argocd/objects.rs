//! Argo CD's objects in the cluster: the kinds it defines and its settings, from the sources that its programs are built from.

use std::path::Path;

use anyhow::{Context, Result};
use xshell::{Cmd, Shell, cmd};

use crate::argocd::NAMESPACE;
use crate::argocd::layout::Layout;

/// The kinds that are deleted while the controllers run.
const KINDS: &str = "applicationsets.argoproj.io,applications.argoproj.io";

/// How long the controller may take to delete what its applications applied.
const DELETION: &str = "--timeout=90s";

/// A cluster that answers.
pub(crate) struct Reachable<'a> {
    sh: &'a Shell,
    state: &'a Layout,
}

impl Reachable<'_> {
    fn kubectl(&self, arguments: &[&str]) -> Cmd<'_> {
        let (kubectl, kubeconfig) = (self.state.program("kubectl"), self.state.kubeconfig());
        let sh = self.sh;
        cmd!(sh, "{kubectl} --kubeconfig {kubeconfig} {arguments...}").quiet()
    }
}

/// The cluster that Argo CD was started on, if it is still there.
pub(crate) fn cluster<'a>(sh: &'a Shell, state: &'a Layout) -> Option<Reachable<'a>> {
    let cluster = Reachable { sh, state };
    let version = cluster.kubectl(&["version", "--request-timeout=5s"]);
    version.ignore_stdout().ignore_stderr().run().is_ok().then_some(cluster)
}

pub(crate) fn reachable<'a>(sh: &'a Shell, state: &'a Layout) -> Result<Reachable<'a>> {
    cluster(sh, state).context("the cluster does not answer")
}

pub(crate) fn apply(cluster: &Reachable, sources: &Path) -> Result<()> {
    let namespace = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}");
    let apply = ["apply", "--server-side", "--force-conflicts"];
    cluster.kubectl(&apply).arg("--filename=-").stdin(namespace).ignore_stdout().run()?;
    for folder in FOLDERS {
        cluster.kubectl(&apply).arg("--kustomize").arg(sources.join(folder)).ignore_stdout().run()?;
    }
    let established = ["wait", "--for=condition=Established", "--timeout=30s", "crd"];
    let names = ["applications.argoproj.io", "applicationsets.argoproj.io", "appprojects.argoproj.io"];
    cluster.kubectl(&[&established[..], &names].concat()).ignore_stdout().run()?;
    Ok(())
}

const FOLDERS: [&str; 2] = ["manifests/crds", "manifests/base/config"];

/// Deletes the applications while the controllers run. An application that asks for it takes its objects along.
pub(crate) fn delete_applications(cluster: &Reachable) -> Result<()> {
    let delete = ["delete", KINDS, "--all", "--ignore-not-found", DELETION];
    let deleted = cluster.kubectl(&delete).ignore_stdout().ignore_stderr().run();
    if deleted.is_err() {
        // An application that cannot be deleted properly, because its controller ended, must not block the rest.
        let list = ["get", KINDS, "--output=name", "--ignore-not-found"];
        let left = cluster.kubectl(&list).ignore_stderr().read().unwrap_or_default();
        for name in left.lines() {
            let patch = ["patch", name, "--type=merge", "--patch", r#"{"metadata":{"finalizers":null}}"#];
            cluster.kubectl(&patch).ignore_stdout().run()?;
        }
    }
    Ok(())
}

/// Deletes everything that [`apply`] and Argo CD itself created.
pub(crate) fn delete(cluster: &Reachable, sources: &Path) -> Result<()> {
    let crds = sources.join(FOLDERS[0]);
    let delete = ["delete", "--ignore-not-found", "--wait", "--timeout=60s"];
    cluster.kubectl(&delete).arg("--kustomize").arg(crds).ignore_stdout().run()?;
    cluster.kubectl(&delete).args(["namespace", NAMESPACE]).ignore_stdout().run()?;
    Ok(())
}

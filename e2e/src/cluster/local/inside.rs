//! The node's side inside of its namespaces: prepares and starts everything, and watches it until the end.
//!
//! A component that ends stops the node. Otherwise the rest of the node would only fail later, and with a less clear error.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::cluster::local::components::{self, Component};
use crate::cluster::local::layout::{ADDRESS, Layout, NODE};
use crate::cluster::local::{dns, files, import, mounts, network};
use xtask::project::tail::tail;

/// How long the node may take until it runs pods. It takes seconds, even on a busy machine.
pub(crate) const BOUND: Duration = Duration::from_mins(3);

/// A component, and its process.
type Running = Vec<(&'static str, Child)>;

pub(crate) fn run(sh: &Shell, node: &Layout) -> Result<()> {
    let deadline = Instant::now() + BOUND;
    // The checkout may be below a folder that the node hides, see `mounts.rs`.
    sh.change_dir("/");
    files::write(&node.entered(), "")?;
    files::wait_for(&node.cgroups_ready(), BOUND, || Ok(()))?;
    mounts::prepare(sh)?;
    network::prepare(sh)?;

    let mut running = Running::new();
    start(node, &mut running, components::foundation(node))?;
    let socket = node.containerd_socket();
    wait(node, &mut running, deadline, "containerd", || {
        succeeds(cmd!(sh, "ctr --address {socket} --timeout 5s version"))
    })?;
    import(sh, node, &node.pause_image())?;
    let ready = ["get", "--raw", "/readyz"];
    wait(node, &mut running, deadline, "kube-apiserver", || kubectl(sh, node, &ready))?;
    start(node, &mut running, components::workers(node))?;
    let storage = node.config("storage.json");
    let (kubectl_program, admin) = (node.program("kubectl"), node.pki("admin.kubeconfig"));
    cmd!(sh, "{kubectl_program} --kubeconfig {admin} --request-timeout=30s create --filename {storage}")
        .quiet()
        .ignore_stdout()
        .run()?;

    let ready = ["wait", "--for=condition=Ready", "--timeout=1s", "node", NODE];
    wait(node, &mut running, deadline, "kubelet", || kubectl(sh, node, &ready))?;
    // No pod is admitted without it.
    let account = ["get", "serviceaccount", "default"];
    wait(node, &mut running, deadline, "kube-controller-manager", || kubectl(sh, node, &account))?;
    let name = "kubernetes.default.svc.cluster.local";
    wait(node, &mut running, deadline, "coredns", || dns::resolves(ADDRESS, name))?;
    files::write(&node.started(), "")?;

    loop {
        check(node, &mut running)?;
        thread::sleep(files::POLL);
    }
}

fn start(node: &Layout, running: &mut Running, components: Vec<Component>) -> Result<()> {
    for Component { name, program, arguments } in components {
        let log = File::create(node.log(name))?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start `{name}`"))?;
        running.push((name, child));
    }
    Ok(())
}

/// Waits until the condition is true that this component brings about.
fn wait(
    node: &Layout,
    running: &mut Running,
    deadline: Instant,
    name: &str,
    mut is_done: impl FnMut() -> bool,
) -> Result<()> {
    while !is_done() {
        check(node, running)?;
        if Instant::now() > deadline {
            bail!("`{name}` is not ready after {} s; {}", BOUND.as_secs(), tail(&node.log(name)));
        }
        thread::sleep(files::POLL);
    }
    Ok(())
}

fn check(node: &Layout, running: &mut Running) -> Result<()> {
    for (name, child) in running {
        if let Some(status) = child.try_wait()? {
            bail!("`{name}` ended, {status}; {}", tail(&node.log(name)));
        }
    }
    Ok(())
}

fn kubectl(sh: &Shell, node: &Layout, arguments: &[&str]) -> bool {
    let (kubectl, admin) = (node.program("kubectl"), node.pki("admin.kubeconfig"));
    succeeds(cmd!(sh, "{kubectl} --kubeconfig {admin} --request-timeout=5s {arguments...}"))
}

fn succeeds(command: xshell::Cmd<'_>) -> bool {
    command.quiet().ignore_stdout().ignore_stderr().run().is_ok()
}

//! The node's side outside of its namespaces: prepares its files and cgroups, and enters the namespaces.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::cluster::local::layout::Layout;
use crate::cluster::local::{cgroup, config, files, inside, mounts, pki, storage};
use crate::stand_in;
use xtask::project::tail::tail;

/// The machine's programs. Nothing of the caller's environment reaches a node.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The node's process fails first, and logs why.
const BOUND: Duration = Duration::from_secs(inside::BOUND.as_secs() + 30);

/// Writes everything that a node reads, and links the programs that were built for it.
pub(crate) fn prepare(sh: &Shell, node: &Layout, port: Option<u16>, programs: &[PathBuf]) -> Result<()> {
    let port = free_port(port)?;
    for folder in [node.logs(), node.program(""), node.data("")] {
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    }
    mounts::expect_seen(node.state())?;
    for program in programs {
        let name = program.file_name().context("a program has a name")?;
        symlink(program, node.program("").join(name))?;
    }
    fs::copy(std::env::current_exe()?, node.program("e2e")).context("copy this program")?;
    pki::write(node, port)?;
    config::write(node)?;
    storage::write(node)?;
    stand_in::pause(sh, &node.pause_image())?;
    files::write(&node.port(), &port.to_string())?;

    let cgroups = cgroup::folders(&format!("corveil-node-{}", std::process::id()))?;
    // Recorded before they are created, so that they are removed even if a later step fails.
    let list: Vec<_> = cgroups.iter().map(|folder| folder.display().to_string()).collect();
    files::write(&node.cgroups_file(), &list.join("\n"))?;
    cgroup::create(&cgroups)
}

/// Starts the node, and waits until it takes pods.
pub(crate) fn start(sh: &Shell, node: &Layout) -> Result<()> {
    let log = File::create(node.log("node"))?;
    // Closing the terminal must not stop the node.
    let mut child = Command::new("setsid")
        .arg(node.program("e2e"))
        .args(["cluster", "node", "outside"])
        .arg(node.state())
        .current_dir("/")
        .env_clear()
        .env("PATH", PATH)
        // kubectl keeps a cache in its home folder, or in the working folder without one.
        .env("HOME", node.state())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("start `setsid`")?;
    let mut wait_for = |path: &Path| match files::wait_for(path, BOUND, || lives(&mut child)) {
        Ok(()) => Ok(()),
        Err(error) => bail!("the node did not come up: {error}; {}", tail(&node.log("node"))),
    };
    wait_for(&node.entered())?;
    cgroup::make_ready_for_pods(&node.cgroups()?)?;
    files::write(&node.cgroups_ready(), "")?;
    wait_for(&node.started())?;
    expect_answer(sh, node)?;
    // Both programs before it `exec` the next, so this is the number of the process.
    files::write(&node.ready(), &child.id().to_string())
}

/// Another program may have the port by now; then `socat` has ended.
fn expect_answer(sh: &Shell, node: &Layout) -> Result<()> {
    let (kubectl, kubeconfig) = (node.program("kubectl"), node.kubeconfig());
    let ask = ["get", "--raw", "/readyz", "--request-timeout=30s"];
    let output = cmd!(sh, "{kubectl} --kubeconfig {kubeconfig} {ask...}").quiet().ignore_status().output()?;
    if output.status.success() {
        return Ok(());
    }
    let (port, error) = (port(node)?, String::from_utf8_lossy(&output.stderr));
    let tail = tail(&node.log("node"));
    bail!("the node does not answer on port {port}: {}; {tail}", error.trim())
}

/// The port of the API on the machine's loopback.
pub(crate) fn port(node: &Layout) -> Result<u16> {
    let file = node.port();
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    text.parse().with_context(|| format!("{} holds no port", file.display()))
}

fn lives(child: &mut Child) -> Result<()> {
    match child.try_wait()? {
        Some(status) => bail!("it ended: {status}"),
        None => Ok(()),
    }
}

/// Runs as a separate process, and becomes the one that holds the namespaces.
pub(crate) fn enter(node: &Layout) -> Result<()> {
    cgroup::enter(&node.cgroups()?)?;
    let port = port(node)?;
    // Forwards connections from the machine's loopback, and from nowhere else, to the socket of the node.
    Command::new("socat")
        .arg(format!("TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,backlog=128"))
        .arg(format!("UNIX-CONNECT:{}", node.api_socket().display()))
        .spawn()
        .context("start `socat`")?;
    let namespaces = ["--net", "--mount", "--pid", "--uts", "--ipc", "--cgroup"];
    // tini waits for processes whose parents have ended; otherwise they would stay as zombies.
    let error = Command::new("unshare")
        .args(namespaces)
        .args(["--fork", "--kill-child", "--mount-proc", "--propagation", "private", "--", "tini", "--"])
        .arg(node.program("e2e"))
        .args(["cluster", "node", "inside"])
        .arg(node.state())
        .exec();
    Err(error).context("start `unshare`")
}

/// The requested port, or any free one. Nothing holds it until the node starts, but no other program is expected to ask for
/// it meanwhile.
fn free_port(wanted: Option<u16>) -> Result<u16> {
    let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted.unwrap_or(0))) else {
        bail!("port {} is taken\nhint: leave out `--port`", wanted.unwrap_or_default());
    };
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_the_requested_one_or_free() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = taken.local_addr().expect("it is bound").port();
        assert!(free_port(Some(port)).is_err());
        let free = free_port(None).expect("a port");
        assert_ne!(free, port);
        assert_eq!(free_port(Some(free)).expect("it is free"), free);
    }
}

//! A node on this machine: etcd, Kubernetes, CoreDNS and containerd, from programs that are built here.
//!
//! All of it runs in one cgroup and in separate namespaces. Killing every process in that cgroup stops the node: no process
//! can leave it, and mounts, network and pods vanish with the last one.

mod cgroup;
mod components;
mod config;
mod dns;
pub(crate) mod files;
mod inside;
mod layout;
mod mounts;
mod network;
mod outside;
mod pki;
mod storage;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::cluster::{Cluster, Provider};
use crate::packages;
use layout::Layout;
use xtask::project::cache;
use xtask::project::tail::tail;
use xtask::tools::{self, NODE};

/// The node's part of `up`. Each step is a separate process.
#[derive(clap::Args)]
pub(crate) struct Stage {
    side: Side,
    state: PathBuf,
}

/// Which side of the node's namespaces.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Side {
    Outside,
    Inside,
}

pub(crate) fn run(sh: &Shell, Stage { side, state }: &Stage) -> Result<()> {
    let node = Layout::at(state.clone());
    match side {
        Side::Outside => outside::enter(&node),
        Side::Inside => inside::run(sh, &node),
    }
}

pub(crate) fn prepare(sh: &Shell) -> Result<()> {
    be_root(sh)?;
    packages::node(sh)
}

pub(crate) fn up(sh: &Shell, port: Option<u16>) -> Result<Cluster> {
    let programs = tools::ensure(sh, &NODE)?;
    let _lock = cache::lock(sh, "cluster")?;
    let node = layout(sh)?;
    if let Some(cluster) = find(&node) {
        let there = outside::port(&node)?;
        if port.is_some_and(|port| port != there) {
            bail!(
                "the cluster is up already, on port {there}\nhint: leave out `--port`, or stop it with `cargo xtask cluster down`"
            );
        }
        writeln!(stderr(), "cluster: already up")?;
        storage::renew(sh, &node)?;
        return Ok(cluster);
    }
    let start = Instant::now();
    // Removes what a node left that did not end by `down`.
    remove(sh, &node)?;
    outside::prepare(sh, &node, port, &programs)?;
    if let Err(error) = outside::start(sh, &node) {
        cgroup::remove(sh, &node.cgroups()?)?;
        bail!("{error:#}\nhint: more in {}; `cargo xtask cluster down` removes it", node.logs().display());
    }
    writeln!(stderr(), "cluster: up in {:.1} s", start.elapsed().as_secs_f32())?;
    Ok(cluster(&node))
}

pub(crate) fn down(sh: &Shell, keep_logs: Option<&Path>) -> Result<()> {
    be_root(sh)?;
    let _lock = cache::lock(sh, "cluster")?;
    let node = layout(sh)?;
    if !node.state().exists() {
        writeln!(stderr(), "cluster: not up")?;
        return Ok(());
    }
    let start = Instant::now();
    cgroup::remove(sh, &node.cgroups()?)?;
    if let Some(folder) = keep_logs {
        sh.create_dir(folder)?;
        let logs = node.logs();
        cmd!(sh, "cp --recursive --no-target-directory {logs} {folder}").quiet().run()?;
    }
    remove(sh, &node)?;
    writeln!(stderr(), "cluster: down in {:.1} s", start.elapsed().as_secs_f32())?;
    Ok(())
}

/// The cluster that an earlier run started. Where the node has ended since, its log is printed: "not up" would not explain
/// that.
pub(crate) fn running(sh: &Shell) -> Result<Option<Cluster>> {
    // Only root starts clusters. Other users have another cache, in which no cluster can be.
    be_root(sh)?;
    let node = layout(sh)?;
    let cluster = find(&node);
    if cluster.is_none() && node.ready().exists() {
        writeln!(stderr(), "cluster: the node ended; {}", tail(&node.log("node")))?;
    }
    Ok(cluster)
}

/// The process that holds the node's namespaces.
pub(crate) fn process(sh: &Shell) -> Result<String> {
    let ready = layout(sh)?.ready();
    fs::read_to_string(&ready).with_context(|| format!("read {}", ready.display()))
}

/// The lines of `status` that only a local node has.
pub(crate) fn describe(sh: &Shell) -> Result<String> {
    let node = layout(sh)?;
    let processes = cgroup::processes(&node.cgroups()?);
    let names: BTreeSet<_> = processes.into_iter().filter_map(program).collect();
    let names: Vec<_> = names.into_iter().collect();
    Ok(format!("logs {}\nprograms {}\n", node.logs().display(), names.join(" ")))
}

/// The name of the program that a process runs; none for one that has ended by now.
fn program(process: u32) -> Option<String> {
    let program = fs::read_link(format!("/proc/{process}/exe")).ok()?;
    Some(program.file_name()?.to_string_lossy().into_owned())
}

/// Loads images, and returns the references by which pods name them.
pub(crate) fn load(sh: &Shell, images: &[PathBuf]) -> Result<Vec<String>> {
    let node = layout(sh)?;
    let mut references = Vec::new();
    for image in images {
        references.extend(import(sh, &node, image)?);
    }
    Ok(references)
}

/// Through the socket, which is a file like any other: the node's namespaces do not hide it.
fn import(sh: &Shell, node: &Layout, image: &Path) -> Result<Vec<String>> {
    let socket = node.containerd_socket();
    let socket = socket.to_str().context("a path in UTF-8")?;
    let ctr = ["--address", socket, "--namespace", "k8s.io", "--timeout", "5m"];
    let output = cmd!(sh, "ctr {ctr...} images import {image}").quiet().read();
    let output = output.with_context(|| format!("cannot load `{}`", image.display()))?;
    let references = references(&output);
    if references.is_empty() {
        bail!(
            "`{}` holds no image with a name\nhint: it has to be an OCI or docker archive",
            image.display()
        );
    }
    Ok(references)
}

/// Reads what `ctr images import` prints: `unpacking localhost/a:1 (sha256:…)...done`, or `localhost/a:1   saved` since 2.0.
fn references(output: &str) -> Vec<String> {
    let reference = |line: &str| {
        let mut words = line.trim().trim_start_matches("unpacking ").split_whitespace();
        let reference = words.next()?;
        let is_reference = reference.contains('/') && !reference.starts_with("application/");
        (is_reference && words.next().is_some()).then(|| reference.to_owned())
    };
    output.lines().filter_map(reference).collect()
}

/// The node is up as long as the process runs that holds the namespaces. Another process with the same number is in another
/// cgroup.
fn find(node: &Layout) -> Option<Cluster> {
    let holder = fs::read_to_string(node.ready()).ok()?.parse().ok()?;
    let is_up = cgroup::processes(&node.cgroups().ok()?).contains(&holder);
    is_up.then(|| cluster(node))
}

fn cluster(node: &Layout) -> Cluster {
    Cluster { provider: Provider::Local, kubeconfig: node.kubeconfig(), kubectl: node.program("kubectl") }
}

/// Ends the node's processes and removes its files. The kernel reports whether anything is left.
fn remove(sh: &Shell, node: &Layout) -> Result<()> {
    let cgroups = node.cgroups()?;
    cgroup::remove(sh, &cgroups)?;
    cgroup::expect_gone(&cgroups)?;
    // Checked before the files are removed: the contents of a mount among them would be removed too.
    mounts::expect_none_below(node.state())?;
    sh.remove_path(node.state())?;
    Ok(())
}

fn layout(sh: &Shell) -> Result<Layout> {
    Ok(Layout::at(cache::root(sh)?.join("cluster")))
}

fn be_root(sh: &Shell) -> Result<()> {
    if cmd!(sh, "id -u").quiet().read()? == "0" {
        return Ok(());
    }
    bail!("a local cluster needs root, for its namespaces and mounts\nhint: use `sudo`, or `--provider kind`")
}

#[cfg(test)]
mod tests {
    use super::references;

    #[test]
    fn finds_references_in_the_output_of_either_ctr() {
        let old = "unpacking docker.io/library/a:1 (sha256:12)...done\nunpacking localhost/b:2 (sha256:34)...done\n";
        assert_eq!(references(old), ["docker.io/library/a:1", "localhost/b:2"]);
        let new = "localhost/b:2                 \tsaved\t\napplication/vnd.oci.image.manifest.v1+json sha256:12\nImporting\telapsed: 0.1 s\n";
        assert_eq!(references(new), ["localhost/b:2"]);
        assert!(references("").is_empty());
    }
}

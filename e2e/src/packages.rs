//! Installs Debian's packages that the clusters and the images of the scenarios need.

use std::path::Path;

use anyhow::Result;
use xshell::Shell;
use xtask::image::product;
use xtask::project::packages::{install, is_installed, itself, missing};

use crate::stand_in::machine;

/// Programs of a local cluster, and the packages they are in.
const NODE: [(&str, &str); 7] = [
    ("conntrack", "conntrack"),
    ("containerd", "containerd"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("runc", "runc"),
    ("socat", "socat"),
    ("tini", "tini"),
];

/// Where Debian keeps the plugins of the container network interface.
pub(crate) const CNI: &str = "/usr/lib/cni";

/// Installs what the images of the end-to-end tests are made of.
pub(crate) fn images(sh: &Shell) -> Result<()> {
    let mut missing = Vec::new();
    if machine::busybox(sh).is_err() {
        missing.push(machine::BUSYBOX);
    }
    if machine::client("psql").is_err() {
        missing.push(machine::CLIENT);
    }
    // npm downloads the PostgreSQL server.
    if !is_installed("npm") {
        missing.push("npm");
    }
    if !Path::new(product::DEBIAN).is_dir() {
        missing.push("ca-certificates");
    }
    install(
        sh,
        &missing,
        "the end-to-end tests need Debian's `busybox-static`, `postgresql-client`, `npm` and `ca-certificates`\n\
         hint: run them on Debian or Ubuntu, or in a container of one",
    )
}

/// Installs what a local cluster runs in addition to the programs that are built for it.
pub(crate) fn node(sh: &Shell) -> Result<()> {
    let mut missing = missing(&NODE);
    if !Path::new(CNI).join("bridge").is_file() {
        missing.push("containernetworking-plugins");
    }
    if machine::busybox(sh).is_err() {
        missing.push(machine::BUSYBOX);
    }
    install(
        sh,
        &missing,
        "a local cluster needs programs that are packages of Debian and Ubuntu\n\
         hint: use a machine with `apt-get`, or `--provider kind`",
    )
}

/// Installs what Argo CD runs in addition to the programs that are built for it.
pub(crate) fn argocd(sh: &Shell) -> Result<()> {
    install(
        sh,
        &missing(&["git", "gpg", "redis-server"].map(itself)),
        "Argo CD needs `git`, `gpg` and `redis-server`\n\
         hint: `dnf install git gnupg2 redis`, or `brew install git gnupg redis`",
    )
}

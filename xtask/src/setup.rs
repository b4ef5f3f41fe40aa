//! The programs that tests and clusters run, installed where there is a package manager we know.

use std::path::Path;

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use crate::image::product;
use crate::image::stand_in::machine;

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

/// What `cargo xtask test` runs. Clusters and their images need more, and say so themselves.
pub(crate) fn run(sh: &Shell) -> Result<()> {
    servers(sh)?;
    release(sh)?;
    registry(sh)
}

fn servers(sh: &Shell) -> Result<()> {
    let mut missing = Vec::new();
    if std::env::var_os("CORVEIL_TEST_POSTGRES_BIN").is_none() && !is_installed("initdb") {
        missing.push("postgresql");
    }
    if !is_installed("pgbouncer") {
        missing.push("pgbouncer");
    }
    install(
        sh,
        &missing,
        "the tests need `initdb`, `pg_ctl` and `postgres` of PostgreSQL 15 or newer, and `pgbouncer`\n\
         hint: `dnf install postgresql-server pgbouncer`, or `brew install postgresql@18 pgbouncer`",
    )
}

/// What other tools that migrate databases are installed with, and run on. Diesel's links to PostgreSQL's own client.
pub(crate) fn migrators(sh: &Shell) -> Result<()> {
    let mut missing = missing(&[("mvn", "maven"), ("javac", "default-jdk-headless"), ("npm", "npm")]);
    let answers = |program: &str, argument: &[&str]| {
        let ask = cmd!(sh, "{program} {argument...}").quiet().ignore_stdout().ignore_stderr();
        ask.run().is_ok()
    };
    if !answers("python3", &["-m", "pip", "--version"]) {
        missing.push("python3-pip");
    }
    if !answers("pg_config", &["--includedir"]) {
        missing.push("libpq-dev");
    }
    install(
        sh,
        &missing,
        "the tests run other tools that migrate databases, which need `mvn`, `javac`, `npm`, `python3` with pip, and libpq\n\
         hint: `dnf install maven java-devel npm python3-pip libpq-devel`, or `brew install maven openjdk node python libpq`",
    )
}

/// What the images of the end-to-end tests are made of.
pub(crate) fn images(sh: &Shell) -> Result<()> {
    let mut missing = Vec::new();
    if machine::busybox(sh).is_err() {
        missing.push(machine::BUSYBOX);
    }
    if machine::client("psql").is_err() {
        missing.push(machine::CLIENT);
    }
    // Fetches the server.
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

/// What a local cluster runs besides the programs that are built for it.
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

/// What Argo CD runs besides the programs that are built for it.
pub(crate) fn argocd(sh: &Shell) -> Result<()> {
    install(
        sh,
        &missing(&["git", "gpg", "redis-server"].map(itself)),
        "Argo CD needs `git`, `gpg` and `redis-server`\n\
         hint: `dnf install git gnupg2 redis`, or `brew install git gnupg redis`",
    )
}

/// What a release copies images with.
pub(crate) fn release(sh: &Shell) -> Result<()> {
    install(
        sh,
        &missing(&["git", "skopeo"].map(itself)),
        "a release needs `git` and `skopeo`\nhint: `dnf install git skopeo`, or `brew install git skopeo`",
    )
}

/// A registry on this machine, for the tests of a release.
pub(crate) fn registry(sh: &Shell) -> Result<()> {
    install(
        sh,
        &missing(&["docker-registry"].map(itself)),
        "the tests of a release need the program `docker-registry`\n\
         hint: it is a package of Debian and Ubuntu; run them there, or in a container of one",
    )
}

/// The packages of programs that are not there.
fn missing(programs: &[(&str, &'static str)]) -> Vec<&'static str> {
    programs.iter().filter(|(program, _)| !is_installed(program)).map(|&(_, package)| package).collect()
}

/// A program in the package of its name.
const fn itself(program: &'static str) -> (&'static str, &'static str) {
    (program, program)
}

/// Installs Debian's packages, or says what to do where there are none.
fn install(sh: &Shell, missing: &[&str], elsewhere: &str) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("{elsewhere}");
    }
    let is_root = cmd!(sh, "id -u").quiet().read()? == "0";
    // Both take variables before the program. Without a terminal a package that asks a question would wait for ever.
    let as_root = if is_root { "env" } else { "sudo" };
    let apt_get = ["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"];
    cmd!(sh, "{as_root} {apt_get...} update").run()?;
    cmd!(sh, "{as_root} {apt_get...} install --yes --no-install-recommends {missing...}").run()?;
    Ok(())
}

/// Looks where the tests look: on the PATH, and where packages put what they keep off it.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin".into(), "/opt/homebrew/bin".into()]);
    for parent in ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"] {
        let versions = Path::new(parent).read_dir().into_iter().flatten().flatten();
        folders.extend(versions.map(|version| version.path().join("bin")));
    }
    folders.iter().any(|folder| folder.join(program).is_file())
}

//! The program as it is in the image: optimised, without the embedded server, and in need of no library.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::image::architecture::Architecture;
use crate::project::cargo::cargo;

/// Apart from other builds, which have other flags.
const TARGET: &str = "target/image/build";

/// Builds the program if it is out of date, and says where it is.
///
/// Linked statically against glibc, which reads files and asks name servers without its plug-ins: the names of Services
/// resolve in an image that has nothing else.
pub(super) fn build(sh: &Shell, architecture: Architecture) -> Result<PathBuf> {
    architecture.ensure(sh)?;
    let version = cmd!(sh, "rustc --version --verbose").quiet().read()?;
    let commit = version.lines().find_map(|line| line.strip_prefix("commit-hash: "));
    let flags = flags(sh, commit.context("`rustc --version --verbose` names no commit-hash")?)?;
    // Named although it may be this machine: otherwise the flags would be those of build scripts and procedural macros too.
    let target = architecture.target();
    let build = cargo(sh, &["build", "--release", "--locked", "--no-default-features", "--bin", "corveil"])
        .args(["--target", target, "--target-dir", TARGET])
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        // What stands between Cargo and the compiler is a part of every symbol's name: another program, by its bytes.
        .env_remove("RUSTC_WORKSPACE_WRAPPER");
    architecture.compile(build)?.run()?;
    Ok(path(crate::project::root(), architecture))
}

/// Where the program is once it is built.
pub fn path(root: &Path, architecture: Architecture) -> PathBuf {
    root.join(TARGET).join(architecture.target()).join("release/corveil")
}

/// Static linking, and names of our own for the folders of this machine, which panics would tell otherwise.
fn flags(sh: &Shell, commit: &str) -> Result<OsString> {
    let sysroot = PathBuf::from(cmd!(sh, "rustc --print sysroot").quiet().read()?);
    let mut renamed = vec![(crate::project::root().to_owned(), "/corveil".to_owned())];
    // Named after the registry's address, or that of a mirror. They exist: this program's own sources came that way.
    for folder in folders(&cargo_home()?.join("registry/src")) {
        renamed.push((folder, "/registry".to_owned()));
    }
    // What Rust itself says where its sources are not installed.
    renamed.push((sysroot.join("lib/rustlib/src/rust"), format!("/rustc/{commit}")));
    let mut flags = OsString::from("-Ctarget-feature=+crt-static");
    for (from, to) in renamed {
        flags.push("\x1f--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    Ok(flags)
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    let home = std::env::var_os("HOME").context("neither `CARGO_HOME` nor `HOME` is set")?;
    Ok(PathBuf::from(home).join(".cargo"))
}

/// In order: other flags would be another build.
fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut folders: Vec<_> = entries.map(|entry| entry.path()).collect();
    folders.sort();
    folders
}

//! Builds the program for the image: optimized, without the embedded server, and statically linked.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::image::architecture::Architecture;
use crate::project::cargo::cargo;

/// Separate from other builds, which have other flags.
const TARGET: &str = "target/image/build";

/// Builds the program if it is out of date, and returns its path.
///
/// It is linked statically against glibc, which reads files and queries name servers without its plug-ins. So the names of
/// Services resolve in an image without libraries.
pub(super) fn build(sh: &Shell, architecture: Architecture) -> Result<PathBuf> {
    architecture.ensure(sh)?;
    let version = cmd!(sh, "rustc --version --verbose").quiet().read()?;
    let commit = version.lines().find_map(|line| line.strip_prefix("commit-hash: "));
    let flags = flags(sh, commit.context("`rustc --version --verbose` names no commit-hash")?)?;
    // The target is named even if it is this machine: otherwise the flags would also apply to build scripts and procedural
    // macros.
    let target = architecture.target();
    let build = cargo(sh, &["build", "--release", "--locked", "--no-default-features", "--bin", "corveil"])
        .args(["--target", target, "--target-dir", TARGET])
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        // A wrapper between Cargo and the compiler would change the name of every symbol, and so the bytes of the program.
        .env_remove("RUSTC_WORKSPACE_WRAPPER");
    architecture.compile(build)?.run()?;
    Ok(path(crate::project::root(), architecture))
}

/// The path of the program once it is built.
pub fn path(root: &Path, architecture: Architecture) -> PathBuf {
    root.join(TARGET).join(architecture.target()).join("release/corveil")
}

/// Flags for static linking, and for fixed names in place of the folders of this machine, which panics would otherwise print.
fn flags(sh: &Shell, commit: &str) -> Result<OsString> {
    let sysroot = PathBuf::from(cmd!(sh, "rustc --print sysroot").quiet().read()?);
    let mut renamed = vec![(crate::project::root().to_owned(), "/corveil".to_owned())];
    // Cargo names these folders after the address of the registry or of a mirror. They exist, as the sources of this
    // program's dependencies are in them.
    for folder in folders(&cargo_home()?.join("registry/src")) {
        renamed.push((folder, "/registry".to_owned()));
    }
    // The name that Rust itself uses where its sources are not installed.
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

/// Sorted, because flags in another order would be another build.
fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut folders: Vec<_> = entries.map(|entry| entry.path()).collect();
    folders.sort();
    folders
}

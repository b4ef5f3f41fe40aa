//! Builds a program from its Go module, at the version that the module pins.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use xshell::{Shell, cmd};

use crate::cache;
use crate::tools::Program;
use crate::tools::version::Version;

/// The program in the cache; built unless an earlier run did, or one at this moment does.
pub(super) fn build(sh: &Shell, program: &Program) -> Result<PathBuf> {
    let Program { name, package, .. } = program;
    let made = cache::folder(sh, &folder(sh, program)?, |partial| {
        let whole = partial.join("whole");
        let to = whole.join(name);
        let flags = link_flags(sh, program)?;
        // The module must be complete as committed, and a program must not depend on the checkout's commit or folder.
        let arguments = ["-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags", &flags];
        go(sh, name, &["build"])?.args(arguments).arg("-o").arg(to).arg(package).run()?;
        Ok(whole)
    })?;
    Ok(made.join(name))
}

/// The program's folder in the cache.
pub(super) fn folder(sh: &Shell, program: &Program) -> Result<String> {
    key(sh, program.name, &link_flags(sh, program)?)
}

/// Names what is made from a module after everything that is in it, and after how it is made.
pub(super) fn key(sh: &Shell, name: &str, how: &str) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(how);
    for file in ["go.mod", "go.sum"] {
        hash.update(sh.read_binary_file(module(name).join(file))?);
    }
    let mut key = format!("{name}-");
    for byte in &hash.finalize()[..8] {
        write!(key, "{byte:02x}")?;
    }
    Ok(key)
}

/// The version in the program's `go.mod`: `v1.2.3`.
pub(super) fn pinned(sh: &Shell, program: &Program) -> Result<String> {
    version_of(sh, program.name, program.module)
}

/// Smaller programs that know their versions.
fn link_flags(sh: &Shell, program: &Program) -> Result<String> {
    let mut flags = format!("-s -w -X {}={}", program.variable, pinned(sh, program)?);
    if !program.assumes.is_empty() {
        // The client of Kubernetes 1.37 is 0.37.
        let client = version_of(sh, program.name, "k8s.io/client-go")?;
        let minor = Version::find(&client).context("`k8s.io/client-go` has a version")?.minor;
        for package in program.assumes {
            write!(flags, " -X {package}.k8sVersionMajor=1 -X {package}.k8sVersionMinor={minor}")?;
        }
    }
    Ok(flags)
}

fn version_of(sh: &Shell, name: &str, required_module: &str) -> Result<String> {
    let path = module(name).join("go.mod");
    let text = sh.read_file(&path)?;
    let version = required(&text, required_module);
    let version = version.with_context(|| format!("no `{required_module}` in {}", path.display()))?;
    Ok(version.to_owned())
}

/// Go in the module's folder, or what to install.
pub(super) fn go<'a>(sh: &'a Shell, name: &str, arguments: &[&str]) -> Result<xshell::Cmd<'a>> {
    let folder = module(name);
    let needed = sh.read_file(folder.join("go.mod"))?;
    let needed = needed.lines().find_map(|line| line.strip_prefix("go ")).context("no `go` in `go.mod`")?;
    // Go would fetch the Go that a module asks for: another compiler than the machine's, from a place not asked.
    let installed = cmd!(sh, "go env GOVERSION").env("GOTOOLCHAIN", "local").quiet().ignore_stderr().read();
    let hint = format!("hint: install Go {needed} or newer, from https://go.dev/dl");
    match installed {
        Err(_) => bail!("`{name}` is made with `go`, which is not there\n{hint}"),
        Ok(installed) if numbers(&installed) < numbers(needed) => {
            bail!("`{name}` needs Go {needed}, this is {installed}\n{hint}")
        }
        Ok(_) => {}
    }
    let go = cmd!(sh, "go -C {folder} {arguments...}").quiet();
    // Without C the programs run on any machine, and no compiler is needed but Go's. A workspace around the checkout would
    // replace versions that are pinned.
    Ok(go.env("GOTOOLCHAIN", "local").env("GOWORK", "off").env("CGO_ENABLED", "0"))
}

/// The version of a required module.
fn required<'a>(go_mod: &'a str, module: &str) -> Option<&'a str> {
    go_mod.lines().find_map(|line| {
        let mut words = line.trim().trim_start_matches("require ").split(' ');
        if words.next()? == module { words.next() } else { None }
    })
}

/// `go1.26.8` and `1.26.8` alike, in a form that compares.
fn numbers(version: &str) -> Vec<u32> {
    let version = version.trim_start_matches("go");
    // A release candidate, `1.27rc1`, or an experiment, `1.26.8-X:name`.
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    version[..end].split('.').filter_map(|number| number.parse().ok()).collect()
}

fn module(name: &str) -> PathBuf {
    crate::root().join(Path::new("xtask/tools").join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_module_requires() {
        let text = "module tools/a\n\ntool x.org/b\n\nrequire (\n\tx.org/a v0.1.0 // indirect\n\tx.org/b v1.2.3\n)\n";
        assert_eq!(required(text, "x.org/a"), Some("v0.1.0"));
        assert_eq!(required(text, "x.org/b"), Some("v1.2.3"));
        assert_eq!(required(text, "x.org"), None);
        assert_eq!(required("require x.org/b v1.2.3\n", "x.org/b"), Some("v1.2.3"));
    }

    #[test]
    fn compares_versions_of_go_by_their_numbers() {
        assert!(numbers("go1.26.8") > numbers("1.26.6"));
        assert!(numbers("go1.26.10") > numbers("1.26.9"));
        assert!(numbers("go1.27rc1") > numbers("1.26.6"));
        assert!(numbers("go1.9") < numbers("1.26.0"));
        assert_eq!(numbers("go1.26.8-X:nogreenteagc"), numbers("1.26.8"));
    }
}

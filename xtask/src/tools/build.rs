//! Builds the programs of a Go module, at the version that the module pins.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::project::cache;
use crate::tools::table::{Module, Setting};
use crate::tools::version::Version;

/// How much garbage Go's compiler, which is written in Go, leaves before it collects it, in percent of the memory in use. The
/// compiler ends long before memory runs out. It saves a seventh of the time of a build (kustomize 5.8: 92 instead of 108 s
/// of CPU).
const COMPILERS_GARBAGE: &str = "800";

/// Modules whose programs run as long as the node. The others run for seconds, and are built without inlining, which saves a
/// third of the time of a build. That does not change their behavior, so it is not part of their key in the cache.
const BUSY: [&str; 3] = ["coredns", "etcd", "kubernetes"];

/// The folder in the cache with the module's programs; built unless another run has built them or is building them.
pub(super) fn build(sh: &Shell, module: &Module) -> Result<PathBuf> {
    cache::folder(sh, &folder(sh, module)?, |partial| {
        let whole = partial.join("whole");
        sh.create_dir(&whole)?;
        // Several programs go into the folder under the names that Go gives them.
        let to = if let [_] = module.packages { whole.join(module.name) } else { whole.clone() };
        let flags = link_flags(sh, module)?;
        // The module must be complete as committed, and a program must not depend on the checkout's commit or folder.
        let arguments =
            ["-mod=readonly", "-buildvcs=false", "-trimpath", "-tags", module.tags, "-ldflags", &flags];
        let build = go(sh, module.name, &["build"])?.args(arguments).env("GOGC", COMPILERS_GARBAGE);
        let build = if BUSY.contains(&module.name) { build } else { build.arg("-gcflags=all=-l") };
        build.arg("-o").arg(to).args(module.packages).run()?;
        Ok(whole)
    })
}

/// The module's folder in the cache.
pub(super) fn folder(sh: &Shell, module: &Module) -> Result<String> {
    key(sh, module.name, &format!("{}{}", link_flags(sh, module)?, module.tags))
}

/// A name for what is made from a module.
pub(super) fn key(sh: &Shell, name: &str, how: &str) -> Result<String> {
    cache::key(sh, name, how, ["go.mod", "go.sum"].map(|file| module_folder(name).join(file)))
}

/// The version in the module's `go.mod`: `v1.2.3`.
pub(super) fn pinned(sh: &Shell, module: &Module) -> Result<String> {
    version_of(sh, module.name, module.pins)
}

/// The sources of the module's programs, downloaded unless they are cached.
pub(super) fn sources(sh: &Shell, module: &Module) -> Result<PathBuf> {
    let answer = go(sh, module.name, &["mod", "download", "-json", module.pins])?.read()?;
    let answer: serde_json::Value = serde_json::from_str(&answer)?;
    let folder = answer["Dir"].as_str().context("`go mod download` names a folder")?;
    Ok(folder.into())
}

/// Flags that make programs smaller, and set their versions.
fn link_flags(sh: &Shell, module: &Module) -> Result<String> {
    let mut flags = "-s -w".to_owned();
    let pinned = pinned(sh, module)?;
    let version = Version::find(&pinned).with_context(|| format!("`{}` has a version", module.pins))?;
    for (variable, setting) in module.variables {
        let value = match setting {
            Setting::Version => pinned.clone(),
            Setting::Number => pinned.trim_start_matches('v').to_owned(),
            Setting::Major => version.major.to_string(),
            Setting::Minor => version.minor.to_string(),
            Setting::Kubernetes => {
                // The client of Kubernetes 1.37 is 0.37.
                let client = version_of(sh, module.name, "k8s.io/client-go")?;
                let client = Version::find(&client).context("`k8s.io/client-go` has a version")?;
                client.minor.to_string()
            }
            Setting::Is(value) => (*value).to_owned(),
        };
        write!(flags, " -X {variable}={value}")?;
    }
    Ok(flags)
}

fn version_of(sh: &Shell, name: &str, required_module: &str) -> Result<String> {
    let path = module_folder(name).join("go.mod");
    let text = sh.read_file(&path)?;
    let version = required(&text, required_module);
    let version = version.with_context(|| format!("no `{required_module}` in {}", path.display()))?;
    Ok(version.to_owned())
}

/// Go in the module's folder; the error names what to install.
pub(super) fn go<'a>(sh: &'a Shell, name: &str, arguments: &[&str]) -> Result<xshell::Cmd<'a>> {
    let folder = module_folder(name);
    let needed = sh.read_file(folder.join("go.mod"))?;
    let needed = needed.lines().find_map(|line| line.strip_prefix("go ")).context("no `go` in `go.mod`")?;
    // Otherwise Go would download the Go version that a module requires, instead of using the machine's compiler.
    let installed = cmd!(sh, "go env GOVERSION").env("GOTOOLCHAIN", "local").quiet().ignore_stderr().read();
    let hint = format!("hint: install Go {needed} or newer, from https://go.dev/dl");
    match installed {
        Err(_) => bail!("`{name}` is built with `go`, which is not installed\n{hint}"),
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

/// The numbers of `go1.26.8` or `1.26.8`, to compare them.
fn numbers(version: &str) -> Vec<u32> {
    let version = version.trim_start_matches("go");
    // A release candidate, `1.27rc1`, or an experiment, `1.26.8-X:name`.
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    version[..end].split('.').filter_map(|number| number.parse().ok()).collect()
}

fn module_folder(name: &str) -> PathBuf {
    crate::project::root().join(Path::new("xtask/tools").join(name))
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

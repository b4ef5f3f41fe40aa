//! Installs programs that tasks run from Debian's packages, where `apt-get` exists.

use std::path::Path;

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

/// The packages of those programs that are not installed.
pub fn missing(programs: &[(&str, &'static str)]) -> Vec<&'static str> {
    programs.iter().filter(|(program, _)| !is_installed(program)).map(|&(_, package)| package).collect()
}

/// A program whose package has the same name.
pub const fn itself(program: &'static str) -> (&'static str, &'static str) {
    (program, program)
}

/// Installs Debian's packages, or fails with `elsewhere`, which names what other systems need.
pub fn install(sh: &Shell, missing: &[&str], elsewhere: &str) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("{elsewhere}");
    }
    let is_root = cmd!(sh, "id -u").quiet().read()? == "0";
    // Both take variables before the program. Without a terminal, a package that asks a question would wait forever.
    let as_root = if is_root { "env" } else { "sudo" };
    let apt_get = ["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"];
    cmd!(sh, "{as_root} {apt_get...} update").run()?;
    cmd!(sh, "{as_root} {apt_get...} install --yes --no-install-recommends {missing...}").run()?;
    Ok(())
}

/// Whether the program is where the tests search for it: on the PATH, or in the folders where packages put programs that are
/// not on the PATH.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin".into(), "/opt/homebrew/bin".into()]);
    for parent in ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"] {
        let versions = Path::new(parent).read_dir().into_iter().flatten().flatten();
        folders.extend(versions.map(|version| version.path().join("bin")));
    }
    folders.iter().any(|folder| folder.join(program).is_file())
}

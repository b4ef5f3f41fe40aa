//! Makes three releases of this checkout with `cargo xtask release`, in a registry that the cluster's node reaches.

mod registry;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::builds::FIRST;
use crate::cluster::Provider;
use crate::releases::registry::Registry;
use xtask::project::cargo::xtask;
use xtask::project::released;

/// The migration that each release adds to the one before: its name and its SQL.
const ADDED: [Option<(&str, &str)>; 3] = [
    None,
    Some(("add_users_locale", "ALTER TABLE users ADD COLUMN locale text;\n")),
    Some((BROKEN, "ALTER TABLE users ADD COLUMN zone text NOT NULL;\n")),
];

/// A migration that fails where `users` has rows. One that failed everywhere would fail the checks of a release.
pub(crate) const BROKEN: &str = "add_users_zone";

/// The server's error for it.
pub(crate) const CAUSE: &str = "column \"zone\" of relation \"users\" contains null values";

pub(crate) struct Releases {
    registry: Registry,
    /// In order: one to begin with, one with a new migration, one with a broken one.
    pub(crate) all: [Release; 3],
}

/// One release.
pub(crate) struct Release {
    pub(crate) version: String,
    /// The image, by its digest.
    pub(crate) image: String,
    /// A clone at the tag.
    pub(crate) folder: PathBuf,
}

impl Releases {
    /// Makes the releases. Their builds are kept for the next run.
    pub(crate) fn make(sh: &Shell, provider: Provider) -> Result<Self> {
        let folder = xtask::project::root().join("target/e2e-releases");
        let registry = Registry::start(sh, &folder.join("registry"), provider)?;
        let sh = checkout(&folder.join("checkout"))?;
        let next = |minor: usize| -> Result<String> {
            let (major, rest) = released::version().split_once('.').context("a version has three numbers")?;
            let now: usize = rest.split('.').next().unwrap_or_default().parse()?;
            Ok(format!("{major}.{}.0", now + minor + 1))
        };
        let mut all = Vec::new();
        for (number, added) in ADDED.into_iter().enumerate() {
            let version = next(number)?;
            let note = added.map_or("The first of these releases.", |(name, _)| name);
            let changelog = sh.read_file("CHANGELOG.md")?;
            let heading = "## [Unreleased]\n";
            let entry = format!("{heading}\n### Changed\n\n- {note}\n");
            sh.write_file("CHANGELOG.md", changelog.replacen(heading, &entry, 1))?;
            if let Some((name, text)) = added {
                sh.write_file(format!("migrations/{:04}_{name}.sql", FIRST + number), text)?;
                // A new migration is committed together with its snapshot of the schema.
                xtask(&sh, &["gen"])?.quiet().ignore_stdout().run()?;
            }
            cmd!(sh, "git add --all").quiet().run()?;
            cmd!(sh, "git commit --quiet --message {note}").quiet().run()?;
            all.push(release(&sh, &registry, &folder, version)?);
        }
        let all = all.try_into().ok().context("there are three of them")?;
        Ok(Self { registry, all })
    }

    /// The folder of charts in the registry, without `oci://`.
    pub(crate) fn charts(&self) -> String {
        format!("{}/charts", self.registry.address())
    }
}

/// A clone of this checkout, without changes of an earlier run.
fn checkout(root: &Path) -> Result<Shell> {
    let sh = Shell::new()?;
    sh.create_dir(root)?;
    sh.change_dir(root);
    for entry in sh.read_dir(".")?.into_iter().filter(|entry| !entry.ends_with("target")) {
        sh.remove_path(entry)?;
    }
    let origin = xtask::project::root();
    cmd!(sh, "git init --quiet --initial-branch main").quiet().run()?;
    cmd!(sh, "git fetch --quiet --no-tags {origin} HEAD").quiet().run()?;
    cmd!(sh, "git reset --quiet --hard FETCH_HEAD").quiet().run()?;
    for (name, value) in
        [("user.name", "e2e"), ("user.email", "e2e@example.com"), ("commit.gpgSign", "false")]
    {
        cmd!(sh, "git config {name} {value}").quiet().run()?;
    }
    Ok(sh)
}

fn release(sh: &Shell, registry: &Registry, folder: &Path, version: String) -> Result<Release> {
    let to = format!("oci://{}", registry.address());
    // The scenarios do not test the checks of a release, and most of those checks are a run of the scenarios.
    let arguments = ["release", &version, "--registry", &to, "--check", "git status"];
    let log = folder.join(format!("{version}.log"));
    let output = xtask(sh, &arguments)?
        // Optimizing would take minutes of the processors from scenarios that run at the same time, and none depends on it.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .quiet()
        .ignore_status()
        .output()?;
    fs::write(&log, [output.stdout, output.stderr].concat())?;
    anyhow::ensure!(
        output.status.success(),
        "release {version} failed; {}",
        xtask::project::tail::tail(&log)
    );
    let (root, tag, clone) = (sh.current_dir(), format!("v{version}"), folder.join(&version));
    sh.remove_path(&clone)?;
    cmd!(sh, "git -c advice.detachedHead=false clone --quiet --branch {tag} {root} {clone}").quiet().run()?;
    let image = released::read(&clone)?.image(&version);
    Ok(Release { version, image, folder: clone })
}

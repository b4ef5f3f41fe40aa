//! A git repository on this machine: one for each scenario, so that a commit of one scenario does not refresh the others.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::world::World;

/// The branch that an Application follows.
pub(crate) const BRANCH: &str = "main";

/// The environment's values, including the build's tag, relative to the chart's folder. JSON is YAML.
pub(crate) const VALUES: &str = "../environment.yaml";

/// A commit, and when it was made.
#[derive(Clone)]
pub(crate) struct Commit {
    pub(crate) id: String,
    pub(crate) at: SystemTime,
}

pub(crate) struct Repository<'a> {
    world: &'a World<'a>,
    folder: PathBuf,
}

impl<'a> Repository<'a> {
    /// Creates a repository with the chart of this checkout and the plain manifests.
    pub(crate) fn new(world: &'a World<'a>) -> Result<Self> {
        let repository = Self { world, folder: world.folder.join("repository") };
        if repository.folder.exists() {
            return Ok(repository);
        }
        fs::create_dir_all(&repository.folder)?;
        repository.git(&["init", "--quiet", "--initial-branch", BRANCH])?;
        let root = xtask::project::root();
        for (from, to) in [(world.stage.chart.clone(), "chart"), (root.join("argocd/migrate"), "migrate")] {
            copy(&from, &repository.folder.join(to))?;
        }
        Ok(repository)
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.folder.display())
    }

    /// Commits the environment's values.
    pub(crate) fn commit_values(&self, values: &Value) -> Result<Commit> {
        self.commit(&[("environment.yaml", &serde_json::to_string_pretty(values)?)])
    }

    /// Writes the files and commits everything, even without a change.
    pub(crate) fn commit(&self, files: &[(&str, &str)]) -> Result<Commit> {
        for (name, text) in files {
            let path = self.folder.join(name);
            fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
            fs::write(path, text)?;
        }
        self.git(&["add", "--all"])?;
        let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
        self.git(&["commit", "--quiet", "--allow-empty", "--message", &format!("Set {}", names.join(", "))])?;
        let commit =
            Commit { id: self.git(&["rev-parse", "HEAD"])?.trim().to_owned(), at: SystemTime::now() };
        self.world.record(&format!("committed {}: {}", commit.id, names.join(", ")))?;
        Ok(commit)
    }

    /// Reverts the newest commit with another one.
    pub(crate) fn revert(&self) -> Result<Commit> {
        self.git(&["revert", "--no-edit", "HEAD"])?;
        let commit =
            Commit { id: self.git(&["rev-parse", "HEAD"])?.trim().to_owned(), at: SystemTime::now() };
        self.world.record(&format!("reverted by {}", commit.id))?;
        Ok(commit)
    }

    fn git(&self, arguments: &[&str]) -> Result<String> {
        let mut git = Command::new("git");
        // None of the user's settings, such as signing.
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        git.args(["-c", "user.name=e2e", "-c", "user.email=e2e@example.com"]).args(arguments);
        let output = git.current_dir(&self.folder).output()?;
        ensure!(
            output.status.success(),
            "git {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

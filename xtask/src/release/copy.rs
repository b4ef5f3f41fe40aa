//! A copy of the checkout, in which a release is written, built and committed.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::release::version::Version;

pub(super) struct Copy {
    shell: Shell,
    root: PathBuf,
}

impl Copy {
    /// Makes the copy at the commit, whatever an earlier release left there. Its builds are kept next to it, for the next
    /// release.
    pub(super) fn of(sh: &Shell, root: &Path, commit: &str) -> Result<Self> {
        let shell = Shell::new()?;
        shell.change_dir(root.parent().context("the copy is in a folder")?);
        // Git does not recognize an interrupted clone, and would run its commands on the checkout around it.
        shell.set_var("GIT_CEILING_DIRECTORIES", shell.current_dir());
        if root.exists() && prepare(&shell, root, commit).is_err() {
            sh.remove_path(root)?;
        }
        if !root.exists() {
            // The copy shares the objects of the checkout, and writes nothing there.
            let origin = crate::project::root();
            cmd!(sh, "git clone --quiet --shared --no-checkout --no-tags {origin} {root}").run()?;
            prepare(&shell, root, commit)?;
        }
        let (builds, target) = (root.with_file_name("builds"), root.join("target"));
        sh.create_dir(&builds)?;
        if !target.is_symlink() {
            symlink(&builds, &target).with_context(|| format!("link {}", target.display()))?;
        }
        shell.change_dir(root);
        Ok(Self { shell, root: root.to_owned() })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// A shell whose commands run in the copy.
    pub(super) fn shell(&self) -> &Shell {
        &self.shell
    }

    pub(super) fn read(&self, path: &str) -> Result<String> {
        Ok(self.shell.read_file(path)?)
    }

    pub(super) fn write(&self, path: &str, text: &str) -> Result<()> {
        Ok(self.shell.write_file(path, text)?)
    }

    /// Everything that differs from the commit.
    pub(super) fn diff(&self) -> Result<String> {
        let sh = &self.shell;
        cmd!(sh, "git add --all").run()?;
        Ok(cmd!(sh, "git diff --cached --no-color --no-ext-diff").read()?)
    }

    /// Commits the copy with the identity of the checkout's user, and returns the commit.
    pub(super) fn commit(&self, version: Version) -> Result<String> {
        let sh = &self.shell;
        let message = format!("Release {version}");
        let origin = Shell::new()?;
        origin.change_dir(crate::project::root());
        let setting = |name: &str| cmd!(origin, "git config {name}").ignore_status().read();
        // The copy does not have the settings of the checkout.
        let mut settings = Vec::new();
        for name in ["user.name", "user.email", "user.signingKey", "gpg.format", "commit.gpgSign"] {
            let value = setting(name)?;
            if !value.is_empty() {
                settings.extend(["-c".to_owned(), format!("{name}={value}")]);
            }
        }
        cmd!(sh, "git add --all").run()?;
        let commit = cmd!(sh, "git {settings...} commit --quiet --no-verify --message {message}").run();
        commit.context("commit the release")?;
        Ok(cmd!(sh, "git rev-parse HEAD").read()?)
    }
}

/// Resets the copy to the commit. Ignored files stay, such as the link to the builds.
fn prepare(sh: &Shell, root: &Path, commit: &str) -> Result<()> {
    let _in_it = sh.push_dir(root);
    cmd!(sh, "git checkout --quiet --force --detach {commit}").run()?;
    cmd!(sh, "git clean --quiet --force -d").run()?;
    Ok(())
}

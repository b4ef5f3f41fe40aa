//! The user's own checkout: looked at first, and changed in the last step alone.
//!
//! The tag comes before the branch. So a release that was ended between the two, or while git was writing files, is known by
//! its tag, and is finished by the next run.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use xshell::{Cmd, Shell, cmd};

use crate::project::released;
use crate::release::copy::Copy;
use crate::release::version::Version;

/// Where a release begins.
pub(super) enum Start {
    /// A commit that becomes the parent of the version's.
    New { commit: String },
    /// The version's commit is there.
    Tagged { commit: String },
}

impl Start {
    pub(super) fn commit(&self) -> &str {
        let (Self::New { commit } | Self::Tagged { commit }) = self;
        commit
    }
}

/// What is to be released, or why it cannot be.
pub(super) fn look(sh: &Shell, version: Version, is_dry: bool) -> Result<Start> {
    let head = cmd!(sh, "git rev-parse HEAD").read()?;
    let tag = version.tag();
    let reference = format!("refs/tags/{tag}^{{commit}}");
    let tagged = cmd!(sh, "git rev-parse --quiet --verify {reference}").ignore_status().read()?;
    if !tagged.is_empty() {
        // A first commit has none.
        let parent = cmd!(sh, "git rev-parse --quiet --verify {tagged}~1").ignore_status().read()?;
        if head == parent {
            ensure!(
                !is_dry,
                "{version} was broken off as it was being finished\nhint: `cargo xtask release {version}` goes on"
            );
            go_on(sh, &tagged)?;
        } else {
            ensure!(
                head == tagged,
                "{version} is released already, as {tag}\nhint: check that out, or choose a greater version"
            );
        }
    }
    expect_clean(sh)?;
    if !tagged.is_empty() {
        return Ok(Start::Tagged { commit: tagged });
    }
    let now: Version = released::version().parse()?;
    // Its own is the first of all: it would have a tag otherwise.
    ensure!(version >= now, "{version} is not greater than {now}, the version of the checkout");
    // Neither of these is for the last step to find out.
    cmd!(sh, "git var GIT_COMMITTER_IDENT").ignore_stdout().run().context("git does not know who commits")?;
    Ok(Start::New { commit: head })
}

/// Files that are not committed would not be released, and could be lost.
pub(super) fn expect_clean(sh: &Shell) -> Result<()> {
    let status = cmd!(sh, "git status --porcelain --untracked-files=normal").read()?;
    ensure!(status.is_empty(), "the tree is not clean\n{status}\nhint: commit or stash, and release then");
    Ok(())
}

/// The tag is there, and the branch is not: git was ended before or while it wrote the files. What differs has to be the
/// tag's; anything else is somebody's work.
fn go_on(sh: &Shell, commit: &str) -> Result<()> {
    let changed = cmd!(sh, "git status --porcelain --untracked-files=all --no-renames -z").read()?;
    for path in changed.split('\0').filter_map(|entry| entry.get(3..)) {
        let at = format!("{commit}:{path}");
        let theirs = cmd!(sh, "git rev-parse --quiet --verify {at}").ignore_status().read()?;
        let place = crate::project::root().join(path);
        let ours = if place.exists() { cmd!(sh, "git hash-object -- {path}").read()? } else { String::new() };
        ensure!(
            ours == theirs,
            "`{path}` is neither committed nor of the release that was broken off\nhint: commit or stash it"
        );
    }
    // Git's own, ended with it: nothing else writes while the lock of releases is held, as far as anybody can know.
    let lock = cmd!(sh, "git rev-parse --git-path index.lock").read()?;
    if !changed.is_empty() && Path::new(&lock).exists() {
        fs::remove_file(&lock).with_context(|| format!("remove {lock}"))?;
    }
    cmd!(sh, "git reset --quiet --hard {commit}").run().context("finish the release that was broken off")
}

/// The version's commit and its tag, and the branch moved to it. A branch that moved meanwhile stays where it is, without
/// the tag.
pub(super) fn finish(sh: &Shell, copy: &Copy, version: Version, parent: &str) -> Result<()> {
    let commit = copy.commit(version)?;
    let head = cmd!(sh, "git rev-parse HEAD").read()?;
    ensure!(head == parent, "the branch moved while the release was made\nhint: release the next version");
    expect_clean(sh)?;
    let [fetch, tag, merge] = commands(sh, copy, version);
    fetch.run()?;
    tag.run()?;
    if let Err(error) = merge.run() {
        let name = version.tag();
        cmd!(sh, "git tag --delete {name}").run()?;
        return Err(error).context("the branch cannot be moved to the release");
    }
    let head = cmd!(sh, "git rev-parse HEAD").read()?;
    ensure!(head == commit, "the branch is at {head}, not at the release {commit}");
    Ok(())
}

/// What [`finish`] runs in the checkout.
pub(super) fn commands<'a>(sh: &'a Shell, copy: &Copy, version: Version) -> [Cmd<'a>; 3] {
    let (from, tag, message) = (copy.root(), version.tag(), format!("corveil {version}"));
    [
        cmd!(sh, "git fetch --quiet --no-tags {from} HEAD"),
        cmd!(sh, "git tag --annotate {tag} --message {message} FETCH_HEAD"),
        cmd!(sh, "git merge --quiet --ff-only {tag}"),
    ]
}

/// What to push.
pub(super) fn branch(sh: &Shell) -> Result<String> {
    let branch = cmd!(sh, "git branch --show-current").read()?;
    Ok(if branch.is_empty() { "HEAD".to_owned() } else { branch })
}

//! The user's checkout. The first step inspects it, and only the last step changes it.
//!
//! The tag comes before the branch. So a release that was interrupted between the two, or while git wrote files, has a tag,
//! and the next run finishes it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use xshell::{Cmd, Shell, cmd};

use crate::project::released;
use crate::release::copy::Copy;
use crate::release::version::Version;

/// The state from which a release starts.
pub(super) enum Start {
    /// The commit that becomes the parent of the version's commit.
    New { commit: String },
    /// The version's commit exists already.
    Tagged { commit: String },
}

impl Start {
    pub(super) fn commit(&self) -> &str {
        let (Self::New { commit } | Self::Tagged { commit }) = self;
        commit
    }
}

/// Returns the start of the release, or why the version cannot be released.
pub(super) fn inspect(sh: &Shell, version: Version, is_dry: bool) -> Result<Start> {
    let head = cmd!(sh, "git rev-parse HEAD").read()?;
    let tag = version.tag();
    let reference = format!("refs/tags/{tag}^{{commit}}");
    let tagged = cmd!(sh, "git rev-parse --quiet --verify {reference}").ignore_status().read()?;
    if !tagged.is_empty() {
        // A first commit has no parent.
        let parent = cmd!(sh, "git rev-parse --quiet --verify {tagged}~1").ignore_status().read()?;
        if head == parent {
            ensure!(
                !is_dry,
                "the release of {version} was interrupted in its last step\nhint: `cargo xtask release {version}` finishes it"
            );
            resume(sh, &tagged)?;
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
    // The checkout's version is allowed for the first release: after that it would have a tag.
    ensure!(version >= now, "{version} is not greater than {now}, the version of the checkout");
    // Both are checked here, so that the last step does not fail on them.
    cmd!(sh, "git var GIT_COMMITTER_IDENT")
        .ignore_stdout()
        .run()
        .context("git has no identity for the commit")?;
    Ok(Start::New { commit: head })
}

/// Files that are not committed would not be released, and could be lost.
pub(super) fn expect_clean(sh: &Shell) -> Result<()> {
    let status = cmd!(sh, "git status --porcelain --untracked-files=normal").read()?;
    ensure!(
        status.is_empty(),
        "the working tree is not clean\n{status}\nhint: commit or stash the changes, then release"
    );
    Ok(())
}

/// Finishes a release whose tag exists, but not the branch: git was interrupted before or while it wrote the files. Each file
/// that differs has to be that of the tag; anything else is a user's change.
fn resume(sh: &Shell, commit: &str) -> Result<()> {
    let changed = cmd!(sh, "git status --porcelain --untracked-files=all --no-renames -z").read()?;
    for path in changed.split('\0').filter_map(|entry| entry.get(3..)) {
        let at = format!("{commit}:{path}");
        let theirs = cmd!(sh, "git rev-parse --quiet --verify {at}").ignore_status().read()?;
        let place = crate::project::root().join(path);
        let content =
            if place.exists() { cmd!(sh, "git hash-object -- {path}").read()? } else { String::new() };
        ensure!(
            content == theirs,
            "`{path}` is neither committed nor part of the interrupted release\nhint: commit or stash it"
        );
    }
    // The interrupted git left its lock. This run holds the lock of releases, so no other release writes here.
    let lock = cmd!(sh, "git rev-parse --git-path index.lock").read()?;
    if !changed.is_empty() && Path::new(&lock).exists() {
        fs::remove_file(&lock).with_context(|| format!("remove {lock}"))?;
    }
    cmd!(sh, "git reset --quiet --hard {commit}").run().context("finish the interrupted release")
}

/// Fetches the version's commit, tags it, and moves the branch to it. If the branch moved meanwhile, it stays where it is,
/// and the tag is deleted.
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

/// The commands that [`finish`] runs in the checkout.
pub(super) fn commands<'a>(sh: &'a Shell, copy: &Copy, version: Version) -> [Cmd<'a>; 3] {
    let (from, tag, message) = (copy.root(), version.tag(), format!("corveil {version}"));
    [
        cmd!(sh, "git fetch --quiet --no-tags {from} HEAD"),
        cmd!(sh, "git tag --annotate {tag} --message {message} FETCH_HEAD"),
        cmd!(sh, "git merge --quiet --ff-only {tag}"),
    ]
}

/// The branch to push.
pub(super) fn branch(sh: &Shell) -> Result<String> {
    let branch = cmd!(sh, "git branch --show-current").read()?;
    Ok(if branch.is_empty() { "HEAD".to_owned() } else { branch })
}

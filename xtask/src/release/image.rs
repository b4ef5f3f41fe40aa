//! The image of a release, built in its copy.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::project::cargo::xtask;
use crate::release::copy::Copy;

pub(super) struct Image {
    /// An OCI archive with one image in it.
    pub(super) archive: PathBuf,
    /// Of its manifest, by which a registry serves it.
    pub(super) digest: String,
}

impl Image {
    pub(super) fn build(copy: &Copy, folder: &Path) -> Result<Self> {
        let told = xtask(copy.shell(), &["image"])?.read()?;
        let mut lines = told.lines();
        let (built, digest) = (lines.next(), lines.next());
        let (built, digest) = built.zip(digest).context("`cargo xtask image` tells a file and a digest")?;
        let archive = folder.join("corveil.tar");
        fs::copy(built, &archive).with_context(|| format!("copy {built}"))?;
        Ok(Self { archive, digest: digest.to_owned() })
    }
}

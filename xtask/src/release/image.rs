//! Builds the image of a release in its copy, and the programs for users without containers.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::image::architecture::Architecture;
use crate::image::layer::{Entry, Layer};
use crate::image::program;
use crate::project::cargo::xtask;
use crate::release::copy::Copy;
use crate::release::version::Version;

pub(super) struct Image {
    /// An OCI archive with an index of one image for each architecture.
    pub(super) archive: PathBuf,
    /// The digest of the index, by which a registry serves it.
    pub(super) digest: String,
}

impl Image {
    pub(super) fn build(copy: &Copy, folder: &Path) -> Result<Self> {
        let printed = xtask(copy.shell(), &["image"])?.read()?;
        let mut lines = printed.lines();
        let (built, digest) = (lines.next(), lines.next());
        let (built, digest) = built.zip(digest).context("`cargo xtask image` printed no file and digest")?;
        let archive = folder.join("corveil.tar");
        fs::copy(built, &archive).with_context(|| format!("copy {built}"))?;
        Ok(Self { archive, digest: digest.to_owned() })
    }

    /// Writes each program as an archive, `corveil-2.1.0-linux-amd64.tar.gz`, and the `SHA256SUMS` of all, for machines
    /// without containers. The same program gives the same bytes.
    pub(super) fn write_programs(copy: &Copy, folder: &Path, version: Version) -> Result<()> {
        let mut sums = String::new();
        for architecture in Architecture::ALL {
            let program = program::path(copy.root(), architecture);
            let program = fs::read(&program).with_context(|| format!("read {}", program.display()))?;
            let archive = Layer::new(vec![Entry::file("corveil", 0o755, program)])?;
            let name = format!("corveil-{version}-linux-{}.tar.gz", architecture.name());
            let sum = archive.digest.trim_start_matches("sha256:");
            writeln!(sums, "{sum}  {name}")?;
            let path = folder.join(name);
            fs::write(&path, &archive.blob).with_context(|| format!("write {}", path.display()))?;
        }
        let path = folder.join("SHA256SUMS");
        fs::write(&path, sums).with_context(|| format!("write {}", path.display()))
    }
}

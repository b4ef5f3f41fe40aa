//! `cargo xtask image`: makes the container image without Docker, and the images that the end-to-end tests run.
//!
//! It is the only recipe: a `Dockerfile` could not give the same bytes for the same sources and the same Rust, by which the
//! workflow of a release checks what was pushed. On a machine that has Docker and no Rust, run it in Rust's own image:
//!
//! ```sh
//! docker run --rm --volume "$PWD:/corveil" --workdir /corveil rust:1.95.0-bookworm cargo xtask image --native
//! docker load --input target/image/corveil-amd64.tar
//! ```

pub mod architecture;
pub mod archive;
pub mod layer;
pub mod product;
pub mod program;

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::Shell;

use crate::image::architecture::Architecture;
use crate::image::archive::{Image, Written};
use crate::image::layer::{Entry, Layer};

const FOLDER: &str = "target/image";

/// The limit of what a node downloads before a rollout can begin. The image is far below it, but a new dependency could
/// change that unnoticed.
const LIMIT: usize = 12_000_000;

#[derive(clap::Args)]
pub struct Args {
    /// Build only for the architecture of this machine, without a cross compiler: `target/image/corveil-amd64.tar`
    #[arg(long)]
    native: bool,
    /// Write the OCI archive to this file; the default is `target/image/corveil.tar` in the checkout
    #[arg(long, value_name = "PATH")]
    output: Option<PathBuf>,
}

pub fn run(sh: &Shell, Args { native, output }: &Args) -> Result<()> {
    let (archive, Written { digest, bytes }) =
        if *native { build_native(sh, output.clone())? } else { build_all(sh, output.clone())? };
    writeln!(stdout(), "{}\n{digest}\n{bytes} bytes compressed", archive.display())?;
    Ok(())
}

/// Builds the product's image from the current sources for this machine, and returns the archive.
pub fn corveil(sh: &Shell) -> Result<PathBuf> {
    Ok(build_native(sh, None)?.0)
}

/// Writes an image with the same program and other migrations: a new release for tests, without compiling one.
pub fn with_migrations(
    base: &Path,
    reference: &str,
    files: &[(String, Vec<u8>)],
    output: &Path,
) -> Result<()> {
    let mut image = archive::read(base)?;
    let mut entries = vec![Entry::folder("/migrations", 0o755)];
    for (name, contents) in files {
        entries.push(Entry::file(&format!("/migrations/{name}"), 0o644, &**contents));
    }
    image.layers.push(Layer::new(entries)?);
    image.defaults.set_env(corveil::env::SOURCE, "/migrations");
    reference.clone_into(&mut image.reference);
    archive::write(&image, output)?;
    Ok(())
}

fn build_native(sh: &Shell, output: Option<PathBuf>) -> Result<(PathBuf, Written)> {
    let architecture = Architecture::native()?;
    let name = format!("corveil-{}.tar", architecture.name());
    let output = output.unwrap_or_else(|| crate::project::root().join(FOLDER).join(name));
    let written = archive::write(&image(sh, architecture)?, &output)?;
    Ok((output, limited(written)?))
}

/// Builds an index with an image for each architecture.
fn build_all(sh: &Shell, output: Option<PathBuf>) -> Result<(PathBuf, Written)> {
    let output = output.unwrap_or_else(|| crate::project::root().join(FOLDER).join("corveil.tar"));
    let images: Vec<_> =
        Architecture::ALL.map(|architecture| image(sh, architecture)).into_iter().collect::<Result<_>>()?;
    let written = archive::write_index(&images, &output)?;
    Ok((output, limited(written)?))
}

fn image(sh: &Shell, architecture: Architecture) -> Result<Image> {
    let program = program::build(sh, architecture)?;
    let program = std::fs::read(&program).with_context(|| format!("read {}", program.display()))?;
    product::image(architecture, program, product::certificates()?)
}

fn limited(written: Written) -> Result<Written> {
    if written.bytes > LIMIT {
        bail!(
            "the image has {} bytes compressed, the limit is {LIMIT}\n\
             hint: `cargo tree --no-default-features`, or raise the limit in `xtask/src/image.rs`",
            written.bytes
        );
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_migrations_are_a_layer_on_the_same_program() {
        let folder = tempfile::tempdir().expect("a folder");
        let [base, first, second] = ["base", "first", "second"].map(|name| folder.path().join(name));
        let image =
            product::image(Architecture::Arm64, b"program".into(), b"certificates".into()).expect("an image");
        archive::write(&image, &base).expect("an archive");
        let files = [("0011_new.sql".to_owned(), b"SELECT 1;".to_vec())];
        with_migrations(&base, "ghcr.io/corveil/corveil:next", &files, &first).expect("an archive");
        with_migrations(&first, "ghcr.io/corveil/corveil:last", &[], &second).expect("an archive");

        let derived = archive::read(&first).expect("an image");
        assert_eq!(derived.reference, "ghcr.io/corveil/corveil:next");
        assert_eq!(derived.architecture, Architecture::Arm64);
        assert_eq!(derived.layers[0].digest, image.layers[0].digest);
        let contents = derived.layers[1].entries().expect("a layer");
        assert_eq!(contents[1], Entry::file("migrations/0011_new.sql", 0o644, "SELECT 1;"));
        let derived = archive::read(&second).expect("an image");
        assert_eq!(derived.defaults.env, ["PATH=/usr/bin", "CORVEIL_SOURCE=/migrations"]);
        assert_eq!(derived.defaults.cmd, ["corveil", "serve"]);
    }
}

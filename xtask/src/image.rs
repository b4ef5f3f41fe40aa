//! `cargo xtask image`: the container image, made without Docker, and the images that the end-to-end tests run.
//!
//! It is the only recipe: a `Dockerfile` could not give the same bytes for the same sources and the same Rust, by which the
//! workflow of a release checks what was pushed. On a machine that has Docker and no Rust, run it in Rust's own image:
//!
//! ```sh
//! docker run --rm --volume "$PWD:/corveil" --workdir /corveil rust:1.95.0-bookworm cargo xtask image
//! docker load --input target/image/corveil.tar
//! ```

pub mod archive;
pub mod layer;
pub mod product;
mod program;

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::Shell;

use crate::image::archive::Written;
use crate::image::layer::{Entry, Layer};

const ARCHIVE: &str = "target/image/corveil.tar";

/// What a node fetches before a rollout can begin. The image is far below it; a dependency may change that unnoticed.
const LIMIT: usize = 12_000_000;

#[derive(clap::Args)]
pub struct Args {
    /// Where to write the OCI archive; `target/image/corveil.tar` of the checkout otherwise.
    #[arg(long, value_name = "PATH")]
    output: Option<PathBuf>,
}

pub fn run(sh: &Shell, Args { output }: &Args) -> Result<()> {
    let output = output.clone().unwrap_or_else(archive_path);
    let Written { digest, bytes } = build(sh, &output)?;
    writeln!(stdout(), "{}\n{digest}\n{bytes} bytes compressed", output.display())?;
    Ok(())
}

/// The archive of the product's image as the sources are now.
pub fn corveil(sh: &Shell) -> Result<PathBuf> {
    let output = archive_path();
    build(sh, &output)?;
    Ok(output)
}

/// The same program with other migrations: a new release, for a test that need not compile one.
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
    image.defaults.set_env(corveil::config::env::SOURCE, "/migrations");
    reference.clone_into(&mut image.reference);
    archive::write(&image, output)?;
    Ok(())
}

fn build(sh: &Shell, output: &Path) -> Result<Written> {
    let program = program::build(sh)?;
    let program = std::fs::read(&program).with_context(|| format!("read {}", program.display()))?;
    let image = product::image(program, product::certificates()?)?;
    let written = archive::write(&image, output)?;
    if written.bytes > LIMIT {
        bail!(
            "the image has {} bytes compressed, the limit is {LIMIT}\n\
             hint: `cargo tree --no-default-features`, or raise the limit in `xtask/src/image.rs`",
            written.bytes
        );
    }
    Ok(written)
}

fn archive_path() -> PathBuf {
    crate::project::root().join(ARCHIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_migrations_are_a_layer_on_the_same_program() {
        let folder = tempfile::tempdir().expect("a folder");
        let [base, first, second] = ["base", "first", "second"].map(|name| folder.path().join(name));
        let image = product::image(b"program".into(), b"certificates".into()).expect("an image");
        archive::write(&image, &base).expect("an archive");
        let files = [("0011_new.sql".to_owned(), b"SELECT 1;".to_vec())];
        with_migrations(&base, "ghcr.io/corveil/corveil:next", &files, &first).expect("an archive");
        with_migrations(&first, "ghcr.io/corveil/corveil:last", &[], &second).expect("an archive");

        let derived = archive::read(&first).expect("an image");
        assert_eq!(derived.reference, "ghcr.io/corveil/corveil:next");
        assert_eq!(derived.layers[0].digest, image.layers[0].digest);
        let contents = derived.layers[1].entries().expect("a layer");
        assert_eq!(contents[1], Entry::file("migrations/0011_new.sql", 0o644, "SELECT 1;"));
        let derived = archive::read(&second).expect("an image");
        assert_eq!(derived.defaults.env, ["PATH=/usr/bin", "CORVEIL_SOURCE=/migrations"]);
        assert_eq!(derived.defaults.cmd, ["corveil", "serve"]);
    }
}

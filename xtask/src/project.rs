//! The checkout, and what every task does in it: run Cargo, cache builds, read manifests, install packages.

pub mod cache;
pub mod cargo;
pub mod objects;
pub mod packages;
pub mod released;
pub mod tail;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The root of the checkout, in whichever of its folders a task was called. Cargo sets a variable to the folder of the
/// package whose program it runs. A release sets it too, to run this program on a copy of the checkout.
pub fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let checkout = |package: PathBuf| package.parent().map(Path::to_owned);
        let of_cargo = std::env::var_os("CARGO_MANIFEST_DIR").and_then(|package| checkout(package.into()));
        let is_checkout = |folder: &PathBuf| folder.join("xtask/src/project.rs").is_file();
        let compiled = || checkout(env!("CARGO_MANIFEST_DIR").into());
        of_cargo.filter(is_checkout).or_else(compiled).expect("xtask is a folder of the checkout")
    });
    &ROOT
}

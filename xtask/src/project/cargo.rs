//! Cargo, called from a program that Cargo itself runs, and xtask, called as Cargo would call it.

use anyhow::{Context, Result};
use xshell::{Cmd, Shell, cmd};

/// Cargo as a person would call it.
pub fn cargo<'a>(sh: &'a Shell, arguments: &[&str]) -> Cmd<'a> {
    by_hand(cmd!(sh, "cargo {arguments...}"))
}

/// A command in the environment that a person would call it in. `cargo run` tells a program about its own package, and build
/// scripts that look there (`ring`'s does) would run again at every change between a call from here and one by hand.
pub fn by_hand(command: Cmd) -> Cmd {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let told = names.filter(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
    told.fold(command, Cmd::env_remove)
}

/// xtask, at work on the checkout that is the shell's folder. The end-to-end tests are a program next to it.
pub fn xtask<'a>(sh: &'a Shell, arguments: &[&str]) -> Result<Cmd<'a>> {
    let program = std::env::current_exe().context("find the program that runs")?.with_file_name("xtask");
    let package = sh.current_dir().join("xtask");
    Ok(cmd!(sh, "{program} {arguments...}").env("CARGO_MANIFEST_DIR", package))
}

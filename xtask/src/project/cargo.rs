//! Runs Cargo from a program that Cargo itself runs, and xtask as Cargo would run it.

use anyhow::{Context, Result};
use xshell::{Cmd, Shell, cmd};

/// Cargo in the environment of a terminal.
pub fn cargo<'a>(sh: &'a Shell, arguments: &[&str]) -> Cmd<'a> {
    by_hand(cmd!(sh, "cargo {arguments...}"))
}

/// A command in the environment of a terminal. `cargo run` sets variables about the package of the program. Build scripts
/// that read them (`ring`'s does) would run again after every change between a call from here and one by hand.
pub fn by_hand(command: Cmd) -> Cmd {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let inherited =
        names.filter(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
    inherited.fold(command, Cmd::env_remove)
}

/// Runs xtask on the checkout in the shell's folder. The program of the end-to-end tests is next to that of xtask.
pub fn xtask<'a>(sh: &'a Shell, arguments: &[&str]) -> Result<Cmd<'a>> {
    let program = std::env::current_exe().context("find the running program")?.with_file_name("xtask");
    let package = sh.current_dir().join("xtask");
    Ok(cmd!(sh, "{program} {arguments...}").env("CARGO_MANIFEST_DIR", package))
}

//! Cargo, called from a program that cargo itself runs.

use xshell::{Cmd, Shell, cmd};

/// Cargo as a person would call it. `cargo run` tells a program about its own package, and build scripts that look there
/// (`ring`'s does) would be run anew at every change between a call from here and one by hand.
pub(crate) fn cargo<'a>(sh: &'a Shell, arguments: &[&str]) -> Cmd<'a> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let ours = names.filter(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
    ours.fold(cmd!(sh, "cargo {arguments...}"), Cmd::env_remove)
}

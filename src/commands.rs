//! The commands, one file each, named as typed.

pub mod adopt;
pub mod migrate;
pub mod serve;
pub mod status;
pub mod verify;
pub mod wait;

use std::time::Instant;

use crate::cli::{Cli, Command};
use crate::error::Result;
use crate::exit::ExitCode;

/// Runs a command that started at `started`.
///
/// # Errors
/// Whatever ends the command early.
pub async fn run(cli: Cli, started: Instant) -> Result<ExitCode> {
    match cli.command {
        Command::Adopt(args) => adopt::run(args, cli.output, started).await,
        Command::Migrate(args) => migrate::run(args, cli.output, started).await,
        Command::Status(args) => status::run(args, cli.output, started).await,
        Command::Wait(args) => wait::run(args, cli.output, started).await,
        Command::Verify(args) => verify::run(args, cli.output, started).await,
        Command::Serve(args) => serve::run(args, started).await,
    }
}

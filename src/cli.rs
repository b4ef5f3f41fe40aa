//! The command line: `corveil <command>`, its flags and their help.

use std::path::PathBuf;
use std::time::Instant;

use clap::builder::PossibleValue;
use clap::{Parser, Subcommand, ValueEnum};

use crate::commands::{adopt, migrate, serve, status, verify, wait};
use crate::config::databases::Databases;
#[cfg(feature = "embedded")]
use crate::config::databases::Purpose;
use crate::config::env;
use crate::core::plan::OutOfOrder;
use crate::error::{Detail, Result};
use crate::exit::ExitCode;
use crate::output::{Format, log};

/// Schema migrations that gate rollouts
///
/// Runs before a Deployment rolls; its exit code reports whether the schema is as this build requires.
#[derive(Debug, Parser)]
#[command(name = "corveil", version, after_help = after_help())]
pub struct Cli {
    /// Format of the log on stderr
    #[arg(long, global = true, env = env::LOG_FORMAT, value_enum, default_value_t)]
    pub(crate) log_format: Format,
    /// What is logged on stderr
    #[arg(long, global = true, env = env::LOG_LEVEL, value_enum, default_value_t)]
    pub(crate) log_level: log::Level,
    /// Format of results on stdout
    #[arg(long, global = true, env = env::OUTPUT, value_enum, default_value_t)]
    pub(crate) output: Format,
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Apply the pending migrations
    Migrate(migrate::Args),
    /// Baseline: record migrations that the database already contains as applied, without running them
    #[command(visible_alias = "baseline")]
    Adopt(adopt::Args),
    /// Show applied, pending, failed and unknown migrations
    Status(status::Args),
    /// Wait for the database, or until every migration of this build is applied
    Wait(wait::Args),
    /// Check for edited and missing files, INVALID indexes, unfinished statements and drift
    Verify(verify::Args),
    /// Answer liveness and readiness probes, and serve metrics, over HTTP
    Serve(serve::Args),
}

impl Cli {
    /// Runs the command, which started at `started`, on these databases.
    pub(crate) async fn run(self, databases: &Databases, started: Instant) -> Result<ExitCode> {
        match self.command {
            Command::Adopt(args) => adopt::run(args, databases, self.output, started).await,
            Command::Migrate(args) => migrate::run(args, databases, self.output, started).await,
            Command::Status(args) => status::run(args, databases, self.output, started).await,
            Command::Wait(args) => wait::run(args, databases, self.output, started).await,
            Command::Verify(args) => verify::run(args, databases, self.output, started).await,
            Command::Serve(args) => serve::run(args, databases, started).await,
        }
    }

    /// What the command does with a database that it cannot work without; none when it can.
    #[cfg(feature = "embedded")]
    pub(crate) fn purpose(&self) -> Option<Purpose> {
        match &self.command {
            Command::Migrate(_) | Command::Adopt(_) => Some(Purpose::Migrate),
            Command::Status(_) | Command::Wait(_) | Command::Verify(_) => Some(Purpose::Read),
            Command::Serve(_) => None,
        }
    }

    /// The databases that the environment and the command's flags name.
    pub(crate) fn databases(&self) -> Databases {
        Databases::read(match &self.command {
            Command::Migrate(args) => args.scratch.url.as_ref(),
            Command::Adopt(args) => args.scratch.url.as_ref(),
            Command::Verify(args) => args.scratch.url.as_ref(),
            Command::Status(_) | Command::Wait(_) | Command::Serve(_) => None,
        })
    }

    /// The file into which a failure of this command is also written, if a flag names one.
    pub(crate) fn termination_log(&self) -> Option<PathBuf> {
        match &self.command {
            Command::Migrate(args) => args.termination_log.clone(),
            Command::Adopt(args) => args.termination_log.clone(),
            Command::Wait(args) => args.termination_log.clone(),
            Command::Status(_) | Command::Verify(_) | Command::Serve(_) => None,
        }
    }
}

fn after_help() -> String {
    use std::fmt::Write as _;
    let mut help = String::from("Exit codes:\n");
    for code in ExitCode::ALL {
        let _ = writeln!(help, "  {:>2}  {}", code.code(), code.meaning());
    }
    let _ = write!(
        help,
        "\nDatabase:\n  {:<20}  the app's database\n  {:<20}  a role with DDL rights over a direct connection; wins for \
         `migrate`\n\nExample:\n  {}=postgres://app@localhost/app corveil migrate",
        env::DATABASE_URL,
        env::MIGRATE_DATABASE_URL,
        env::DATABASE_URL
    );
    help
}

impl ValueEnum for OutOfOrder {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Fail, Self::Apply]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Fail => PossibleValue::new("fail").help("end with exit code 4"),
            Self::Apply => PossibleValue::new("apply").help("apply them, as sqlx does"),
        })
    }
}

impl ValueEnum for Detail {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::On, Self::Off]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::On => PossibleValue::new("on").help("show it"),
            Self::Off => {
                PossibleValue::new("off").help("leave it out, for logs that must not have personal data")
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn baseline_is_another_name_of_adopt() {
        let parsed = Cli::try_parse_from(["corveil", "baseline", "--to", "7", "--dry-run"]).unwrap();
        assert!(matches!(parsed.command, Command::Adopt(_)));
        let help = Cli::command().render_help().to_string();
        assert!(help.contains("[alias: baseline]"), "{help}");
    }

    #[test]
    fn every_flag_has_a_variable_and_every_command_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "`{}` has no example", command.get_name());
            for argument in command.get_arguments().filter(|a| a.get_id() != "help") {
                let name = argument.get_long().unwrap_or_default();
                let variable = argument.get_env().and_then(|v| v.to_str()).unwrap_or_default();
                assert_eq!(variable, format!("CORVEIL_{}", name.replace('-', "_").to_uppercase()));
            }
        }
    }
}

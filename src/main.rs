//! The `corveil` program: parses, starts the log, runs, and maps the result to an exit code.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use corveil::cli::Cli;
use corveil::config::trust;
use corveil::{commands, output};

fn main() -> ExitCode {
    let started = Instant::now();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return output::failure::usage(&error).into(),
    };
    output::log::start(cli.log_format, cli.log_level);
    trust::only_named(cli.scratch());
    let (format, log_format) = (cli.output, cli.log_format);
    let termination_log = cli.termination_log();
    #[cfg(feature = "embedded")]
    if let Some(purpose) = cli.purpose()
        && let Err(error) = commands::open::prepare(purpose)
    {
        return output::failure::report(&error, format, log_format, termination_log.as_deref()).into();
    }
    // One thread: a gate waits for one statement at a time, and threads cost memory and start-up.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output::failure::no_runtime(&error).into(),
    };
    let code = match runtime.block_on(commands::run(cli, started)) {
        Ok(code) => code,
        Err(error) => output::failure::report(&error, format, log_format, termination_log.as_deref()),
    };
    // A name look-up that still hangs in its thread must not delay the end.
    runtime.shutdown_background();
    code.into()
}

//! What the process does: parses, starts the log, runs, and maps the result to an exit code.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use crate::cli::Cli;
use crate::config::trust;
#[cfg(feature = "embedded")]
use crate::operations;
use crate::output::Format;
use crate::{memory, output};
use clap::Parser;

/// Runs the program.
pub fn run() -> ExitCode {
    let started = Instant::now();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ended(output::failure::usage(&error)),
    };
    output::log::start(cli.log_format, cli.log_level);
    end_on_panic(cli.log_format, cli.termination_log());
    let databases = cli.databases();
    trust::only_named(&databases);
    let (format, log_format) = (cli.output, cli.log_format);
    let termination_log = cli.termination_log();
    #[cfg(feature = "embedded")]
    if let Some(purpose) = cli.purpose()
        && let Err(error) = operations::open::prepare(&databases, purpose)
    {
        return ended(output::failure::report(&error, format, log_format, termination_log.as_deref()));
    }
    end_on_too_much_memory(format, log_format, termination_log.clone());
    // One thread: a gate waits for one statement at a time, and threads cost memory and start-up.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ended(output::failure::no_runtime(&error)),
    };
    let code = match runtime.block_on(cli.run(&databases, started)) {
        Ok(code) => code,
        Err(error) => output::failure::report(&error, format, log_format, termination_log.as_deref()),
    };
    // A name resolution that still hangs in its thread must not delay the end.
    runtime.shutdown_background();
    ended(code)
}

/// The log is written before the process ends, if anything reads it.
fn ended(code: crate::exit::ExitCode) -> ExitCode {
    output::writer::flush();
    code.into()
}

/// A panic, also of another thread and of a library, ends the process with one of Corveil's codes: the code of an abort does not
/// show whether to try again.
fn end_on_panic(log_format: Format, termination_log: Option<PathBuf>) {
    std::panic::set_hook(Box::new(move |panic| {
        let code = output::failure::panicked(&panic.to_string(), log_format, termination_log.as_deref());
        std::process::exit(code.code().into());
    }));
}

/// Ends the process before the kernel does. Its thread may be busy with what takes the memory.
fn end_on_too_much_memory(format: Format, log_format: Format, termination_log: Option<PathBuf>) {
    memory::watch(move |error| {
        let code = output::failure::report(error, format, log_format, termination_log.as_deref());
        output::writer::flush();
        std::process::exit(code.code().into());
    });
}

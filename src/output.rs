//! Everything that is printed. stdout is data, stderr is everything else.

pub(crate) mod clean;
pub(crate) mod failure;
pub(crate) mod listing;
pub(crate) mod log;
pub(crate) mod progress;
mod terminal;
pub(crate) mod writer;

use std::io::Write as _;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use crate::exit::ExitCode;

/// How something is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// What a command writes when it ends well.
#[derive(Serialize)]
struct Ended<'a, R> {
    #[serde(flatten)]
    report: &'a R,
    duration_ms: u128,
    exit_code: u8,
}

/// Writes the report of a command that ended well after that time.
pub(crate) fn report<R: Serialize>(
    report: &R,
    text_of: impl FnOnce(&R) -> String,
    format: Format,
    took: Duration,
) {
    match format {
        Format::Text => text(&text_of(report)),
        Format::Json => {
            json(&Ended { report, duration_ms: took.as_millis(), exit_code: ExitCode::Ok.code() });
        }
    }
}

/// Writes a text to stdout.
pub(crate) fn text(text: &str) {
    write(&clean::text(text));
}

fn write(text: &str) {
    // Where both are one terminal or file, earlier lines of the log come first.
    writer::flush();
    // A reader that has closed the pipe, as `head` does, is no failure of the command.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Writes a value to stdout as one JSON document with a line end.
pub(crate) fn json(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(document) => write(&format!("{}\n", clean::json(&document))),
        Err(error) => tracing::error!("the result cannot be written as JSON: {error}"),
    }
}

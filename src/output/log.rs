//! The log on stderr: lines for people, or one JSON object a line.

use std::io::{self, Write};

use clap::ValueEnum;
use tracing::Level as TracingLevel;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::{Format, clean, terminal};

/// What is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Level {
    /// Failures only
    Error,
    /// What needs attention
    Warn,
    /// What happens
    #[default]
    Info,
    /// What helps to find a fault in corveil, and the server's notices
    Debug,
}

/// Starts the log.
pub(crate) fn start(format: Format, level: Level) {
    let (own, notices) = match level {
        Level::Error => (TracingLevel::ERROR, LevelFilter::OFF),
        Level::Warn | Level::Info => {
            (if level == Level::Warn { TracingLevel::WARN } else { TracingLevel::INFO }, LevelFilter::WARN)
        }
        Level::Debug => (TracingLevel::DEBUG, LevelFilter::INFO),
    };
    // Of sqlx only the server's notices: the rest repeats statements, which may hold secrets.
    let filter = Targets::new().with_target("corveil", own).with_target("sqlx::postgres::notice", notices);
    let layer = tracing_subscriber::fmt::layer();
    // A value is cleaned before the line gets its colours, which are control characters too.
    let fields = debug_fn(|line, field, value| {
        let value = clean::indented(&format!("{value:?}"));
        if field.name() == "message" { write!(line, "{value}") } else { write!(line, "{field}={value}") }
    });
    let text = || layer.with_writer(|| terminal::Stderr).fmt_fields(fields.delimited(" ")).with_target(false);
    let layer = match format {
        Format::Json => {
            tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(|| JsonLines).boxed()
        }
        // A terminal needs no time stamps; `kubectl logs` shows none by itself.
        Format::Text if terminal::is_one() => text().without_time().boxed(),
        Format::Text => text().with_ansi(false).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).init();
}

/// stderr for lines of JSON, each written at once.
struct JsonLines;

impl Write for JsonLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        terminal::Stderr.write_all(clean::json(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        terminal::Stderr.flush()
    }
}

//! The log on stderr: lines for people, or one JSON object a line.

use clap::ValueEnum;
use tracing::Level as TracingLevel;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::{Format, terminal};

/// What is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Level {
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
pub fn start(format: Format, level: Level) {
    let (ours, notices) = match level {
        Level::Error => (TracingLevel::ERROR, LevelFilter::OFF),
        Level::Warn | Level::Info => {
            (if level == Level::Warn { TracingLevel::WARN } else { TracingLevel::INFO }, LevelFilter::WARN)
        }
        Level::Debug => (TracingLevel::DEBUG, LevelFilter::INFO),
    };
    // Of sqlx only the server's notices: the rest repeats statements, which may hold secrets.
    let filter = Targets::new().with_target("corveil", ours).with_target("sqlx::postgres::notice", notices);
    let layer = tracing_subscriber::fmt::layer().with_writer(|| terminal::Stderr);
    let layer = match format {
        Format::Json => layer.json().flatten_event(true).boxed(),
        // Somebody who looks on needs no clock; `kubectl logs` shows none by itself.
        Format::Text if terminal::is_one() => layer.without_time().with_target(false).boxed(),
        Format::Text => layer.with_target(false).with_ansi(false).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).init();
}

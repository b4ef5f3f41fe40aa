//! What `corveil adopt` prints on stdout when it succeeds.

use std::time::Duration;

use serde::Serialize;

use crate::core::other_tool::ToolHistory;
use crate::core::schema::Difference;
use crate::error::Finding;
use crate::operations::adopt::adoption::Adopted;
use crate::operations::adopt::{Baseline, RecordedFile};
use crate::output::{self, Format};

/// What a run did, or would do.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    outcome: Outcome,
    /// The version that the history is at.
    version: Option<i64>,
    how: Option<String>,
    /// The histories of other tools that count.
    histories: Vec<History>,
    /// What was recorded, or would be, in order.
    recorded: Vec<RecordedFile>,
    /// Differences that were accepted.
    accepted: Vec<Difference>,
    /// Why a run on an empty database would refuse files of them.
    refused: Vec<Finding>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Current,
    /// The migrations that the database contains were recorded.
    Adopted,
    /// A dry run found that they can be recorded.
    WouldAdopt,
}

#[derive(Debug, Serialize)]
struct History {
    tool: String,
    table: String,
}

impl Report {
    pub(super) fn of(adopted: Adopted<'_>) -> Self {
        match adopted {
            Adopted::Before(version) => Self::current(version),
            Adopted::Now(found) => Self::found(Outcome::Adopted, found),
            Adopted::WouldBe(found) => Self::found(Outcome::WouldAdopt, found),
        }
    }

    fn found(outcome: Outcome, found: Baseline<'_>) -> Self {
        let history = |history: &ToolHistory| History {
            tool: history.tool.name().map_or_else(|| history.tool.to_string(), str::to_owned),
            table: history.table.clone(),
        };
        Self {
            outcome,
            version: Some(found.version),
            how: Some(found.how),
            histories: found.seen.histories.iter().map(history).collect(),
            recorded: found.migrations.into_iter().map(RecordedFile::of).collect(),
            accepted: found.accepted,
            refused: found.refused,
        }
    }

    /// Of a database that already has a history.
    fn current(version: Option<i64>) -> Self {
        let (histories, recorded, accepted, refused) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { outcome: Outcome::Current, version, how: None, histories, recorded, accepted, refused }
    }
}

pub(super) fn write(report: &Report, format: Format, took: Duration) {
    output::report(report, text, format, took);
}

/// The line of a dry run.
pub(crate) fn would_record(file: &RecordedFile) -> String {
    format!("would record {}\n", file.file)
}

/// So many migrations were recorded.
pub(crate) fn recorded(count: usize) -> String {
    match count {
        1 => "recorded 1 migration, which was not run".into(),
        _ => format!("recorded {count} migrations, none of which was run"),
    }
}

fn text(report: &Report) -> String {
    let at = report.version.map_or_else(|| "empty".into(), |version| format!("at version {version}"));
    let accepted = report.accepted.iter().map(|difference| format!("in spite of {difference}\n"));
    match report.outcome {
        Outcome::Current => {
            format!("nothing to adopt: the database already has a migration history, and is {at}\n")
        }
        Outcome::Adopted => {
            let line = format!("{}: the schema is {at}\n", recorded(report.recorded.len()));
            std::iter::once(line).chain(accepted).collect()
        }
        Outcome::WouldAdopt => {
            let lines = report.recorded.iter().map(would_record);
            lines.chain(accepted).collect()
        }
    }
}

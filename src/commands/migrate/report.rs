//! What `corveil migrate` prints on stdout when it succeeds.

use std::time::Duration;

use crate::commands::adopt::report::{recorded, would_record};
use crate::operations::gate::report::{Outcome, PendingFile, Report};
use crate::output::{self, Format};

pub(crate) fn write(report: &Report, format: Format, took: Duration) {
    output::report(report, |report| text(report, took), format, took);
}

fn text(report: &Report, took: Duration) -> String {
    let at = report.to_version.map_or_else(|| "empty".into(), |version| format!("at version {version}"));
    let adopted = report.adopted.as_ref().map(|adopted| match report.outcome {
        Outcome::WouldApply => adopted.recorded.iter().map(would_record).collect(),
        Outcome::Current | Outcome::Applied => recorded(adopted.recorded.len()) + "\n",
    });
    let done = match report.outcome {
        Outcome::Current => format!("nothing to do: the schema is {at}\n"),
        Outcome::Applied => {
            let n = report.applied.len();
            let s = if n == 1 { "" } else { "s" };
            format!("applied {n} migration{s} in {:.1} s: the schema is {at}\n", took.as_secs_f64())
        }
        Outcome::WouldApply => report.pending.iter().map(line).collect(),
    };
    adopted.unwrap_or_default() + &done
}

fn line(file: &PendingFile) -> String {
    let s = if file.statements == 1 { "" } else { "s" };
    let how = if file.transaction { "in one transaction" } else { "one by one" };
    format!("would apply {} ({} statement{s} {how})\n", file.file, file.statements)
}

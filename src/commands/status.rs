//! `corveil status`: what is applied, pending, failed and unknown. It creates and changes nothing.

use std::fmt::Write as _;
use std::time::Instant;

use clap::Args as ClapArgs;
use serde::Serialize;

use crate::config::database::Database;
use crate::config::databases::{Databases, Purpose};
use crate::config::flags::{Common, Deadline};
use crate::core::catalog::Catalog;
use crate::core::history::{Applied, History};
use crate::core::plan::{self, OutOfOrder};
use crate::error::{Error, Finding, Result};
use crate::exit::ExitCode;
use crate::operations::open;
use crate::output::{self, Format};
use crate::postgres::connect::{Standby, connect_and_read};
use crate::postgres::runs::{self, Outcome, Run};
use crate::postgres::state::Scope;
use crate::postgres::{other_tool, query};
use crate::stop::Stop;

/// Show applied, pending, failed and unknown migrations
#[derive(Debug, ClapArgs)]
#[command(after_help = "Exit code 0: current; 1: migrations are pending; 4: history and files disagree.

Examples:
  corveil status
  corveil status --source migrations --output json")]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    deadline: Deadline,
}

/// The state of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It is in the history, with the checksum of the file.
    Applied,
    /// It is not.
    Pending,
    /// It is not, and the last run that tried it failed on it.
    Failed,
    /// History and file disagree.
    Mismatch,
    /// It is in the history and has no file here.
    Unknown,
}

/// A version.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the JSON names a version `version`, as sqlx's table does")]
struct Version {
    version: i64,
    description: String,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    applied_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What the command shows.
#[derive(Debug, Serialize)]
struct Report {
    exit_code: u8,
    versions: Vec<Version>,
    findings: Vec<Finding>,
    runs: Vec<Run>,
}

/// Runs the command.
pub(crate) async fn run(
    args: Args,
    databases: &Databases,
    format: Format,
    started: Instant,
) -> Result<ExitCode> {
    let stop = Stop::listen(started, args.deadline.limit())?;
    let catalog = open::read(&args.common).end(&stop).await?;
    let opened = open::open(databases, Purpose::Read, &stop).await?;
    let read = tokio::select! {
        read = read(&args.common, catalog, &opened.database, &stop) => read,
        reason = stop.requested() => Err(reason.error("while reading the database")),
    };
    opened.close().await;
    let (report, code) = read?;
    match format {
        Format::Text => output::text(&text(&report)),
        Format::Json => output::json(&report),
    }
    Ok(code)
}

async fn read(
    common: &Common,
    catalog: &'static Catalog,
    database: &Database,
    stop: &Stop,
) -> Result<(Report, ExitCode)> {
    let scope = Scope::reading(common.history.wanted(), Some(catalog));
    let (mut connection, state) =
        connect_and_read(database, scope, Standby::Fine, common.wait_for_db, stop).await?;
    let history = &state.history;
    open::refuse_two_ways(catalog, history, stop).await?;
    let mut findings = match plan::plan(catalog, history, None, OutOfOrder::Fail) {
        Ok(_) => Vec::new(),
        Err(Error::Mismatch(findings)) => findings,
        Err(error) => return Err(error),
    };
    if history.is_blank() {
        open::read_created(catalog, stop).await?;
        findings.extend(other_tool::found(&mut connection, catalog, &state.server, scope).await?);
    }
    let runs = match state.server.runs() {
        Some(table) => runs::last(&mut connection, &table, &state.server.database).await?.0,
        None => Vec::new(),
    };
    query::close(connection).await;
    let versions = versions(catalog, history, &findings, runs.first());
    let code = if !findings.is_empty() {
        ExitCode::Mismatch
    } else if versions.iter().any(|v| matches!(v.state, State::Pending | State::Failed)) {
        ExitCode::Pending
    } else {
        ExitCode::Ok
    };
    Ok((Report { exit_code: code.code(), versions, findings, runs }, code))
}

/// Every version of files and history, in order.
fn versions(catalog: &Catalog, history: &History, findings: &[Finding], last: Option<&Run>) -> Vec<Version> {
    let disagrees = |version: i64| {
        history.applied(version).is_some() && findings.iter().any(|f| f.version == Some(version))
    };
    let files = catalog.migrations().iter().map(|file| {
        let row = history.applied(file.version);
        let record = history.records_of(file.version).find_map(|record| record.error.clone());
        let run = last
            .filter(|run| run.outcome == Outcome::Failed && run.failed_version == Some(file.version))
            .and_then(|run| run.error.clone());
        let error = record.or(run).filter(|_| row.is_none());
        let state = match (row, &error) {
            _ if disagrees(file.version) => State::Mismatch,
            (Some(_), _) => State::Applied,
            (None, Some(_)) => State::Failed,
            (None, None) => State::Pending,
        };
        version(file.version, &file.description, state, row, error)
    });
    let unknown = history.applied.iter().filter(|row| catalog.get(row.version).is_none()).map(|row| {
        let state = if disagrees(row.version) { State::Mismatch } else { State::Unknown };
        version(row.version, &row.description, state, Some(row), None)
    });
    let mut versions: Vec<_> = files.chain(unknown).collect();
    versions.sort_by_key(|v| v.version);
    versions
}

fn version(
    version: i64,
    description: &str,
    state: State,
    row: Option<&Applied>,
    error: Option<String>,
) -> Version {
    Version {
        version,
        description: description.to_owned(),
        state,
        applied_at: row.map(|row| row.installed_on.clone()),
        // sqlx writes -1 for a migration that was recorded without being run.
        duration_ms: row.map(|row| row.execution_time).filter(|ns| *ns >= 0).map(|ns| ns / 1_000_000),
        error,
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    let digits = report.versions.iter().map(|v| v.version.to_string().len()).max().unwrap_or_default();
    for v in &report.versions {
        let state = match v.state {
            State::Applied => "applied ",
            State::Pending => "pending ",
            State::Failed => "failed  ",
            State::Mismatch => "mismatch",
            State::Unknown => "unknown ",
        };
        let _ = write!(text, "{state}  {:>digits$}  {}", v.version, v.description);
        if let Some(at) = &v.applied_at {
            let took = v.duration_ms.map(|ms| format!(", {ms} ms")).unwrap_or_default();
            let _ = write!(text, "  ({at}{took})");
        }
        if let Some(error) = &v.error {
            let _ = write!(text, "  {error}");
        }
        text.push('\n');
    }
    if !report.runs.is_empty() {
        text.push_str("\nlast runs:\n");
    }
    for run in &report.runs {
        let number = |v: Option<i64>| v.map_or_else(|| "empty".into(), |v| v.to_string());
        let what = match run.outcome {
            Outcome::Running => "is running".into(),
            Outcome::Succeeded => {
                format!("succeeded, {} to {}", number(run.from_version), number(run.to_version))
            }
            Outcome::Failed => format!("failed: {}", run.error.as_deref().unwrap_or("no reason recorded")),
            Outcome::Died => "ended without recording a result (killed?)".into(),
        };
        let _ = writeln!(text, "{}  {} on {}: {what}", run.started_at, run.build, run.host);
    }
    for finding in &report.findings {
        let _ = writeln!(text, "\n{finding}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_has_its_state() {
        let file = |v: i64| (format!("{v}_m.sql"), Ok(vec![u8::try_from(v).unwrap()]));
        let catalog = Catalog::from_files([1, 2, 3].map(file)).unwrap();
        let row = |version: i64| Applied {
            version,
            description: "m".into(),
            installed_on: "2026-01-01 00:00:00+00".into(),
            success: true,
            checksum: catalog.get(version).map_or_else(Vec::new, |m| m.checksum.clone()),
            execution_time: -1,
        };
        let history = History { applied: vec![row(1), row(9)], records: Vec::new() };
        let states: Vec<_> = versions(&catalog, &history, &[], None)
            .into_iter()
            .map(|v| (v.version, v.state, v.duration_ms))
            .collect();
        assert_eq!(
            states,
            [
                (1, State::Applied, None),
                (2, State::Pending, None),
                (3, State::Pending, None),
                (9, State::Unknown, None)
            ]
        );
    }
}

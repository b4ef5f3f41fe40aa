//! `corveil verify`: whether files, history and schema fit together.

use std::time::Instant;

use clap::Args as ClapArgs;
use serde::Serialize;
use sqlx::postgres::PgConnection;

use crate::commands::open::{self, Common};
use crate::config::target::Purpose;
use crate::core::catalog::Catalog;
use crate::core::history::{History, StepState};
use crate::core::plan;
use crate::error::{Error, Finding, FindingKind, Result};
use crate::exit::ExitCode;
use crate::output::{self, Format};
use crate::postgres::connect::{Standby, connect_and_read};
use crate::postgres::indexes::InvalidIndex;
use crate::postgres::snapshot::Snapshot;
use crate::postgres::{foreign, query};
use crate::stop::Stop;

/// Look for edited and missing files, INVALID indexes and unfinished statements
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Exit code 0: nothing found; 4: each finding is listed with the command that mends it.

Examples:
  corveil verify
  corveil verify --source migrations --output json"
)]
pub struct Args {
    #[command(flatten)]
    common: Common,
}

/// What the command shows.
#[derive(Debug, Serialize)]
struct Report {
    exit_code: u8,
    findings: Vec<Finding>,
}

/// Runs the command.
///
/// # Errors
/// When files or database cannot be read.
pub async fn run(args: Args, format: Format, started: Instant) -> Result<ExitCode> {
    let stop = Stop::listen(started, None)?;
    let catalog = open::catalog(&args.common)?;
    let opened = open::open(Purpose::Look, &stop).await?;
    let read = tokio::select! {
        read = connect_and_read(&opened.database, None, None, Standby::Fine, args.common.wait_for_db, &stop) => read,
        reason = stop.requested() => Err(reason.error("while reading the database")),
    };
    let seen = match read {
        Ok((mut connection, snapshot)) => {
            let others = others(&mut connection, &catalog, &snapshot).await;
            query::close(connection).await;
            others.map(|others| (snapshot, others))
        }
        Err(error) => Err(error),
    };
    opened.close().await;
    let (snapshot, mut findings) = seen?;
    findings.extend(plan::disagreements(&catalog, &snapshot.history));
    findings.extend(unfinished(&catalog, &snapshot.history));
    findings.extend(snapshot.invalid.iter().map(InvalidIndex::finding));
    let code = if findings.is_empty() { ExitCode::Ok } else { ExitCode::Mismatch };
    match format {
        Format::Text if findings.is_empty() => output::text("files, history and indexes fit together\n"),
        Format::Text => findings.iter().for_each(|finding| output::text(&format!("- {finding}\n"))),
        Format::Json => output::json(&Report { exit_code: code.code(), findings }),
    }
    Ok(code)
}

/// What is there that is not ours, where there is no history of ours.
async fn others(
    connection: &mut PgConnection,
    catalog: &Catalog,
    snapshot: &Snapshot,
) -> Result<Vec<Finding>> {
    if !snapshot.history.is_blank() {
        return Ok(Vec::new());
    }
    match foreign::refuse(connection, catalog, None).await {
        Err(Error::Mismatch(findings)) => Ok(findings),
        other => other.map(|()| Vec::new()),
    }
}

/// Files without a transaction of which some statements are done and others are not.
fn unfinished<'a>(catalog: &'a Catalog, history: &'a History) -> impl Iterator<Item = Finding> + 'a {
    history
        .steps
        .iter()
        .filter(|step| step.state != StepState::Finished && history.applied(step.version).is_none())
        .map(|step| {
            let file = catalog.get(step.version).map(|m| m.file.clone());
            let (what, n) =
                (if step.state == StepState::Failed { "failed" } else { "was not finished" }, step.ordinal);
            let reason = step.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
            Finding {
                kind: FindingKind::Unfinished,
                message: match &file {
                    Some(_) => format!("is half applied: its statement {n} {what}{reason}"),
                    None => {
                        format!("version {} is half applied: its statement {n} {what}{reason}", step.version)
                    }
                },
                file,
                version: Some(step.version),
                line: None,
                hint: "`corveil migrate`".into(),
            }
        })
}

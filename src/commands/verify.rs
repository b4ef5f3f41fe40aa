//! `corveil verify`: whether files, history and schema match.

use std::time::Instant;

use clap::Args as ClapArgs;
use clap::builder::BoolishValueParser;
use serde::Serialize;

use crate::config::databases::{Databases, Purpose};
use crate::config::env;
use crate::config::flags::Scratch;
use crate::config::flags::{Common, Deadline};
use crate::core::abandoned::Files;
use crate::core::catalog::{Catalog, Migration};
use crate::core::drift::Drift;
use crate::core::history::{History, RecordState};
use crate::core::ignore::{Compared, Ignore, LeftOut};
use crate::core::invalid::InvalidIndex;
use crate::core::plan;
use crate::core::schema::Difference;
use crate::error::{Error, Finding, FindingKind, Result};
use crate::exit::ExitCode;
use crate::operations::expected::{Expected, log_left_out};
use crate::operations::open;
use crate::operations::target::Target;
use crate::output::{self, Format, listing};
use crate::postgres::concurrent::{self, HalfDetached};
use crate::postgres::connect::{Standby, connect_and_read};
use crate::postgres::state::{DatabaseState, Scope};
use crate::postgres::{other_tool, query, schema};
use crate::stop::Stop;

/// Check for edited and missing files, INVALID indexes, unfinished statements and drift
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Exit code 0: nothing found; 4: each finding is listed with the command that fixes it.

Examples:
  corveil verify
  corveil verify --schema                            also: is the schema what the applied migrations make?
  corveil verify --schema --ignore 'tenant_*'        but for the schemas that the app makes itself
  corveil verify --source migrations --output json"
)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    deadline: Deadline,
    /// Compare the schema with the one that the applied migrations make
    #[arg(long, env = env::SCHEMA, value_parser = BoolishValueParser::new())]
    schema: bool,
    #[command(flatten)]
    pub(crate) scratch: Scratch,
}

/// What the command shows.
#[derive(Debug, Serialize)]
struct Report {
    exit_code: u8,
    findings: Vec<Finding>,
    /// None without `--schema`.
    #[serde(skip_serializing_if = "Option::is_none")]
    differences: Option<Vec<Difference>>,
    /// What was not compared; none without `--schema`.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_compared: Option<NotCompared>,
}

/// What was not compared.
#[derive(Debug, Serialize)]
struct NotCompared {
    #[serde(flatten)]
    left_out: LeftOut,
    unused_patterns: Vec<String>,
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
    let ignore = args.scratch.ignore()?;
    let opened = open::open(databases, Purpose::Read, &stop).await?;
    let checked =
        check(&args, Target::new(&args.common, catalog, (databases, &opened), &stop), &ignore).await;
    opened.close().await;
    let Checked { state, mut findings, compared } = checked?;
    let (differences, not_compared) = compared.unzip();
    findings.extend(plan::disagreements(catalog, &state.history));
    let files = Files { catalog, history: &state.history, pending: &[] };
    let removed = files.removed(&state.history.records);
    findings.extend(unfinished(catalog, &state.history, &removed));
    findings.extend(removed);
    findings.extend(state.invalid.iter().map(InvalidIndex::finding));
    let is_well = findings.is_empty() && differences.as_ref().is_none_or(Vec::is_empty);
    let code = if is_well { ExitCode::Ok } else { ExitCode::Mismatch };
    match format {
        Format::Text => output::text(&text(&findings, differences.as_deref())),
        Format::Json => {
            output::json(&Report { exit_code: code.code(), findings, differences, not_compared });
        }
    }
    Ok(code)
}

/// What was read, found and compared.
struct Checked {
    state: DatabaseState,
    /// Half detached partitions, and where Corveil has no history, what another tool made.
    findings: Vec<Finding>,
    /// How the schema differs, with `--schema`, and what was not compared.
    compared: Option<(Vec<Difference>, NotCompared)>,
}

async fn check(args: &Args, target: Target<'_>, ignore: &Ignore) -> Result<Checked> {
    let Target { catalog, opened, stop, .. } = target;
    let read = async {
        let scope = Scope::reading(target.wanted, None);
        let (mut connection, state) =
            connect_and_read(&opened.database, scope, Standby::Fine, target.wait_for_db, stop).await?;
        open::refuse_two_ways(catalog, &state.history, stop).await?;
        let findings = if state.history.is_blank() {
            open::read_created(catalog, stop).await?;
            other_tool::found(&mut connection, catalog, &state.server, scope).await
        } else {
            Ok(Vec::new())
        };
        let half_detached = concurrent::half_detached(&mut connection).await;
        let live = if args.schema { Some(schema::read(&mut connection).await) } else { None };
        query::close(connection).await;
        let mut findings = findings?;
        findings.extend(half_detached?.iter().map(HalfDetached::finding));
        Ok((state, findings, live.transpose()?))
    };
    let (state, findings, live) = tokio::select! {
        read = read => read,
        reason = stop.requested() => Err(reason.error("while reading the database")),
    }?;
    let Some(live) = live else { return Ok(Checked { state, findings, compared: None }) };
    let home = state.server.schema()?;
    let newest = newest_known(catalog, &state.history)?;
    let mut expected = Expected::new(&target, home)?;
    let wanted = expected.at(newest).await;
    expected.close().await;
    let wanted = wanted?;
    let Compared { expected, live: there, left_out } = ignore.compared(&wanted, &live);
    let unused = ignore.unused(&[&wanted, &live]);
    log_left_out(left_out, &unused);
    let differences = Drift::new(catalog).differences(newest, &expected, &there);
    let unused_patterns = unused.into_iter().map(ToOwned::to_owned).collect();
    let compared = Some((differences, NotCompared { left_out, unused_patterns }));
    Ok(Checked { state, findings, compared })
}

/// The version that the schema should be at. An older build does not know what a newer one made, and files that were
/// skipped make no part of it.
fn newest_known(catalog: &Catalog, history: &History) -> Result<i64> {
    let Some(newest) = history.newest() else { return Ok(i64::MIN) };
    if catalog.get(newest).is_none() {
        return Err(Error::config(
            format!(
                "version {newest} is applied, and these files do not have it, so what it makes \
                cannot be known"
            ),
            "run `corveil verify --schema` with the build that applied it",
        ));
    }
    let is_skipped = |file: &&Migration| file.version < newest && history.applied(file.version).is_none();
    match catalog.migrations().iter().find(is_skipped) {
        None => Ok(newest),
        Some(skipped) => Err(Error::config(
            format!(
                "`{}` is pending although version {newest} is applied, so the schema is that of \
                no version",
                skipped.file
            ),
            "`corveil migrate --out-of-order apply` applies it",
        )),
    }
}

fn text(findings: &[Finding], differences: Option<&[Difference]>) -> String {
    let text = listing::findings(findings) + &listing::differences(differences.unwrap_or_default());
    match (text.is_empty(), differences) {
        (true, None) => "files, history and indexes match\n".into(),
        (true, Some(_)) => "files, history, indexes and schema match\n".into(),
        (false, _) => text,
    }
}

/// Files without a transaction of which some statements are done and others are not, but for those that were removed.
fn unfinished(catalog: &Catalog, history: &History, removed: &[Finding]) -> Vec<Finding> {
    history
        .records
        .iter()
        .filter(|record| record.state != RecordState::Finished && history.applied(record.version).is_none())
        .filter(|record| removed.iter().all(|finding| finding.version != Some(record.version)))
        .map(|record| {
            let file = catalog.get(record.version).map(|m| m.file.clone());
            let failed = record.state == RecordState::Failed || record.error.is_some();
            let (what, n) = (if failed { "failed" } else { "was not finished" }, record.number);
            let reason = record.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
            Finding::new(
                FindingKind::Unfinished,
                match &file {
                    Some(_) => format!("is half applied: its statement {n} {what}{reason}"),
                    None => {
                        format!(
                            "version {} is half applied: its statement {n} {what}{reason}",
                            record.version
                        )
                    }
                },
                "`corveil migrate`",
            )
            .file(file)
            .version(record.version)
        })
        .collect()
}

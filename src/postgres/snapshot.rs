//! What a command reads before it decides: facts about the server and the whole history, in one round trip, or two.

use sqlx::postgres::{PgConnection, PgRow};

use crate::core::catalog::Catalog;
use crate::core::history::{Applied, History, Step, StepState};
use crate::core::sql::quote::literal;
use crate::error::{Error, Result};
use crate::postgres::indexes::{self, InvalidIndex};
use crate::postgres::query::{self, get, server_error};

/// `server_version_num` of the oldest server that is tested.
const OLDEST_SERVER: i32 = 140_000;

/// What the server is and what it remembers.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Facts about server and session.
    pub facts: Facts,
    /// Applied migrations and files under way.
    pub history: History,
    /// INVALID indexes of the database that nobody is building.
    pub invalid: Vec<InvalidIndex>,
}

/// Facts about server and session.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one answer of the server")]
pub struct Facts {
    /// `server_version_num`, such as 150018.
    pub version: i32,
    /// The database's name.
    pub database: String,
    /// The backend that serves this session.
    pub backend: i32,
    /// Whether the server is a read-only standby.
    pub standby: bool,
    /// The schema of the history: where the table is, else where it would be created.
    pub schema: Option<String>,
    /// Whether `_sqlx_migrations` exists.
    pub has_history: bool,
    /// Whether the gate's own tables exist.
    pub has_own_tables: bool,
    /// Whether the app's role lacks the right to read the tables; false when there is no such role.
    pub needs_grant: bool,
}

impl Facts {
    /// The schema of the history.
    ///
    /// # Errors
    /// [`Error::Config`] when `search_path` names no schema that exists.
    pub fn schema(&self) -> Result<&str> {
        self.schema.as_deref().ok_or_else(|| Error::Config {
            message: format!("no schema of the `search_path` exists in database `{}`", self.database),
            hint: "create one, or set another: `ALTER ROLE … SET search_path = …`".into(),
        })
    }
}

/// Reads facts, INVALID indexes and history.
///
/// One message where nothing is pending: every pod's start costs the server a query or two of one table each. A second
/// message asks for what only matters otherwise, the units of files under way and which indexes are INVALID; without a
/// `files` it is always sent. `app_role` is the role that must be able to read the history.
///
/// # Errors
/// [`Error::Server`], among others without the right to read the history.
pub async fn read(
    connection: &mut PgConnection,
    app_role: Option<&str>,
    files: Option<&Catalog>,
) -> Result<Snapshot> {
    let (facts, any_invalid, applied) = read_applied(connection, app_role).await?;
    let mut snapshot =
        Snapshot { facts, history: History { applied, steps: Vec::new() }, invalid: Vec::new() };
    let is_applied = |version| snapshot.history.applied(version).is_some();
    let all_applied = files.is_some_and(|files| files.migrations().iter().all(|m| is_applied(m.version)));
    let steps = if snapshot.facts.has_own_tables && !all_applied { STEPS } else { "" };
    if !any_invalid && steps.is_empty() {
        return Ok(snapshot);
    }
    let sql = format!("{} {steps}", indexes::INVALID);
    let results = query::all(connection, "reading the migration history", sql).await?;
    let rows = |index: usize| results.get(index).map(Vec::as_slice).unwrap_or_default();
    snapshot.invalid = rows(0).iter().map(indexes::invalid).collect::<Result<_>>()?;
    snapshot.history.steps = rows(1).iter().map(step).collect::<Result<_>>()?;
    Ok(snapshot)
}

/// The first message: facts, whether any index is INVALID, and the history. The last statement fails where there is no
/// history, after the others have answered.
async fn read_applied(
    connection: &mut PgConnection,
    app_role: Option<&str>,
) -> Result<(Facts, bool, Vec<Applied>)> {
    const DOING: &str = "reading the migration history";
    let (results, error) =
        query::results(connection, format!("{} {ANY_INVALID} {APPLIED}", facts_sql(app_role))).await;
    let failed = |error| Error::Server { doing: DOING, source: Box::new(server_error(error)) };
    let row = |index: usize| results.get(index).and_then(|rows| rows.first());
    let (facts, any_invalid) = match (row(0), row(1), &error) {
        (Some(row), Some(any), _) => (facts(row)?, get(any, 0)?),
        (_, _, Some(error)) => return Err(failed(error)),
        _ => return Err(query::no_row(DOING)),
    };
    if facts.version < OLDEST_SERVER {
        return Err(Error::Config {
            message: format!(
                "the server is PostgreSQL {}, and corveil needs 14 or newer",
                facts.version / 10_000
            ),
            hint: "upgrade the server; PostgreSQL 13 has been without security fixes since November 2025"
                .into(),
        });
    }
    match &error {
        Some(error) if facts.has_history => Err(failed(error)),
        _ => {
            let applied = results.get(2).into_iter().flatten().map(applied).collect::<Result<_>>()?;
            Ok((facts, any_invalid, applied))
        }
    }
}

fn facts_sql(app_role: Option<&str>) -> String {
    let needs_grant = match app_role {
        // `has_table_privilege` fails for a role that does not exist; the join does not.
        Some(role) => format!(
            "coalesce((SELECT bool_or(NOT has_table_privilege(r.oid, c.oid, 'SELECT')) FROM pg_roles r, pg_class c \
               WHERE r.rolname = {} AND c.oid IN (to_regclass('_sqlx_migrations'), to_regclass('_corveil_runs'), \
               to_regclass('_corveil_statements'))), false)",
            literal(role)
        ),
        None => "false".into(),
    };
    // Functions rather than joins: a new backend has to learn every table that a query names.
    format!(
        "SELECT current_setting('server_version_num')::int4, current_database()::text, pg_backend_pid(), \
           pg_is_in_recovery(), coalesce((pg_identify_object_as_address('pg_class'::regclass, \
             to_regclass('_sqlx_migrations')::oid, 0)).object_names[1], current_schema()::text), \
           to_regclass('_sqlx_migrations') IS NOT NULL, to_regclass('_corveil_statements') IS NOT NULL, {needs_grant};"
    )
}

const ANY_INVALID: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_index WHERE NOT indisvalid);";

/// Selects the history, to be read by [`applied`].
pub(super) const APPLIED: &str = "SELECT version, description, date_trunc('second', installed_on)::text, success, checksum, \
                       execution_time FROM _sqlx_migrations ORDER BY version;";

const STEPS: &str =
    "SELECT version, ordinal, checksum, state, error FROM _corveil_statements ORDER BY version, ordinal;";

fn facts(row: &PgRow) -> Result<Facts> {
    Ok(Facts {
        version: get(row, 0)?,
        database: get(row, 1)?,
        backend: get(row, 2)?,
        standby: get(row, 3)?,
        schema: get(row, 4)?,
        has_history: get(row, 5)?,
        has_own_tables: get(row, 6)?,
        needs_grant: get(row, 7)?,
    })
}

pub(super) fn applied(row: &PgRow) -> Result<Applied> {
    Ok(Applied {
        version: get(row, 0)?,
        description: get(row, 1)?,
        installed_on: get(row, 2)?,
        success: get(row, 3)?,
        checksum: get(row, 4)?,
        execution_time: get(row, 5)?,
    })
}

fn step(row: &PgRow) -> Result<Step> {
    Ok(Step {
        version: get(row, 0)?,
        ordinal: usize::try_from(get::<i32>(row, 1)?).unwrap_or_default(),
        checksum: get(row, 2)?,
        state: StepState::from_word(get(row, 3)?),
        error: get(row, 4)?,
    })
}

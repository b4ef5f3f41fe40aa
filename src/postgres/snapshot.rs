//! What a command reads before it decides: facts about the server and the whole history, in one round trip.

use sqlx::postgres::{PgConnection, PgRow};

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
/// One message of several statements: the last ones fail where a table does not exist, after the first have answered.
/// `app_role` is the role that must be able to read the history.
///
/// # Errors
/// [`Error::Server`], among others without the right to read the history.
pub async fn read(connection: &mut PgConnection, app_role: Option<&str>) -> Result<Snapshot> {
    let sql = format!("{} {} {APPLIED} {STEPS}", facts_sql(app_role), indexes::INVALID);
    let (results, error) = query::results(connection, sql).await;
    let failed = |source| Error::Server { doing: "reading the migration history", source: Box::new(source) };
    let rows = |index: usize| results.get(index).map(Vec::as_slice).unwrap_or_default();
    let facts = match (rows(0).first(), &error) {
        (Some(row), _) => facts(row)?,
        (None, Some(error)) => return Err(failed(server_error(error))),
        (None, None) => return Err(query::no_row("reading the migration history")),
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
    if let Some(source) = error.as_ref().map(server_error) {
        let table_is_missing = !(facts.has_history && facts.has_own_tables);
        if !(table_is_missing && source.sqlstate.as_deref() == Some("42P01")) {
            return Err(failed(source));
        }
    }
    Ok(Snapshot {
        facts,
        invalid: rows(1).iter().map(indexes::invalid).collect::<Result<_>>()?,
        history: History {
            applied: rows(2).iter().map(applied).collect::<Result<_>>()?,
            steps: rows(3).iter().map(step).collect::<Result<_>>()?,
        },
    })
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
    format!(
        "SELECT current_setting('server_version_num')::int4, current_database()::text, pg_backend_pid(), \
           pg_is_in_recovery(), coalesce((SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.oid = to_regclass('_sqlx_migrations')), current_schema())::text, \
           to_regclass('_sqlx_migrations') IS NOT NULL, to_regclass('_corveil_statements') IS NOT NULL, {needs_grant};"
    )
}

const APPLIED: &str = "SELECT version, description, date_trunc('second', installed_on)::text, success, checksum, \
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

fn applied(row: &PgRow) -> Result<Applied> {
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

//! What a command reads before it decides: the state of the server and the whole history, in one round trip, or two.

use sqlx::postgres::{PgConnection, PgRow};

use crate::core::catalog::Catalog;
use crate::core::history::{Applied, History, RecordState, StatementRecord};
use crate::core::invalid::InvalidIndex;
use crate::core::sql::quote::{ident, literal, qualified};
use crate::core::sql::strings::Strings;
use crate::core::trust::{self, GateTable, Home, Use, Wanted};
use crate::error::{Error, Result};
use crate::postgres::gate_tables;
use crate::postgres::indexes;
use crate::postgres::query::{self, get};

/// `server_version_num` of the oldest server that is tested.
const OLDEST_SERVER: i32 = 140_000;

/// What the server is and what it remembers.
#[derive(Debug, Default)]
pub(crate) struct DatabaseState {
    /// Which server and session this is, and the tables in it.
    pub(crate) server: ServerState,
    /// Applied migrations and files under way.
    pub(crate) history: History,
    /// INVALID indexes of the database that no session is building.
    pub(crate) invalid: Vec<InvalidIndex>,
}

/// Which server and session this is, and the tables in it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct ServerState {
    /// `server_version_num`, such as 150018.
    pub(crate) version: i32,
    pub(crate) database: String,
    /// The backend that serves this session.
    pub(crate) backend: i32,
    /// Whether the server is a read-only standby.
    pub(crate) standby: bool,
    /// How the session reads strings.
    pub(crate) strings: Strings,
    /// The existing schemas of the session's own search path.
    pub(crate) path: Vec<String>,
    /// Corveil's tables, and their schema or that in which they would be created.
    pub(crate) home: Home,
}

impl ServerState {
    /// The schema of the history.
    ///
    /// # Errors
    /// [`Error::Config`] when `search_path` names no schema that exists.
    pub(crate) fn schema(&self) -> Result<&str> {
        self.home.schema.as_deref().ok_or_else(|| {
            Error::config(
                format!("no schema of the `search_path` exists in database `{}`", self.database),
                "create one, or set another: `ALTER ROLE … SET search_path = …`",
            )
        })
    }

    /// Whether `_sqlx_migrations` exists.
    pub(crate) fn has_history(&self) -> bool {
        self.home.table(trust::HISTORY).is_some()
    }

    /// The table of the runs, if it exists.
    pub(crate) fn runs(&self) -> Option<String> {
        self.home.table(trust::RUNS).map(|table| qualified(&table.schema, &table.name))
    }

    /// Whether the app's role lacks the right to read the tables; false when there is no such role.
    pub(crate) fn needs_grant(&self) -> bool {
        self.home.tables.iter().any(|table| table.needs_grant)
    }
}

/// What is read, and what for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// What the tables are used for.
    pub(crate) purpose: Use,
    /// Where the history is to be, and who may own it.
    pub(crate) wanted: Wanted<'a>,
    /// The role that must be able to read the history.
    pub(crate) app_role: Option<&'a str>,
    /// The files of this build. Without them everything is read.
    pub(crate) files: Option<&'a Catalog>,
}

impl<'a> Scope<'a> {
    /// How one reads who changes nothing.
    pub(crate) fn reading(wanted: Wanted<'a>, files: Option<&'a Catalog>) -> Self {
        Self { purpose: Use::Read, wanted, app_role: None, files }
    }
}

/// Reads server, INVALID indexes and history.
///
/// For a run with nothing pending it is one batch. Another asks for what only matters otherwise: the statements of files
/// under way, and which indexes are INVALID.
///
/// # Errors
/// [`Error::Mismatch`] for tables that are elsewhere or may not be used, [`Error::Server`], among others without the right
/// to read the history.
pub(crate) async fn read(connection: &mut PgConnection, scope: Scope<'_>) -> Result<DatabaseState> {
    // Where there is no history, the statement leaves an error in the server's log. A run does so once, a pod that waits for
    // the first run would again and again.
    let at_once = match scope.purpose {
        Use::Write => applied_at_home_sql(scope.wanted),
        Use::Read => String::new(),
    };
    let (server, any_left, answers) = server_and(connection, scope, &at_once).await?;
    let applied = match server.home.table(trust::HISTORY) {
        None => Vec::new(),
        Some(table) if at_once.is_empty() || table.shows_all_rows => {
            applied_rows(&query::last(connection, DOING, applied_sql(table)).await?)?
        }
        // The first answer is that of the search path.
        Some(_) => applied_rows(answers?.get(1).map(Vec::as_slice).unwrap_or_default())?,
    };
    let mut state =
        DatabaseState { history: History { applied, records: Vec::new() }, server, invalid: Vec::new() };
    let is_applied = |version| state.history.applied(version).is_some();
    let all_applied =
        scope.files.is_some_and(|files| files.migrations().iter().all(|m| is_applied(m.version)));
    // A run deletes records that outlived their file; who only reads need not know of them.
    let may_matter = !all_applied || any_left.records && matches!(scope.purpose, Use::Write);
    let records = match state.server.home.table(trust::STATEMENTS) {
        Some(table) if may_matter => records_sql(table),
        _ => String::new(),
    };
    if !any_left.invalid && records.is_empty() {
        return Ok(state);
    }
    let results = query::all(connection, DOING, format!("{} {records}", indexes::INVALID)).await?;
    let rows = |index: usize| results.get(index).map(Vec::as_slice).unwrap_or_default();
    state.invalid = rows(0).iter().map(indexes::invalid).collect::<Result<_>>()?;
    state.history.records = rows(1).iter().map(record).collect::<Result<_>>()?;
    Ok(state)
}

const DOING: &str = "reading the migration history";

/// The server, with the tables that may be used.
pub(super) async fn read_server(connection: &mut PgConnection, scope: Scope<'_>) -> Result<ServerState> {
    server_and(connection, scope, "").await.map(|(server, ..)| server)
}

/// The server, what may be left of failed statements, and the answers to `more`, which belongs to the same batch and may fail.
async fn server_and(
    connection: &mut PgConnection,
    scope: Scope<'_>,
    more: &str,
) -> Result<(ServerState, AnyLeft, Result<Vec<Vec<PgRow>>>)> {
    let settings = format!("{OWN_PATH} {}", query::own_settings());
    let sql = format!(
        "{settings} {} {} {more}",
        server_sql(scope.wanted.schema),
        gate_tables::tables_sql(scope.app_role),
    );
    let (mut results, error) = query::try_as_is(connection, sql).await;
    let more = results.split_off((settings.matches(';').count() + 2).min(results.len()));
    let more = error.as_ref().map_or(Ok(more), |error| Err(query::failed(DOING, error)));
    let (tables, server) = (results.pop(), results.pop());
    let (Some([row]), Some(tables)) = (server.as_deref(), tables) else {
        return Err(more.err().unwrap_or_else(|| query::no_row(DOING)));
    };
    let version: i32 = get(row, "version")?;
    if version < OLDEST_SERVER {
        return Err(Error::config(
            format!("the server is PostgreSQL {}, and corveil needs 14 or newer", version / 10_000),
            "upgrade the server; PostgreSQL 13 has been without security fixes since November \
                2025",
        ));
    }
    let (database, path): (String, Vec<String>) = (get(row, "database")?, get(row, "path")?);
    if let (Some(schema), false) = (scope.wanted.schema, get(row, "has_wanted_schema")?) {
        return Err(Error::config(
            format!("database `{database}` has no schema `{schema}`, which `--history-schema` names"),
            format!("`CREATE SCHEMA {}`, or correct `CORVEIL_HISTORY_SCHEMA`", ident(schema)),
        ));
    }
    let listed = tables.iter().map(gate_tables::listed).collect::<Result<Vec<_>>>()?;
    let mut home = trust::home(gate_tables::tables(&listed), &path, &database, scope.wanted)?;
    gate_tables::complete(connection, &mut home, &listed, scope.purpose, scope.wanted).await?;
    trust::expect_trusted(&home, scope.purpose, scope.wanted)?;
    let any_left = AnyLeft {
        invalid: get(row, "has_invalid")?,
        records: listed.iter().any(|listed| listed.has_records),
    };
    let (backend, standby) = (get(row, "backend")?, get(row, "standby")?);
    let strings = Strings::from_setting(get(row, "strings")?);
    let server = ServerState { version, database, backend, standby, strings, path, home };
    Ok((server, any_left, more))
}

/// Keeps the existing schemas of the session's own search path, before it is set, for the rest of the batch.
const OWN_PATH: &str = "SELECT pg_catalog.set_config('corveil.path', \
                        pg_catalog.current_schemas(false)::pg_catalog.text, true);";

fn server_sql(wanted_schema: Option<&str>) -> String {
    let exists = match wanted_schema {
        Some(schema) => {
            format!("EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = {})", literal(schema))
        }
        None => "true".into(),
    };
    format!(include_str!("state/server.sql"), has_wanted_schema = exists)
}

/// What may be left of failed statements.
struct AnyLeft {
    /// Whether any index is INVALID.
    invalid: bool,
    /// Whether there may be statement records.
    records: bool,
}

/// The columns of the history, to be read by [`applied_rows`]. There is no cast: it could be one that another role made for
/// its own type, and the table is read before it is known whose it is.
const COLUMNS: &str = "version, description, installed_on, success, checksum, execution_time";

/// Selects the history where [`trust::home`] will find it, without another round trip: the search path leads to the one
/// schema that has it, or to none, where the statement fails. A view has no file on the disk, and is not read: it would run
/// code. [`trust`] refuses it afterwards.
fn applied_at_home_sql(wanted: Wanted<'_>) -> String {
    let path = match wanted.schema {
        Some(schema) => format!("ARRAY[{}]", literal(schema)),
        None => "current_setting('corveil.path')::text[]".into(),
    };
    format!(
        include_str!("state/applied_at_home.sql"),
        path = path,
        columns = COLUMNS,
        history = trust::HISTORY
    )
}

/// Selects the history of a table, to be read by [`applied_rows`].
pub(super) fn applied_sql(table: &GateTable) -> String {
    // Where a policy shows every row, row security need not be refused.
    let row_security = if table.shows_all_rows { "SET LOCAL row_security = on;" } else { "" };
    format!("{row_security} SELECT {COLUMNS} FROM {};", qualified(&table.schema, &table.name))
}

fn records_sql(table: &GateTable) -> String {
    format!(include_str!("state/statement_records.sql"), table = qualified(&table.schema, &table.name))
}

/// Reads the rows of a history, oldest version first: sorting them here spares the server a plan.
pub(super) fn applied_rows(rows: &[PgRow]) -> Result<Vec<Applied>> {
    let mut applied: Vec<_> = rows.iter().map(applied_row).collect::<Result<_>>()?;
    applied.sort_by_key(|row| row.version);
    Ok(applied)
}

fn applied_row(row: &PgRow) -> Result<Applied> {
    Ok(Applied {
        version: get(row, "version")?,
        description: get(row, "description")?,
        installed_on: whole_seconds(query::text(row, "installed_on")?),
        success: get(row, "success")?,
        checksum: get(row, "checksum")?,
        execution_time: get(row, "execution_time")?,
    })
}

/// `2026-01-02 03:04:05.678+00` without the fraction.
fn whole_seconds(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, rest)) => {
            format!("{seconds}{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => time.to_owned(),
    }
}

fn record(row: &PgRow) -> Result<StatementRecord> {
    Ok(StatementRecord {
        version: get(row, "version")?,
        number: usize::try_from(get::<i32>(row, "ordinal")?).unwrap_or_default(),
        checksum: get(row, "checksum")?,
        state: RecordState::from_word(get(row, "state")?),
        error: get(row, "error")?,
        statement: get(row, "statement")?,
        relation: get::<Option<i64>>(row, "relation")?.and_then(|oid| u32::try_from(oid).ok()),
    })
}

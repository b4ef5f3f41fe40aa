//! The tables that a run keeps, and who may read them.

use std::fmt::Write as _;

use sqlx::postgres::PgConnection;

use crate::core::batch;
use crate::core::sql::quote::{ident, literal, qualified};
use crate::core::trust::{HISTORY, RUNS, STATEMENTS, TABLES};
use crate::error::{Error, Result, sqlstate};
use crate::postgres::lock::LockGuard;
use crate::postgres::query;
use crate::postgres::state::{self, Scope, ServerState};

/// How often the tables are made again when another process makes them at the same moment.
const TRIES: u32 = 5;

/// Creates the tables that are missing, and lets the app's role read them: `wait`, `status`, `verify` and the app itself
/// do. Both in one transaction, so that no role sees tables that it may not read yet.
///
/// `_sqlx_migrations` is sqlx's own, column by column. `_corveil_statements` holds the statements of files under way, and is
/// empty otherwise. `_corveil_runs` holds one row for each run that had something to do.
///
/// # Errors
/// When the role may not create tables in the schema, or not grant.
pub(crate) async fn prepare(
    connection: &mut PgConnection,
    server: &ServerState,
    scope: Scope<'_>,
) -> Result<()> {
    prepare_and(connection, server, scope, "preparing the migration history", "").await
}

/// The same, with more `statements` in the transaction.
///
/// # Errors
/// When the role may not create tables in the schema, or not grant, or a statement fails. Nothing is left then.
pub(crate) async fn prepare_and(
    connection: &mut PgConnection,
    server: &ServerState,
    scope: Scope<'_>,
    doing: &'static str,
    statements: &str,
) -> Result<()> {
    let schema = server.schema()?;
    let grants = match scope.app_role {
        Some(role) => grants(connection, schema, role).await?,
        None => String::new(),
    };
    let mut server = server.clone();
    for attempt in 1.. {
        // Never IF NOT EXISTS: it would take a table that another role has made meanwhile, with that role's triggers.
        let missing = TABLES.iter().filter(|name| server.home.table(name).is_none());
        let create: String = missing.map(|name| create_sql(&ident(schema), name)).collect();
        let sql = format!(
            "SET client_min_messages = warning; BEGIN READ WRITE; {create} {grants} {statements} COMMIT; \
             RESET client_min_messages;"
        );
        let Err(error) = query::all(connection, doing, sql).await else { break };
        query::roll_back_after(connection, &error).await;
        if !is_rivalry(&error) || attempt == TRIES {
            return Err(error);
        }
        server = state::read_server(connection, scope).await?;
    }
    Ok(())
}

/// Whether another process has made a table of that name since the database state was read. sqlx-cli takes no lock, and an app that
/// carries sqlx's Migrator makes the table before it takes one.
///
/// Which error the server finds depends on how far the other has come: the table is committed (42P07); or its row type is,
/// which is checked a moment later (42710, `heap_create_with_catalog` of PostgreSQL's `catalog/heap.c`); or neither is,
/// and the wait for the other's transaction ends in a duplicate key of `pg_type` or `pg_class` (23505).
fn is_rivalry(error: &Error) -> bool {
    let Error::Server { source, .. } = error else { return false };
    matches!(
        source.sqlstate.as_deref(),
        Some(sqlstate::DUPLICATE_TABLE | sqlstate::DUPLICATE_OBJECT | sqlstate::UNIQUE_VIOLATION)
    )
}

/// `schema` is quoted.
fn create_sql(schema: &str, name: &str) -> String {
    match name {
        HISTORY => format!(include_str!("tables/_sqlx_migrations.sql"), schema = schema),
        STATEMENTS => format!(include_str!("tables/_corveil_statements.sql"), schema = schema),
        _ => format!(include_str!("tables/_corveil_runs.sql"), schema = schema),
    }
}

/// Adds the columns of the statement records that earlier builds did not have.
///
/// # Errors
/// When the role does not own the table.
pub(crate) async fn complete_statements(guard: &mut LockGuard) -> Result<()> {
    let table = qualified(guard.server.schema()?, STATEMENTS);
    let sql = format!(
        "SELECT count(*) = 2 FROM pg_attribute WHERE attrelid = to_regclass({}) \
           AND attname IN ('statement', 'relation') AND NOT attisdropped",
        literal(&table)
    );
    let connection = &mut guard.connection;
    if query::get(&query::one(connection, "reading the columns of the statement records", sql).await?, 0)? {
        return Ok(());
    }
    let sql = batch::own(&format!("ALTER TABLE {table} ADD COLUMN statement text, ADD COLUMN relation oid;"));
    query::as_is(connection, "adding columns to the statement records", sql).await.map(drop)
}

/// The GRANTs for a role; none, and a warning, for a role that the server does not have.
async fn grants(connection: &mut PgConnection, schema: &str, role: &str) -> Result<String> {
    let sql = format!(
        "SELECT pg_catalog.has_schema_privilege(oid, {}, 'USAGE') FROM pg_catalog.pg_roles WHERE rolname = {}",
        literal(schema),
        literal(role)
    );
    let rows = query::last(connection, "reading the app's role", sql).await?;
    let Some(row) = rows.first() else {
        tracing::warn!("role `{role}` of `DATABASE_URL` does not exist here, so it is granted nothing");
        return Ok(String::new());
    };
    let (schema, role) = (ident(schema), ident(role));
    let usage = if query::get(row, 0)? {
        String::new()
    } else {
        format!("GRANT USAGE ON SCHEMA {schema} TO {role};")
    };
    Ok(format!(
        "{usage} GRANT SELECT ON {schema}.{HISTORY}, {schema}.{STATEMENTS}, {schema}.{RUNS} TO {role};"
    ))
}

/// The name of the policies that let the app's role read.
const POLICY: &str = "corveil_read";

/// Grants the app's role the right to read the tables again: a migration may have taken its rights away, and an event trigger may have
/// switched row security on, as Supabase's does for every new table.
///
/// # Errors
/// When the role that migrates may not grant.
pub(crate) async fn open_to(connection: &mut PgConnection, server: &ServerState, role: &str) -> Result<()> {
    let schema = server.schema()?;
    let mut sql = grants(connection, schema, role).await?;
    if sql.is_empty() {
        return Ok(());
    }
    let secured = format!(
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = {} AND c.relname IN ({}) AND c.relrowsecurity AND NOT EXISTS (SELECT FROM pg_policy p \
           WHERE p.polrelid = c.oid AND p.polname = '{POLICY}' AND (SELECT r.oid FROM pg_roles r WHERE r.rolname = {}) \
             = ANY (p.polroles))",
        literal(schema),
        TABLES.map(literal).join(", "),
        literal(role)
    );
    for row in query::last(connection, "reading row security", secured).await? {
        let table = qualified(schema, query::get(&row, 0)?);
        let _ = write!(
            sql,
            "DROP POLICY IF EXISTS {POLICY} ON {table}; \
             CREATE POLICY {POLICY} ON {table} FOR SELECT TO {} USING (true);",
            ident(role)
        );
    }
    let sql = format!("SET LOCAL client_min_messages = warning; {sql}");
    query::all(connection, "letting the app's role read the history", sql).await.map(drop)
}

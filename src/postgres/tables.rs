//! The tables that a run keeps, and who may read them.

use sqlx::postgres::PgConnection;

use crate::core::sql::quote::{ident, literal};
use crate::error::Result;
use crate::postgres::query;

/// Creates the tables that are missing, and lets the app's role read them: `wait`, `status`, `verify` and the app itself
/// look at them. Both in one transaction, so that nobody sees tables that he may not read yet.
///
/// `_sqlx_migrations` is sqlx's own, column by column. `_corveil_statements` holds the units of files under way, and is
/// empty otherwise. `_corveil_runs` holds one row for each run that had something to do.
///
/// # Errors
/// When the role may not create tables in the schema, or not grant.
pub async fn prepare(connection: &mut PgConnection, schema: &str, app_role: Option<&str>) -> Result<()> {
    prepare_and(connection, schema, app_role, "preparing the migration history", "").await
}

/// The same, with more `statements` in the transaction.
///
/// # Errors
/// When the role may not create tables in the schema, or not grant, or a statement fails. Nothing is left then.
pub async fn prepare_and(
    connection: &mut PgConnection,
    schema: &str,
    app_role: Option<&str>,
    doing: &'static str,
    statements: &str,
) -> Result<()> {
    let grants = match app_role {
        Some(role) => grants(connection, schema, role).await?,
        None => String::new(),
    };
    let schema = ident(schema);
    let sql = format!(
        "SET client_min_messages = warning; BEGIN;
         CREATE TABLE IF NOT EXISTS {schema}._sqlx_migrations (
           version BIGINT PRIMARY KEY,
           description TEXT NOT NULL,
           installed_on TIMESTAMPTZ NOT NULL DEFAULT now(),
           success BOOLEAN NOT NULL,
           checksum BYTEA NOT NULL,
           execution_time BIGINT NOT NULL
         );
         CREATE TABLE IF NOT EXISTS {schema}._corveil_statements (
           version bigint NOT NULL,
           ordinal integer NOT NULL,
           checksum bytea NOT NULL,
           state text NOT NULL CHECK (state IN ('started', 'finished', 'failed')),
           changed_at timestamptz NOT NULL DEFAULT now(),
           error text,
           PRIMARY KEY (version, ordinal)
         );
         CREATE TABLE IF NOT EXISTS {schema}._corveil_runs (
           id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
           started_at timestamptz NOT NULL DEFAULT now(),
           ended_at timestamptz,
           outcome text,
           exit_code smallint,
           from_version bigint,
           to_version bigint,
           failed_version bigint,
           failed_checksum bytea,
           error text,
           build text NOT NULL,
           host text NOT NULL,
           backend integer NOT NULL
         );
         {grants}
         {statements}
         COMMIT; RESET client_min_messages;"
    );
    let result = query::all(connection, doing, sql).await;
    if result.is_err() {
        let _ = query::all(connection, "rolling back", "ROLLBACK".into()).await;
    }
    result.map(drop)
}

/// The GRANTs for a role; none, and a warning, for a role that the server does not have.
async fn grants(connection: &mut PgConnection, schema: &str, role: &str) -> Result<String> {
    let sql = format!(
        "SELECT pg_catalog.has_schema_privilege(oid, {}, 'USAGE') FROM pg_catalog.pg_roles WHERE rolname = {}",
        literal(schema),
        literal(role)
    );
    let rows = query::last(connection, "looking up the app's role", sql).await?;
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
        "{usage} GRANT SELECT ON {schema}._sqlx_migrations, {schema}._corveil_statements, {schema}._corveil_runs \
         TO {role};"
    ))
}

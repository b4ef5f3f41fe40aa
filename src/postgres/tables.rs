//! The tables that a run keeps, and who may read them.

use sqlx::postgres::PgConnection;

use crate::core::sql::quote::{ident, literal};
use crate::error::Result;
use crate::postgres::query;

/// Creates the tables that are missing.
///
/// `_sqlx_migrations` is sqlx's own, column by column. `_corveil_statements` holds the units of files under way, and is
/// empty otherwise. `_corveil_runs` holds one row for each run that had something to do.
///
/// # Errors
/// When the role may not create tables in the schema.
pub async fn create(connection: &mut PgConnection, schema: &str) -> Result<()> {
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
         COMMIT; RESET client_min_messages;"
    );
    query::all(connection, "creating the migration history", sql).await.map(drop)
}

/// Lets the app's role read the tables: `wait`, `status`, `verify` and the app itself look at them.
///
/// # Errors
/// When the role may not grant it.
pub async fn grant(connection: &mut PgConnection, schema: &str, role: &str) -> Result<()> {
    let (quoted_schema, quoted_role) = (ident(schema), ident(role));
    let sql = format!(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {}), \
                EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = {} \
                  AND pg_catalog.has_schema_privilege(r.oid, {}, 'USAGE'))",
        literal(role),
        literal(role),
        literal(schema)
    );
    let rows = query::last(connection, "looking up the app's role", sql).await?;
    let (exists, may_use): (bool, bool) = (query::get(&rows[0], 0)?, query::get(&rows[0], 1)?);
    if !exists {
        tracing::warn!("role `{role}` of `DATABASE_URL` does not exist here, so it is granted nothing");
        return Ok(());
    }
    let usage = if may_use {
        String::new()
    } else {
        format!("GRANT USAGE ON SCHEMA {quoted_schema} TO {quoted_role};")
    };
    let sql = format!(
        "{usage} GRANT SELECT ON {quoted_schema}._sqlx_migrations, {quoted_schema}._corveil_statements, \
         {quoted_schema}._corveil_runs TO {quoted_role}"
    );
    query::all(connection, "granting the app's role what it reads", sql).await.map(drop)
}

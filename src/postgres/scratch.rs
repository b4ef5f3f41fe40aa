//! A scratch database to try files in, on a server that may be in use: made like the live one, and dropped again.
//!
//! A session holds an advisory lock for as long as its scratch database is wanted, so that a later run recognizes what a
//! killed one left behind.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use tracing::debug;

use crate::config::database::{Database, application_name};
use crate::core::sql::quote::{ident, literal};
use crate::core::sql::strings::Strings;
use crate::error::{Error, Result};
use crate::postgres::connect;
use crate::postgres::lock;
use crate::postgres::query::{self, get};

/// What the name of every scratch database starts with.
pub(crate) const PREFIX: &str = "corveil_scratch_";

/// How long a server that answered before is tried.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a scratch database has in common with the live one.
#[derive(Debug, Clone)]
pub(crate) struct Likeness {
    /// What follows `CREATE DATABASE name`.
    options: String,
    /// The rest of it, for a server that knows of providers of locales: PostgreSQL 15 or newer.
    provider: String,
    /// The schemas in which names without a schema are searched.
    search_path: String,
    pub(crate) strings: Strings,
}

/// That of a server that has the default locale.
impl Default for Likeness {
    fn default() -> Self {
        Self {
            options: "TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'".into(),
            provider: " LOCALE_PROVIDER libc".into(),
            search_path: "\"$user\", public".into(),
            strings: Strings::Standard,
        }
    }
}

/// A scratch database.
pub(crate) struct ScratchDatabase {
    /// In another database of the server: a session cannot drop the one that it is in.
    maintenance: PgConnection,
    name: String,
    database: Database,
}

async fn connect(database: &Database) -> Result<PgConnection> {
    let attempt = connect::once(database, &application_name(None), PATIENCE).await;
    attempt.map_err(|unusable| unusable.after(database, PATIENCE))
}

/// Reads what a scratch database has to have in common with this one.
pub(crate) async fn likeness_of(database: &Database) -> Result<Likeness> {
    let mut connection = connect(database).await?;
    let likeness = likeness(&mut connection).await;
    query::close(connection).await;
    likeness
}

async fn likeness(connection: &mut PgConnection) -> Result<Likeness> {
    let sql = include_str!("scratch/likeness.sql");
    let row = query::one(connection, "reading the locale of the database", sql.into()).await?;
    let text = |column| get::<&str>(&row, column).map(literal);
    let options = format!(
        "TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}",
        text("encoding")?,
        text("collate")?,
        text("ctype")?
    );
    let locale = get::<Option<&str>>(&row, "locale")?.map(literal);
    let mut provider = match (get::<Option<&str>>(&row, "provider")?, locale) {
        (Some("i"), Some(locale)) => format!(" LOCALE_PROVIDER icu ICU_LOCALE {locale}"),
        (Some("b"), Some(locale)) => format!(" LOCALE_PROVIDER builtin BUILTIN_LOCALE {locale}"),
        _ => " LOCALE_PROVIDER libc".into(),
    };
    if let Some(rules) = get::<Option<&str>>(&row, "icu_rules")? {
        provider = format!("{provider} ICU_RULES {}", literal(rules));
    }
    // The role's name may be another where the files are tried.
    let search_path = get::<&str>(&row, "search_path")?.replace("\"$user\"", &ident(get(&row, "role")?));
    let strings = Strings::from_setting(get(&row, "strings")?);
    Ok(Likeness { options, provider, search_path, strings })
}

impl ScratchDatabase {
    /// Makes a database on this server, with the schema `home`; nothing when the role may not make one.
    ///
    /// # Errors
    /// When the server cannot be reached, or has not the locale.
    pub(crate) async fn create(
        server: &Database,
        likeness: &Likeness,
        home: &str,
    ) -> Result<Result<Self, String>> {
        let mut maintenance = connect(server).await?;
        let sql = "SET statement_timeout = 0; SET idle_session_timeout = 0; SET default_transaction_read_only = off; \
                   SELECT r.rolcreatedb OR r.rolsuper, current_user::text, \
                     pg_catalog.current_setting('server_version_num')::int4 \
                   FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";
        let row = query::one(&mut maintenance, "reading the role's rights", sql.into()).await?;
        if !get::<bool>(&row, 0)? {
            let role = get::<String>(&row, 1)?;
            query::close(maintenance).await;
            return Ok(Err(role));
        }
        drop_leftovers(&mut maintenance).await?;
        let name = format!("{PREFIX}{:016x}", fastrand::u64(..));
        let sql = format!("SELECT pg_catalog.pg_advisory_lock({})", lock::key(&name));
        query::all(&mut maintenance, "marking a scratch database as in use", sql).await?;
        let provider = if get::<i32>(&row, 2)? < 150_000 { "" } else { &likeness.provider };
        let sql = format!("CREATE DATABASE {name} {}{provider}", likeness.options);
        // A transaction cannot contain it.
        query::work_as_is(&mut maintenance, "making a scratch database", sql)
            .await
            .map_err(|e| explained(e, server))?;
        debug!("made the scratch database {name} on {server}");
        let database =
            server.in_database(&name, &[("search_path", &likeness.search_path), likeness.strings.setting()]);
        let mut scratch = Self { maintenance, name, database };
        match scratch.make_home(home).await {
            Ok(()) => Ok(Ok(scratch)),
            Err(error) => {
                scratch.drop().await;
                Err(error)
            }
        }
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// The schema of the live database that takes what is created unqualified may be nothing that a file creates.
    async fn make_home(&mut self, home: &str) -> Result<()> {
        let mut connection = connect(&self.database).await?;
        let sql = format!(
            "SET TRANSACTION READ WRITE; SET client_min_messages = warning; CREATE SCHEMA IF NOT EXISTS {}",
            ident(home)
        );
        let made = query::all(&mut connection, "making the schema of the files", sql).await;
        query::close(connection).await;
        made.map(drop)
    }

    pub(crate) async fn drop(mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        if let Err(error) =
            query::work_as_is(&mut self.maintenance, "dropping the scratch database", sql).await
        {
            tracing::warn!("the scratch database {} is left for the next run to drop: {error}", self.name);
        }
        query::close(self.maintenance).await;
    }
}

/// Lets files on a private server find what they would find in the live database: for a server that no one else
/// uses, and that takes no settings with a connection.
#[cfg(feature = "embedded")]
pub(crate) async fn clean_up(database: &Database, likeness: &Likeness, home: &str) -> Result<()> {
    let mut connection = connect(database).await?;
    let path = if likeness.search_path.is_empty() { "''" } else { likeness.search_path.as_str() };
    let (setting, value) = likeness.strings.setting();
    let sql = format!(
        "SET client_min_messages = warning; CREATE SCHEMA IF NOT EXISTS {}; \
         ALTER ROLE CURRENT_USER SET search_path = {path}; ALTER ROLE CURRENT_USER SET {setting} = {value}",
        ident(home)
    );
    let configured = query::all(&mut connection, "making the schema of the files", sql).await;
    query::close(connection).await;
    configured.map(drop)
}

/// Drops what killed runs left: scratch databases that no session has marked as in use.
async fn drop_leftovers(maintenance: &mut PgConnection) -> Result<()> {
    let sql = format!(
        "SELECT d.datname::text FROM pg_catalog.pg_database d \
           WHERE pg_catalog.starts_with(d.datname::text, {}) AND pg_catalog.pg_has_role(d.datdba, 'MEMBER'); \
         SELECT (l.classid::int8 << 32) | l.objid::int8 FROM pg_catalog.pg_locks l \
           WHERE l.locktype = 'advisory' AND l.objsubid = 1",
        literal(PREFIX)
    );
    // In this order: a database that is made in between is not in the list.
    let answers = query::all(maintenance, "listing scratch databases of earlier runs", sql).await?;
    let [names, marks] = answers.as_slice() else { return Ok(()) };
    let marks = marks.iter().map(|row| get::<i64>(row, 0)).collect::<Result<Vec<_>>>()?;
    for row in names {
        let name: &str = get(row, 0)?;
        if marks.contains(&lock::key(name)) {
            continue;
        }
        let sql = format!("DROP DATABASE IF EXISTS {}", ident(name));
        match query::work_as_is(maintenance, "dropping the scratch database of an earlier run", sql).await {
            Ok(_) => debug!("dropped the scratch database {name} of an earlier run"),
            // Another run may be dropping it, or a user is connected to it.
            Err(error) => debug!("{error}"),
        }
    }
    Ok(())
}

/// A server without the locale of the live one is the wrong server.
fn explained(error: Error, server: &Database) -> Error {
    match error {
        Error::Server { doing, source } if !source.may_pass() => Error::config(
            format!("{doing} on {server} failed: {source}"),
            format!(
                "set `{}` to a server that has the locale of the live database",
                crate::config::env::SCRATCH_URL
            ),
        ),
        error => error,
    }
}

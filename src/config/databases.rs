//! Which databases the environment and the flags name, read once for a run.

use crate::config::database::Database;
use crate::config::env;
use crate::config::secret::SecretUrl;
use crate::error::{Error, Result};

/// What a command does with the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Change the schema: `MIGRATE_DATABASE_URL` wins.
    Migrate,
    /// Only read it, with the app's own rights: `DATABASE_URL` wins.
    Read,
}

/// Which database a command works on.
#[derive(Debug)]
pub(crate) enum Configured {
    Server {
        /// How to reach it.
        database: Database,
        /// The same database as the app reaches it, where the app has its own URL.
        app: Option<Database>,
    },
    Embedded,
}

/// The databases that are named, each as it was read: an error in one is reported when that database is needed.
#[derive(Debug)]
pub(crate) struct Databases {
    app: Named,
    migrate: Named,
    scratch: Named,
}

type Named = Option<Result<Database>>;

impl Databases {
    /// Reads them. `scratch` is the flag that names a server to try files on.
    pub(crate) fn read(scratch: Option<&SecretUrl>) -> Self {
        let mut databases = Self::of(env::read(env::DATABASE_URL), env::read(env::MIGRATE_DATABASE_URL));
        databases.scratch = scratch.map(|url| url.database(env::SCRATCH_URL));
        databases
    }

    /// An empty variable is an error, not an unset one.
    fn of(app: Option<String>, migrate: Option<String>) -> Self {
        let named = |variable: &str, url: Option<String>| url.map(|url| Database::from_url(variable, &url));
        Self {
            app: named(env::DATABASE_URL, app),
            migrate: named(env::MIGRATE_DATABASE_URL, migrate),
            scratch: None,
        }
    }

    /// Those that could be read.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Database> {
        [&self.app, &self.migrate, &self.scratch].into_iter().flatten().flatten()
    }

    /// The server to try files on.
    ///
    /// # Errors
    /// [`Error::Config`] when what names it is no URL.
    pub(crate) fn scratch(&self) -> Result<Option<Database>> {
        given(&self.scratch)
    }

    /// The database for a purpose.
    ///
    /// # Errors
    /// [`Error::Config`] for a variable that is set and is no URL.
    pub(crate) fn configured(&self, purpose: Purpose) -> Result<Configured> {
        Ok(match (purpose, given(&self.app)?, given(&self.migrate)?) {
            (_, None, None) => Configured::Embedded,
            (Purpose::Migrate, app, Some(migrate)) => {
                Configured::Server { database: migrate.for_writing(env::MIGRATE_DATABASE_URL)?, app }
            }
            (Purpose::Migrate, Some(database), None) => {
                Configured::Server { database: database.for_writing(env::DATABASE_URL)?, app: None }
            }
            (Purpose::Read, Some(database), _) | (Purpose::Read, None, Some(database)) => {
                Configured::Server { database, app: None }
            }
        })
    }
}

fn given(named: &Named) -> Result<Option<Database>> {
    match named {
        None => Ok(None),
        Some(Ok(database)) => Ok(Some(database.clone())),
        Some(Err(error)) => Err(Error::config(error.to_string(), error.hint().unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(purpose: Purpose, app: Option<&str>, migrate: Option<&str>) -> String {
        match Databases::of(app.map(Into::into), migrate.map(Into::into)).configured(purpose) {
            Ok(Configured::Embedded) => "embedded".into(),
            Ok(Configured::Server { database, app }) => {
                let app = app.map(|app| format!(" for {}", app.user())).unwrap_or_default();
                format!("{}{app}", database.user())
            }
            Err(error) => format!("exit {}", error.exit_code().code()),
        }
    }

    #[test]
    fn the_role_fits_the_purpose() {
        let (app, ddl) = (Some("postgres://app@h/d"), Some("postgres://ddl@h/d"));
        for (purpose, app, migrate, expected) in [
            (Purpose::Migrate, app, ddl, "ddl for app"),
            (Purpose::Migrate, app, None, "app"),
            (Purpose::Migrate, None, ddl, "ddl"),
            (Purpose::Migrate, app, app, "app for app"),
            (Purpose::Read, app, ddl, "app"),
            (Purpose::Read, None, ddl, "ddl"),
            (Purpose::Read, None, None, "embedded"),
            (Purpose::Migrate, None, None, "embedded"),
            (Purpose::Migrate, Some(""), None, "exit 2"),
            (Purpose::Read, app, Some(""), "exit 2"),
            (Purpose::Migrate, Some("postgres://app@h/d?target_session_attrs=standby"), ddl, "ddl for app"),
            (Purpose::Migrate, Some("postgres://app@h/d?target_session_attrs=standby"), None, "exit 2"),
        ] {
            assert_eq!(seen(purpose, app, migrate), expected, "{purpose:?} {app:?} {migrate:?}");
        }
    }
}

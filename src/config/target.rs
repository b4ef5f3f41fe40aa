//! Which database a command works on.

use crate::config::database::Database;
use crate::config::env;
use crate::error::Result;

/// What a command does with the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Change the schema: `MIGRATE_DATABASE_URL` wins.
    Migrate,
    /// Look at it, with the app's own rights: `DATABASE_URL` wins.
    Look,
}

/// Which database a command works on.
#[derive(Debug)]
pub enum Target {
    /// A server.
    Server {
        /// How to reach it.
        database: Database,
        /// The same database as the app reaches it, where a URL of its own says how.
        app: Option<Database>,
    },
    /// No database is configured.
    Embedded,
}

/// Reads the database from the environment.
///
/// # Errors
/// [`crate::error::Error::Config`] for a variable that is set and is no URL: an empty one is never taken for none.
pub fn resolve(purpose: Purpose) -> Result<Target> {
    from(purpose, env::read(env::DATABASE_URL), env::read(env::MIGRATE_DATABASE_URL))
}

fn from(purpose: Purpose, app: Option<String>, migrate: Option<String>) -> Result<Target> {
    let app = app.map(|url| Database::from_url(env::DATABASE_URL, &url)).transpose()?;
    let migrate = migrate.map(|url| Database::from_url(env::MIGRATE_DATABASE_URL, &url)).transpose()?;
    Ok(match (purpose, app, migrate) {
        (_, None, None) => Target::Embedded,
        (Purpose::Migrate, app, Some(migrate)) => {
            Target::Server { database: migrate.to_write(env::MIGRATE_DATABASE_URL)?, app }
        }
        (Purpose::Migrate, Some(database), None) => {
            Target::Server { database: database.to_write(env::DATABASE_URL)?, app: None }
        }
        (Purpose::Look, Some(database), _) | (Purpose::Look, None, Some(database)) => {
            Target::Server { database, app: None }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(purpose: Purpose, app: Option<&str>, migrate: Option<&str>) -> String {
        match from(purpose, app.map(Into::into), migrate.map(Into::into)) {
            Ok(Target::Embedded) => "embedded".into(),
            Ok(Target::Server { database, app }) => {
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
            (Purpose::Look, app, ddl, "app"),
            (Purpose::Look, None, ddl, "ddl"),
            (Purpose::Look, None, None, "embedded"),
            (Purpose::Migrate, None, None, "embedded"),
            (Purpose::Migrate, Some(""), None, "exit 2"),
            (Purpose::Look, app, Some(""), "exit 2"),
            (Purpose::Migrate, Some("postgres://app@h/d?target_session_attrs=standby"), ddl, "ddl for app"),
            (Purpose::Migrate, Some("postgres://app@h/d?target_session_attrs=standby"), None, "exit 2"),
        ] {
            assert_eq!(seen(purpose, app, migrate), expected, "{purpose:?} {app:?} {migrate:?}");
        }
    }
}

//! Opens the database that a command works on: a server, or the embedded one.

use crate::compute::{self, Begun};
use crate::config::database::Database;
use crate::config::databases::{Configured, Databases, Purpose};
use crate::config::env;
use crate::config::flags::Common;
use crate::core::catalog::Catalog;
use crate::core::history::History;
use crate::core::plan;
use crate::core::two_ways;
use crate::error::{Error, Result};
use crate::postgres::connect;
use crate::stop::Stop;

pub(crate) struct Opened {
    pub(crate) database: Database,
    /// The database as the app reaches it, where that is not how it is migrated.
    pub(crate) app: Option<Database>,
    #[cfg(feature = "embedded")]
    embedded: Option<crate::postgres::embedded::Embedded>,
}

impl Opened {
    /// The app's role, where it is not the one that migrates.
    pub(crate) fn app_role(&self) -> Option<&str> {
        self.app.as_ref().map(Database::user).filter(|role| *role != self.database.user())
    }

    /// Ends the embedded server, if it is one.
    #[cfg_attr(
        not(feature = "embedded"),
        expect(clippy::unused_async, reason = "the build with an embedded server has to wait for it")
    )]
    pub(crate) async fn close(self) {
        #[cfg(feature = "embedded")]
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

/// Prepares the process for the database that it will open, before it has a second thread.
///
/// The embedded server keeps its caches in a folder of the environment, which can only be changed for a new process: this
/// one is replaced by itself, and here is where it comes back.
///
/// # Errors
/// [`Error::Config`] when the folder of the embedded server cannot be used.
#[cfg(feature = "embedded")]
pub(crate) fn prepare(databases: &Databases, purpose: Purpose) -> Result<()> {
    use crate::postgres::embedded::{FOLDER, confine, exists};
    match databases.configured(purpose) {
        Ok(Configured::Embedded) if purpose == Purpose::Read && !exists(std::path::Path::new(FOLDER)) => {
            Err(Error::config(
                format!("no database is configured, and there is no embedded one in `{FOLDER}` yet"),
                format!("set `{}`, or run `corveil migrate`, which makes one", env::DATABASE_URL),
            ))
        }
        Ok(Configured::Embedded) => confine(std::path::Path::new(FOLDER)).map_err(|error| {
            Error::config(
                format!("the folder `{FOLDER}` of the embedded PostgreSQL cannot be used: {error}"),
                format!("run in a folder that can be written to, or set `{}`", env::DATABASE_URL),
            )
        }),
        // A wrong setting is reported when the command opens its database.
        Ok(Configured::Server { .. }) | Err(_) => Ok(()),
    }
}

/// Begins to connect to the database of a purpose, where it is a server. An error in its settings is reported when it is
/// opened.
pub(crate) fn begin_connecting(databases: &Databases, purpose: Purpose) -> Option<connect::Begun> {
    match databases.configured(purpose) {
        Ok(Configured::Server { database, .. }) => Some(connect::begin(database)),
        Ok(Configured::Embedded) | Err(_) => None,
    }
}

/// Opens the database of a purpose.
///
/// # Errors
/// [`Error::Config`] for a wrong setting, [`Error::EmbeddedInUse`].
pub(crate) async fn open(databases: &Databases, purpose: Purpose, stop: &Stop) -> Result<Opened> {
    tokio::select! {
        opened = open_now(databases, purpose) => opened,
        reason = stop.requested() => Err(reason.error("while opening the database")),
    }
}

async fn open_now(databases: &Databases, purpose: Purpose) -> Result<Opened> {
    match databases.configured(purpose)? {
        Configured::Server { database, app } => Ok(Opened {
            database,
            app,
            #[cfg(feature = "embedded")]
            embedded: None,
        }),
        Configured::Embedded => embedded().await,
    }
}

#[cfg(feature = "embedded")]
async fn embedded() -> Result<Opened> {
    use crate::postgres::embedded::{Embedded, FOLDER};
    tracing::info!("`{}` is not set: using the embedded PostgreSQL in `{FOLDER}`", env::DATABASE_URL);
    let embedded = Embedded::start(std::path::Path::new(FOLDER)).await?;
    let database = Database::single_connection(embedded.connect_options());
    Ok(Opened { database, app: None, embedded: Some(embedded) })
}

#[cfg(not(feature = "embedded"))]
#[expect(clippy::unused_async, reason = "the build with an embedded server has to wait for it")]
async fn embedded() -> Result<Opened> {
    Err(Error::config(
        "no database is configured, and this build has no embedded one",
        format!("set `{}` to `postgres://USER:PASSWORD@HOST:5432/DATABASE`", env::DATABASE_URL),
    ))
}

/// Files that are being read.
#[derive(Debug)]
pub(crate) struct Reading(Begun<Result<Catalog>>);

/// Begins to read the migrations; meanwhile a connection can be made.
pub(crate) fn read(common: &Common) -> Reading {
    let files = common.files.clone();
    Reading(compute::begin(move || files.load()))
}

impl Reading {
    /// Waits for the migrations, and logs which files are none. They live as long as the process: threads that read them may
    /// outlive the task that started them.
    pub(crate) async fn end(self, stop: &Stop) -> Result<&'static Catalog> {
        let catalog = Box::leak(Box::new(self.0.end(stop, READING).await??));
        for name in &catalog.ignored {
            tracing::warn!(
                "`{name}` is not a migration, as it is not named like `0001_create_users.sql`; ignored"
            );
        }
        for long in plan::longer_than_its_neighbours(catalog) {
            tracing::warn!("{}", plan::slip(long));
        }
        Ok(catalog)
    }
}

/// What a run that stops meanwhile was doing.
pub(crate) const READING: &str = "while reading the migration files; nothing was under way";

/// Refuses files with two ways, as [`two_ways::refuse`], on another thread.
pub(crate) async fn refuse_two_ways(catalog: &'static Catalog, history: &History, stop: &Stop) -> Result<()> {
    let files: Vec<_> = two_ways::unapplied(catalog, history).collect();
    if files.is_empty() {
        return Ok(());
    }
    compute::apart(stop, READING, || two_ways::refuse_any(files)).await?
}

/// Reads what the files create, on another thread, and keeps it for later calls.
pub(crate) async fn read_created(catalog: &'static Catalog, stop: &Stop) -> Result<()> {
    compute::apart(stop, READING, || catalog.created().for_each(drop)).await
}

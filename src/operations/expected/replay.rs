//! Replays files in a scratch database.

#[cfg(feature = "embedded")]
mod embedded;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, info};

use crate::config::database::Database;
use crate::config::env;
use crate::core::batch::Timeouts;
use crate::core::catalog::{Catalog, Migration};
use crate::core::directives::Timeout;
use crate::core::prepared;
use crate::core::progress::{IndexBuild, Progress};
use crate::core::resume::Resume;
use crate::core::schema::Schema;
use crate::core::sql::cluster::cluster_wide;
use crate::core::sql::strings::Strings;
use crate::core::trust::{Use, Wanted};
use crate::error::{Detail, Error, Result};
use crate::postgres::apply::{Ended, Session, Settings};
use crate::postgres::connect::{LOG_EVERY, Standby, connect_and_read};
use crate::postgres::lock::LockGuard;
use crate::postgres::scratch::{self, Likeness, ScratchDatabase};
use crate::postgres::state::Scope;
use crate::postgres::{query, schema, tables};
use crate::stop::Stop;

/// How long a server that was just reached is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// A scratch database has a separate history, wherever that of the live one is.
const SCRATCH: Scope<'static> =
    Scope { purpose: Use::Write, wanted: Wanted { schema: None, owner: None }, app_role: None, files: None };

/// Files that are replayed up to a version.
pub(super) struct Replay<'a> {
    catalog: &'a Catalog,
    url: Option<Database>,
    /// The live database, as far as it can be connected to a second time.
    live: Option<Database>,
    home: &'a str,
    stop: &'a Stop,
    place: Option<Place>,
    guard: Option<LockGuard>,
    done: i64,
}

enum Place {
    Server {
        scratch: ScratchDatabase,
        is_live: bool,
    },
    #[cfg(feature = "embedded")]
    Embedded(embedded::Scratch),
}

impl Place {
    fn database(&self) -> Database {
        match self {
            Self::Server { scratch, .. } => scratch.database().clone(),
            #[cfg(feature = "embedded")]
            Self::Embedded(scratch) => scratch.database(),
        }
    }

    async fn close(self) {
        match self {
            Self::Server { scratch, .. } => scratch.drop().await,
            #[cfg(feature = "embedded")]
            Self::Embedded(scratch) => scratch.close().await,
        }
    }
}

impl<'a> Replay<'a> {
    pub(super) fn new(
        catalog: &'a Catalog,
        url: Option<Database>,
        live: Option<Database>,
        home: &'a str,
        stop: &'a Stop,
    ) -> Self {
        Self { catalog, url, live, home, stop, place: None, guard: None, done: i64::MIN }
    }

    pub(super) async fn at(&mut self, version: i64) -> Result<Schema> {
        let files: Vec<_> = self
            .catalog
            .migrations()
            .iter()
            .filter(|file| file.version > self.done && file.version <= version)
            .collect();
        if self.place.is_none() {
            self.open(&files).await?;
        } else if let (Some(Place::Server { is_live: true, .. }), Some(guard)) = (&self.place, &self.guard)
            && let Some(refusal) = reaches_out(&files, guard.server.strings)
        {
            return Err(refusal);
        }
        let guard = self.guard.as_mut().ok_or_else(|| query::no_row("opening the scratch database"))?;
        let (start, count) = (Instant::now(), files.len());
        let mut logged = start;
        for (number, file) in (1..).zip(files) {
            apply(guard, self.catalog, file, self.stop).await?;
            self.done = file.version;
            if logged.elapsed() >= LOG_EVERY && number < count {
                logged = Instant::now();
                info!("replayed {number} of {count} files, up to `{}`", file.file);
            }
        }
        debug!(count, took_ms = start.elapsed().as_millis(), "replayed the files");
        schema::read(&mut guard.connection).await
    }

    /// Makes the scratch database where it can be for these files.
    async fn open(&mut self, files: &[&Migration]) -> Result<()> {
        let place = self.choose(files).await?;
        let database = place.database();
        self.place = Some(place);
        let (mut connection, state) =
            connect_and_read(&database, SCRATCH, Standby::Useless, PATIENCE, self.stop).await?;
        tables::prepare(&mut connection, &state.server, SCRATCH).await?;
        let guard = LockGuard::acquire(&database, connection, state.server, PATIENCE, self.stop).await?;
        self.guard = Some(guard);
        Ok(())
    }

    async fn choose(&self, files: &[&Migration]) -> Result<Place> {
        let likeness = match &self.live {
            Some(live) => scratch::likeness_of(live).await?,
            None => Likeness::default(),
        };
        if let Some(server) = &self.url {
            return match ScratchDatabase::create(server, &likeness, self.home).await? {
                Ok(scratch) => Ok(Place::Server { scratch, is_live: false }),
                Err(role) => Err(may_not(&role, server)),
            };
        }
        let Some(live) = &self.live else {
            let place = embedded(&likeness, self.home).await?;
            return place.ok_or_else(|| query::no_row("opening the embedded server"));
        };
        if let Some(refusal) = reaches_out(files, likeness.strings) {
            return embedded(&likeness, self.home).await?.ok_or(refusal);
        }
        match ScratchDatabase::create(live, &likeness, self.home).await? {
            Ok(scratch) => Ok(Place::Server { scratch, is_live: true }),
            Err(role) => embedded(&likeness, self.home).await?.ok_or_else(|| may_not(&role, live)),
        }
    }

    pub(super) async fn close(self) {
        if let Some(guard) = self.guard {
            guard.release().await;
        }
        if let Some(place) = self.place {
            place.close().await;
        }
    }
}

fn may_not(role: &str, server: &Database) -> Error {
    Error::config(
        format!(
            "the files have to be replayed in a scratch database, and role `{role}` may not \
            make one on {server}"
        ),
        format!(
            "`ALTER ROLE {} CREATEDB`, or set `{}` to a server on which the role may",
            crate::core::sql::quote::ident(role),
            env::SCRATCH_URL
        ),
    )
}

/// Why a file that reaches beyond its database is not replayed where others could be reached.
fn reaches_out(files: &[&Migration], strings: Strings) -> Option<Error> {
    let (file, found) =
        files.iter().find_map(|file| Some((file, cluster_wide(file.content.as_deref().ok()?, strings)?)))?;
    Some(Error::config(
        format!(
            "`{}` is replayed on no server that is in use: `{}` reaches beyond its database, \
            as it contains `{}`",
            file.file, found.statement, found.words
        ),
        format!("set `{}` to a server that is not in use", env::SCRATCH_URL),
    ))
}

/// Applies a file as a run does, so that what applies there applies here.
async fn apply(guard: &mut LockGuard, catalog: &Catalog, file: &Migration, stop: &Stop) -> Result<()> {
    let none = BTreeSet::new();
    // A file may have been applied with `--no-transaction`, which is recorded nowhere.
    let pending = prepared::prepare(&[file], &none, guard.server.strings)
        .or_else(|refused| {
            let outside = BTreeSet::from([file.version]);
            prepared::prepare(&[file], &outside, guard.server.strings).map_err(|_| refused)
        })
        .map_err(Error::Refused)?;
    let pending: Vec<_> =
        pending.into_iter().map(|prepared| (Arc::new(prepared), Resume::default())).collect();
    let settings = Settings {
        timeouts: Timeouts { lock: Timeout::Never, statement: Timeout::Never },
        retries: 0,
        detail: Detail::On,
    };
    let applied = Session::new(guard, settings, stop, &mut Silent).apply(&pending, &mut Vec::new()).await;
    match applied.map_err(|ended| ended.with_cause(catalog)) {
        Ok(()) => Ok(()),
        Err(Ended::Failed(Error::Migration(failure))) if !failure.try_again => Err(Error::config(
            format!(
                "`{}` cannot be replayed in a scratch database: `{}` failed: {}{}",
                file.file,
                failure.statement,
                failure.server,
                failure.cause.map(|cause| format!("; {}", cause.sentence)).unwrap_or_default()
            ),
            format!("set `{}` to a server on which the files apply from the first on", env::SCRATCH_URL),
        )),
        Err(Ended::Failed(error)) => Err(error),
        Err(Ended::ConnectionLost(source)) => {
            Err(Error::Server { doing: "replaying the files", source: Box::new(source) })
        }
    }
}

struct Silent;

impl Progress for Silent {
    fn file(&mut self, _: &str, _: usize, _: usize) {}
    fn statement(&mut self, _: &str, _: usize, _: usize) {}
    fn working(&mut self, _: Duration, _: Option<&IndexBuild>) {}
    fn applied(&mut self, _: &str, _: Duration) {}
    fn end(&mut self) {}
}

/// A second embedded server, where the build has it.
#[cfg(feature = "embedded")]
async fn embedded(likeness: &Likeness, home: &str) -> Result<Option<Place>> {
    embedded::Scratch::start(likeness, home).await.map(Place::Embedded).map(Some)
}

#[cfg(not(feature = "embedded"))]
#[expect(clippy::unused_async, reason = "as where the build has an embedded server")]
async fn embedded(_: &Likeness, _: &str) -> Result<Option<Place>> {
    Ok(None)
}

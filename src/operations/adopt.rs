//! Which migrations a database already contains: reads it, decides on a version, and compares its schema with that version.

pub(crate) mod adoption;

use std::time::Instant;

use serde::Serialize;
use sqlx::postgres::PgConnection;
use tracing::{info, warn};

use crate::config::flags::Scratch;
use crate::core::adopt::{self, BaselineRequest, BaselineSource, Comparison};
use crate::core::catalog::Migration;
use crate::core::drift::{self, Drift};
use crate::core::history::{Applied, History};
use crate::core::ignore::{Compared, Ignore, LeftOut};
use crate::core::other_tool::ToolHistory;
use crate::core::schema::{Difference, Schema};
use crate::error::{Error, Finding, Result};
use crate::operations::expected::{Expected, log_left_out};
use crate::operations::target::Target;
use crate::output::listing;
use crate::postgres::connect::LOG_EVERY;
use crate::postgres::state::{self, DatabaseState, ServerState};
use crate::postgres::{other_tool, schema};

/// What is asked, and what it takes to answer.
pub(crate) struct AdoptRequest<'a> {
    pub(crate) target: Target<'a>,
    pub(crate) scratch: &'a Scratch,
    pub(crate) asked: BaselineRequest,
    /// IDs of differences to accept.
    pub(crate) accept: &'a [String],
}

/// A database that can be adopted.
pub(crate) struct Baseline<'a> {
    /// The version that it is at.
    pub(crate) version: i64,
    /// How that follows, as a sentence.
    pub(crate) how: String,
    /// The migrations that it contains, oldest first.
    pub(crate) migrations: Vec<&'a Migration>,
    /// Differences that are accepted.
    pub(crate) accepted: Vec<Difference>,
    /// Why a run on an empty database would refuse files of them.
    pub(crate) refused: Vec<Finding>,
    /// What it all follows from.
    pub(crate) seen: Evidence,
}

impl Baseline<'_> {
    /// The history that recording it makes.
    pub(crate) fn history(&self) -> History {
        let row = |migration: &&Migration| Applied {
            version: migration.version,
            description: migration.description.clone(),
            installed_on: String::new(),
            success: true,
            checksum: migration.checksum.clone(),
            execution_time: -1,
        };
        History { applied: self.migrations.iter().map(row).collect(), records: Vec::new() }
    }
}

/// A migration that is recorded without being run.
#[derive(Debug, Serialize)]
pub(crate) struct RecordedFile {
    version: i64,
    description: String,
    pub(crate) file: String,
}

impl RecordedFile {
    pub(crate) fn of(migration: &Migration) -> Self {
        Self {
            version: migration.version,
            description: migration.description.clone(),
            file: migration.file.clone(),
        }
    }
}

#[derive(PartialEq, Eq)]
pub(crate) struct Evidence {
    pub(crate) histories: Vec<ToolHistory>,
    schema: Schema,
}

/// A live schema, to be compared with those that files make.
struct Compare<'a> {
    drift: Drift,
    ignore: &'a Ignore,
    live: &'a Schema,
}

impl Compare<'_> {
    /// How it differs from the one that the files up to a version make, and what was not compared.
    fn with(&self, version: i64, made: &Schema) -> (Vec<Difference>, LeftOut) {
        let Compared { expected, live, left_out } = self.ignore.compared(made, self.live);
        (self.drift.differences(version, &expected, &live), left_out)
    }
}

impl<'a> AdoptRequest<'a> {
    /// Reads, decides and compares, where `state` has no Corveil history. None where another run has adopted the database
    /// meanwhile, and may have applied more; then `state` is read again.
    ///
    /// # Errors
    /// Every reason for which the database cannot be adopted as it is.
    pub(crate) async fn answer(
        &self,
        connection: &mut PgConnection,
        state: &mut DatabaseState,
    ) -> Result<Option<Baseline<'a>>> {
        let error = match self.find(connection, &state.server).await {
            Ok(found) => return Ok(Some(found)),
            Err(error) => error,
        };
        match state::read(connection, self.target.scope()).await {
            Ok(now) if !now.history.is_blank() => {
                *state = now;
                Ok(None)
            }
            _ => Err(error),
        }
    }

    /// Whether any object that the files make is there: `IF NOT EXISTS` and code in `DO` hide in
    /// the text of the files that the files have been applied here already.
    pub(crate) async fn has_any_object(&self, connection: &mut PgConnection, home: &str) -> Result<bool> {
        let live = schema::read(connection).await?;
        if live.is_bare() {
            return Ok(false);
        }
        self.expect(home, async |expected| {
            for file in self.target.catalog.migrations() {
                if expected.at(file.version).await?.shares_objects_with(&live) {
                    return Ok(true);
                }
            }
            Ok(false)
        })
        .await
    }

    async fn find(&self, connection: &mut PgConnection, server: &ServerState) -> Result<Baseline<'a>> {
        let ignore = self.scratch.ignore()?;
        // The schema in which the history would be.
        let home = server.schema()?;
        let seen = self.read(connection, server).await?;
        for history in &seen.histories {
            info!("found table {}, the migration history of {}", history.table, history.tool);
        }
        if seen.schema.is_bare() {
            return Err(adopt::nothing_there(&seen.histories));
        }
        let lead = adopt::source(self.target.catalog, &seen.histories, self.asked)?;
        let is_mapped = self.asked.to.is_none() && matches!(lead, BaselineSource::Version { .. });
        let (version, how, differences) = self.compare(lead, &ignore, &seen.schema, home).await?;
        let accepted = match adopt::accept(self.target.catalog, version, differences, self.accept) {
            Err(error @ Error::Differs(_)) if is_mapped => {
                let lead = BaselineSource::Schema {
                    why: "the schema is not that of the version in the history".into(),
                };
                // Where no other version matches either, only the difference is reported.
                return Err(match self.compare(lead, &ignore, &seen.schema, home).await {
                    Ok((version, how, _)) => adopt::with_equal(error, self.target.catalog, version, &how),
                    Err(interrupted @ Error::Interrupted { .. }) => interrupted,
                    Err(_) => error,
                });
            }
            accepted => accepted?,
        };
        info!("{how}");
        let migrations: Vec<_> = adopt::contained(self.target.catalog, version).collect();
        let refused = adopt::refused(&migrations, server.strings);
        if !refused.is_empty() {
            warn!(
                "{} as they are, so a new database would not get as far as this one:\n{}",
                adopt::refused_headline(&refused),
                listing::findings(&refused).trim_end()
            );
        }
        Ok(Baseline { version, how, migrations, accepted, refused, seen })
    }

    /// Reads again, under the lock.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the database has changed since.
    pub(crate) async fn expect_unchanged(
        &self,
        connection: &mut PgConnection,
        server: &ServerState,
        found: &Baseline<'_>,
    ) -> Result<()> {
        if self.read(connection, server).await? == found.seen {
            return Ok(());
        }
        Err(Error::Interrupted {
            message: "the database changed while it was read; nothing was recorded".into(),
            hint: "stop what else migrates it, and run the command again".into(),
        })
    }

    async fn read(&self, connection: &mut PgConnection, server: &ServerState) -> Result<Evidence> {
        let histories = other_tool::histories(connection, &server.path, self.asked.from).await?;
        Ok(Evidence { histories, schema: schema::read(connection).await? })
    }

    /// The version, how it follows, and in what the schema differs from it.
    async fn compare(
        &self,
        lead: BaselineSource,
        ignore: &Ignore,
        live: &Schema,
        home: &str,
    ) -> Result<(i64, String, Vec<Difference>)> {
        self.expect(home, async |expected| self.compare_with(expected, lead, ignore, live).await).await
    }

    /// Compares with the schemas that the files make, and drops the scratch database afterwards.
    async fn expect<T>(
        &self,
        home: &str,
        compare: impl AsyncFnOnce(&mut Expected<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut expected = Expected::new(&self.target, home)?;
        let compared = tokio::select! {
            compared = compare(&mut expected) => compared,
            reason = self.target.stop.requested() => Err(reason.error("while comparing the schema; nothing was recorded")),
        };
        expected.close().await;
        compared
    }

    async fn compare_with(
        &self,
        expected: &mut Expected<'_>,
        lead: BaselineSource,
        ignore: &Ignore,
        live: &Schema,
    ) -> Result<(i64, String, Vec<Difference>)> {
        let compare = Compare { drift: Drift::new(self.target.catalog), ignore, live };
        let why = match lead {
            BaselineSource::Version { version, how } => {
                let made = expected.at(version).await?;
                let (mut differences, left_out) = compare.with(version, &made);
                log_left_out(left_out, &ignore.unused(&[&made, live]));
                self.explain(expected, &compare, version, &mut differences).await?;
                return Ok((version, how, differences));
            }
            BaselineSource::Schema { why } => why,
        };
        info!("{why}; comparing the schema with that of each version");
        let mut comparison = Comparison::default();
        let mut left_out = LeftOut::default();
        let (files, mut logged) = (self.target.catalog.migrations(), Instant::now());
        for (number, file) in (1..).zip(files) {
            let made = expected.at(file.version).await?;
            let (differences, not_compared) = compare.with(file.version, &made);
            if differences.is_empty() {
                left_out = not_compared;
            }
            comparison.add(file, made.shares_objects_with(live), differences);
            if logged.elapsed() >= LOG_EVERY && number < files.len() {
                logged = Instant::now();
                info!("compared {number} of {} versions, up to `{}`", files.len(), file.file);
            }
        }
        let (version, how) = comparison.conclude(self.target.catalog, &why)?;
        log_left_out(left_out, &ignore.unused(&[live]));
        Ok((version, how, Vec::new()))
    }

    /// Names the differences that later files make: another tool may have applied them in another order.
    async fn explain(
        &self,
        expected: &mut Expected<'_>,
        compare: &Compare<'_>,
        version: i64,
        differences: &mut [Difference],
    ) -> Result<()> {
        for file in self.target.catalog.migrations().iter().filter(|file| file.version > version) {
            if differences.iter().all(|difference| difference.created_by.is_some()) {
                break;
            }
            match expected.at(file.version).await {
                Ok(made) => drift::explain(differences, file, &compare.with(file.version, &made).0),
                Err(interrupted @ Error::Interrupted { .. }) => return Err(interrupted),
                Err(error) => {
                    let why = format!("a later file may create it, but that is unknown: {error}");
                    let drops = |of: &&mut Difference| of.is_extra() && !of.sql.is_empty();
                    differences.iter_mut().filter(drops).for_each(|extra| extra.withhold(&why));
                    break;
                }
            }
        }
        Ok(())
    }
}

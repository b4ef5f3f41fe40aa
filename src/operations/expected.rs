//! The schema that the files make: from the embedded snapshots, or by replaying the files in a scratch
//! database.
//!
//! A scratch database is made on the server of `--scratch-url`, else next to the live database where the role may make one,
//! else within the embedded server where the build has it. Files that reach beyond their database are replayed on no
//! server that is in use.

mod replay;

use tracing::{info, warn};

use crate::config::database::Database;
use crate::config::databases::{Configured, Purpose};
use crate::config::snapshots;
use crate::core::catalog::Catalog;
use crate::core::ignore::LeftOut;
use crate::core::schema::Schema;
use crate::error::Result;
use crate::operations::target::Target;
use crate::stop::Stop;
use replay::Replay;

/// Logs what was not compared, and which patterns match nothing.
pub(crate) fn log_left_out(left_out: LeftOut, unused: &[&str]) {
    if let Some(line) = left_out.line() {
        info!("{line}");
    }
    for pattern in unused {
        warn!("the pattern `{pattern}` of `--ignore` matches nothing here");
    }
}

/// The schemas that the files make.
pub struct Expected<'a> {
    catalog: &'a Catalog,
    home: &'a str,
    /// Whether the program's own snapshots count.
    has_snapshots: bool,
    /// None where no folder is given: the embedded files have snapshots.
    replay: Option<Replay<'a>>,
}

impl<'a> Expected<'a> {
    /// Decides where the schemas come from; nothing is replayed yet. `home` is the schema of the live database where the history
    /// is, and so what the files create unqualified.
    ///
    /// # Errors
    /// [`crate::error::Error::Config`] when `--scratch-url` is no URL.
    pub(crate) fn new(target: &Target<'a>, home: &'a str) -> Result<Self> {
        let Target { catalog, databases, opened, stop, .. } = *target;
        let url = databases.scratch()?;
        // Files are tried with the rights that they are applied with.
        let live = match databases.configured(Purpose::Migrate)? {
            Configured::Server { database, .. } if !opened.database.is_single_connection() => Some(database),
            Configured::Server { .. } | Configured::Embedded => None,
        };
        let replay = catalog.folder.as_ref().map(|_| Replay::new(catalog, url, live, home, stop));
        Ok(Self { catalog, home, has_snapshots: true, replay })
    }

    /// The schemas that files make on a server that no one else uses, in the schema `home`.
    pub fn on(server: Database, catalog: &'a Catalog, home: &'a str, stop: &'a Stop) -> Self {
        let replay = Some(Replay::new(catalog, Some(server), None, home, stop));
        Self { catalog, home, has_snapshots: false, replay }
    }

    /// The schema after all files up to this version. Ask in ascending order: files are replayed once.
    ///
    /// # Errors
    /// [`crate::error::Error::Config`] when the files can be replayed nowhere, or do not apply.
    pub async fn at(&mut self, version: i64) -> Result<Schema> {
        let Some(replay) = &mut self.replay else {
            return snapshots::schema_at(self.catalog, version, self.home);
        };
        // The files of a folder may equal the embedded ones, up to the version that is asked for.
        if self.has_snapshots
            && let Ok(schema) = snapshots::schema_at(self.catalog, version, self.home)
        {
            return Ok(schema);
        }
        replay.at(version).await
    }

    /// Drops the scratch database. To be called however the work with it ended.
    pub async fn close(self) {
        if let Some(replay) = self.replay {
            replay.close().await;
        }
    }
}

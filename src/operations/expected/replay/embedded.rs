//! A second embedded server, in a folder that goes with it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::config::database::Database;
use crate::error::Result;
use crate::postgres::embedded::Embedded;
use crate::postgres::scratch::{self, Likeness, PREFIX};

/// The server and its folder.
pub(super) struct Scratch {
    server: Embedded,
    folder: PathBuf,
}

impl Scratch {
    pub(super) async fn start(likeness: &Likeness, home: &str) -> Result<Self> {
        let parent = std::env::temp_dir();
        remove_leftovers(&parent);
        let folder = parent.join(format!("{PREFIX}{:016x}", fastrand::u64(..)));
        let server = Embedded::start(&folder).await?;
        let scratch = Self { server, folder };
        match scratch::clean_up(&scratch.database(), likeness, home).await {
            Ok(()) => Ok(scratch),
            Err(error) => {
                scratch.close().await;
                Err(error)
            }
        }
    }

    pub(super) fn database(&self) -> Database {
        Database::single_connection(self.server.connect_options())
    }

    pub(super) async fn close(self) {
        self.server.stop().await;
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!("`{}` cannot be removed: {error}", self.folder.display());
        }
    }
}

/// Removes what killed runs left: folders whose lock no process holds.
fn remove_leftovers(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        let is_left = || File::open(entry.path().join("lock")).is_ok_and(|lock| lock.try_lock().is_ok());
        if is_ours && is_left() {
            // The next run tries again.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

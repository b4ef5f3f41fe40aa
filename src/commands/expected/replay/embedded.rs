//! A second embedded server, in a folder that goes with it.

use std::path::PathBuf;

use crate::config::database::Database;
use crate::error::Result;
use crate::postgres::embedded::Embedded;
use crate::postgres::scratch::PREFIX;

/// The server and its folder.
pub(super) struct Scratch {
    server: Embedded,
    folder: PathBuf,
}

impl Scratch {
    pub(super) async fn start() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("{PREFIX}{:016x}", fastrand::u64(..)));
        let server = Embedded::start(&folder).await?;
        Ok(Self { server, folder })
    }

    pub(super) fn database(&self) -> Database {
        Database::single_connection(self.server.connect_options())
    }

    pub(super) async fn close(self) {
        self.server.stop().await;
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!("`{}` cannot be removed: {error}", self.folder.display());
        }
    }
}

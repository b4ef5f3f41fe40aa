//! A database to work on, and the files that are to be in it.

use std::time::Duration;

use sqlx::postgres::PgConnection;

use crate::config::databases::Databases;
use crate::config::flags::Common;
use crate::core::catalog::Catalog;
use crate::core::trust::{Use, Wanted};
use crate::error::Result;
use crate::operations::open::Opened;
use crate::postgres::connect::{self, Begun, Standby};
use crate::postgres::lock::LockGuard;
use crate::postgres::state::{DatabaseState, Scope, ServerState};
use crate::stop::Stop;

/// A database to work on, and the files that are to be in it.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) catalog: &'static Catalog,
    pub(crate) opened: &'a Opened,
    /// All databases that are configured.
    pub(crate) databases: &'a Databases,
    /// Where the history is to be, and who may own it.
    pub(crate) wanted: Wanted<'a>,
    pub(crate) wait_for_db: Duration,
    pub(crate) stop: &'a Stop,
}

impl<'a> Target<'a> {
    /// The database that was opened, as the flags describe it.
    pub(crate) fn new(
        common: &'a Common,
        catalog: &'static Catalog,
        (databases, opened): (&'a Databases, &'a Opened),
        stop: &'a Stop,
    ) -> Self {
        let (wanted, wait_for_db) = (common.history.wanted(), common.wait_for_db);
        Self { catalog, opened, databases, wanted, wait_for_db, stop }
    }

    /// How the history is read and written.
    pub(crate) fn scope(&self) -> Scope<'a> {
        Scope {
            purpose: Use::Write,
            app_role: self.opened.app_role(),
            ..Scope::reading(self.wanted, Some(self.catalog))
        }
    }

    /// Connects to write, with the attempt that was `begun` if there is one, and reads the database state.
    pub(crate) async fn connect(&self, begun: Option<Begun>) -> Result<(PgConnection, DatabaseState)> {
        let (database, scope) = (&self.opened.database, self.scope());
        connect::connect_on_and_read(begun, database, scope, Standby::Useless, self.wait_for_db, self.stop)
            .await
    }

    /// Takes the migration lock, waiting as long as `wait` for it.
    pub(crate) async fn lock(
        &self,
        connection: PgConnection,
        server: ServerState,
        wait: Duration,
    ) -> Result<LockGuard> {
        LockGuard::acquire(&self.opened.database, connection, server, wait, self.stop).await
    }
}

//! Records migrations that the database already contains, without running them.

use crate::core::batch::history_row;
use crate::core::catalog::Migration;
use crate::core::trust;
use crate::error::{Error, Result};
use crate::postgres::lock::LockGuard;
use crate::postgres::state::Scope;
use crate::postgres::{runs, tables};
use crate::stop::Stop;

/// What sqlx's own `migrate override skip` writes where a migration was recorded and not run.
const NOT_RUN: &str = "-1";

/// Writes the rows of these migrations, the newest last, and one that records this run: all in one transaction, with
/// the tables where they are missing.
pub(crate) async fn record(
    guard: &mut LockGuard,
    migrations: &[&Migration],
    scope: Scope<'_>,
    stop: &Stop,
) -> Result<()> {
    trust::expect_writable(&guard.server.home)?;
    let schema = guard.server.schema()?.to_owned();
    let mut statements: String =
        migrations.iter().map(|migration| history_row(&schema, migration, NOT_RUN)).collect();
    statements.push_str(&runs::recorded(&schema, migrations.last().map(|migration| migration.version)));
    let LockGuard { connection, control, server, .. } = guard;
    let doing = "recording what the database contains";
    let write = tables::prepare_and(connection, server, scope, doing, &statements);
    tokio::pin!(write);
    tokio::select! {
        result = &mut write => result,
        reason = stop.requested() => {
            if let Some(control) = control {
                control.cancel(server.backend).await;
            }
            Err(reason.error(match write.await {
                Ok(()) => "after everything was recorded",
                Err(Error::Server { source, .. }) if source.connection_lost() => {
                    "while it recorded; the next run reads whether that was committed"
                }
                Err(_) => "before anything was recorded",
            }))
        }
    }
}

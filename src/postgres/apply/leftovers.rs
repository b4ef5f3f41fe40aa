//! Drops the INVALID indexes that a failed statement left behind.

use std::time::Duration;

use tracing::warn;

use super::Session;
use super::send::{Sent, Watch};
use crate::core::invalid::InvalidIndex;
use crate::core::sql::concurrent::Concurrent;
use crate::error::Result;
use crate::error::sqlstate;
use crate::postgres::indexes;
use crate::postgres::query::{self, server_error};

/// How long a statement that failed for good may hold up the end of its run.
const AT_ONCE: Duration = Duration::from_secs(5);

pub(super) enum Tidied {
    Clean,
    /// All is dropped but these, which only a superuser may drop.
    Kept(Vec<InvalidIndex>),
    Failed(Box<Sent>),
}

impl Session<'_> {
    /// Drops what earlier tries of a statement left.
    pub(super) async fn tidy(
        &mut self,
        text: &str,
        work: &Concurrent,
        relation: Option<u32>,
        first_check: Duration,
    ) -> Result<Tidied> {
        if matches!(work, Concurrent::DropIndex(_)) {
            // The index is the statement's own: sent again, it drops it; edited, it may be to stay.
            return Ok(Tidied::Clean);
        }
        let left = indexes::left_by(self.connection(), text, work, relation).await?;
        Ok(self.drop_all(left, first_check).await)
    }

    pub(super) async fn drop_all(&mut self, indexes: Vec<InvalidIndex>, first_check: Duration) -> Tidied {
        let mut kept = Vec::new();
        for index in indexes {
            let name = index.qualified();
            warn!("dropping INVALID index {name}, which a failed statement left behind");
            let sql = format!("DROP INDEX CONCURRENTLY IF EXISTS {name}");
            let sent = self.send(sql.into(), &mut Watch::begin(first_check)).await;
            let Some(error) = &sent.error else { continue };
            let server = server_error(error);
            if !(index.is_toast() && server.sqlstate.as_deref() == Some(sqlstate::INSUFFICIENT_PRIVILEGE)) {
                return Tidied::Failed(Box::new(sent));
            }
            warn!("INVALID index {name} cannot be dropped: {server}");
            kept.push(index);
        }
        if kept.is_empty() { Tidied::Clean } else { Tidied::Kept(kept) }
    }

    /// Drops what a statement that failed for good left, as far as that is done at once: the version that keeps serving pays for
    /// an INVALID index with every write, and a unique one may reject rows of it.
    pub(super) async fn drop_now(&mut self, text: &str, work: &Concurrent, relation: Option<u32>) {
        let limit = format!("SET statement_timeout = {}", AT_ONCE.as_millis());
        let tidied = async {
            query::all(self.connection(), "setting a timeout", limit).await?;
            self.tidy(text, work, relation, AT_ONCE).await
        };
        let problem = match tidied.await {
            Ok(Tidied::Clean | Tidied::Kept(_)) => return,
            Ok(Tidied::Failed(sent)) => sent.error.as_ref().map(|error| server_error(error).to_string()),
            Err(error) => Some(error.to_string()),
        };
        warn!("the next run drops what is left: {}", problem.unwrap_or_default());
    }
}

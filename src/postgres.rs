//! Everything that is sent to the server: connecting, the lock, the history, applying files.
//!
//! Every statement that Corveil itself sends is a simple query: it needs no prepared statement, so it works through poolers
//! and survives the DEALLOCATE ALL between files.

pub(crate) mod apply;
pub(crate) mod concurrent;
pub(crate) mod connect;
pub(crate) mod control;
pub(crate) mod decode;
#[cfg(feature = "embedded")]
pub(crate) mod embedded;
mod gate_tables;
pub(crate) mod glance;
pub(crate) mod history_lock;
pub(crate) mod hosts;
pub(crate) mod indexes;
pub(crate) mod limits;
pub(crate) mod lock;
pub(crate) mod other_tool;
pub(crate) mod query;
pub(crate) mod record;
pub(crate) mod runs;
pub(crate) mod schema;
pub(crate) mod scratch;
pub(crate) mod state;
pub(crate) mod tables;
pub(crate) mod transport;
pub(crate) mod unusable;

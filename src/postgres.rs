//! The conversation with the server: connecting, the lock, the history, applying files.
//!
//! Every statement of the gate's own is a simple query: it needs no prepared statement, so it works through poolers
//! and survives the DEALLOCATE ALL between files.

pub mod apply;
pub mod concurrent;
pub mod connect;
pub mod control;
pub mod decode;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod foreign;
mod gate_tables;
pub mod glance;
pub mod history_lock;
pub mod hosts;
pub mod indexes;
pub mod limits;
pub mod lock;
pub mod query;
pub mod record;
pub mod runs;
pub mod schema;
pub mod scratch;
pub mod snapshot;
pub mod tables;
pub mod transport;
pub mod unusable;

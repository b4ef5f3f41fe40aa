//! What a migration set is and what a run would do to a database, decided without one: no connection, no clock, no logging.

pub mod exit;
pub mod sql;

//! What a migration set is and what a run would do to a database, decided without one: no connection, no clock,
//! no logging.

pub mod abandoned;
pub mod adopt;
pub mod carried;
pub mod catalog;
pub mod directives;
pub mod drift;
pub mod foreign;
pub mod history;
pub mod ignore;
pub mod invalid;
pub mod line_endings;
pub mod message;
pub mod percent;
pub mod plan;
pub mod prepared;
pub mod printable;
pub mod progress;
pub mod requirement;
pub mod resume;
pub mod retry;
pub mod schema;
pub mod secrets;
pub mod sql;
pub mod trust;
pub mod two_ways;

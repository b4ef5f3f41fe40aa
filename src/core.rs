//! What a migration set is and what a run would do to a database, decided without one: no connection, no clock,
//! no logging.

pub(crate) mod abandoned;
pub(crate) mod adopt;
pub(crate) mod batch;
pub(crate) mod carried;
pub(crate) mod catalog;
pub(crate) mod directives;
pub(crate) mod drift;
pub(crate) mod history;
pub(crate) mod ignore;
pub(crate) mod invalid;
pub(crate) mod line_endings;
pub(crate) mod other_tool;
pub(crate) mod percent;
pub(crate) mod plan;
pub(crate) mod prepared;
pub(crate) mod printable;
pub(crate) mod progress;
pub(crate) mod requirement;
pub(crate) mod resume;
pub(crate) mod retry;
pub(crate) mod schema;
pub(crate) mod secrets;
pub(crate) mod sql;
pub(crate) mod trust;
pub(crate) mod two_ways;

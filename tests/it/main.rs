//! What Corveil does to a real PostgreSQL, scenario by scenario: this file is the contents page.
//!
//! Each test has a database of its own on one server that this process starts and ends. `cargo xtask test` installs what
//! that needs; where it is installed, `cargo test` is enough. `support` is the vocabulary the scenarios are written in.

mod support;

// The instruments themselves: a scenario can only be believed if these tell the truth.
mod harness;

// One run at a time: the lock that we share with sqlx, who waits for it, who lost it.
mod lock;
// Signals and deadlines, at every kind of moment.
mod stopped;
// SIGKILL at any point: a rerun completes.
mod killed;
// Servers that restart or crash, and connections cut right at the commit.
mod lost;
// Locks of others, timeouts and deadlocks: giving way, coming again, and naming who was in the way.
mod blocked;
// The way to the database: absent, full, refusing, read-only, configured wrongly; and no password anywhere.
mod connecting;
// Waiting for the database, or for the schema that another process makes.
mod waiting;
// PgBouncer between us and the server.
mod pooler;
// A role that may change the schema beside one that may only look, and roles with settings of their own.
mod roles;
// Old and new build on one database.
mod builds;
// Another tool that takes no lock, at work on the same file.
mod two_tools;

//! What Corveil does to a real PostgreSQL, scenario by scenario: this file is the contents page.
//!
//! Each test has a database of its own on one server that this process starts and ends. `cargo xtask test` installs what
//! that needs; where it is installed, `cargo test` is enough. `support` is the vocabulary the scenarios are written in.

mod support;

// The instruments themselves: a scenario can only be believed if these tell the truth.
mod harness;

// From an empty database to nothing to do, a part of the way with `--target`, and none of it with `--dry-run`.
mod first_run;
// JSON with stable keys, exit codes, and wrong usage.
mod answers;
// What a file asks for in its leading comments.
mod directives;
// A file and its history row in one transaction, whatever the file does to roles, paths and its own last line.
mod transactions;
// What a failure says, in which line and column, and what of it fits into the termination log.
mod failures;
// What a file does to its session does not reach the next file, nor the lock.
mod session_state;
// `-- no-transaction`: statement by statement, units that are one whole, and what such files may contain.
mod without_transaction;
// Where a half-done file goes on: after what failed, after what was killed, or where `--resume-from` says.
mod resuming;
// CREATE INDEX CONCURRENTLY that fails, is repeated, is left INVALID, and waits for readers.
mod invalid_indexes;

// Files that are refused before anything runs, and a history that does not match them.
mod bad_files;
// Databases that belong to another tool, or hold what our files would create.
mod foreign;
// `corveil adopt`: what another tool applied is found, compared and recorded, and nothing is run.
mod adopt;
// The same for every tool, by its own program or in its documented table.
mod adopt_tools;
// What it writes: sqlx's own rows, all or none of them, also beside others and when it is stopped.
mod adopt_rows;
// `migrate --adopt`, and the commands that meet such a database untold.
mod adopt_in_migrate;
// sqlx's own Migrator and program on the same database, before, after and in between.
mod with_sqlx;
// What a schema is read as, every kind of difference between two, and the SQL that mends it.
mod schema;
// `verify --schema`: drift, with the migrations that the program carries.
mod drift;
// The same with a folder, whose files are replayed in a scratch database.
mod scratch;
// `status`, `verify` and `wait`: what they see, and that they only look.
mod looking;

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
// Roles that may only create: their overloads, tables and triggers, and who is trusted as an owner.
mod hostile;
// What is checked before a run ends with 0: the history again, what the app finds, and that it outlives a crash.
mod after_the_last_file;
// One history per schema, and one that the search path does not find.
mod history_schema;
// Old and new build on one database.
mod builds;
// Another tool that takes no lock, at work on the same file.
mod two_tools;
// `corveil serve`: probes and metrics, with and without a database, and how it ends.
mod serve;

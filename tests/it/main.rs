//! What Corveil does to a real PostgreSQL, scenario by scenario: this file is the contents page.
//!
//! Each test has a separate database on one server that this process starts and ends. `cargo xtask test` installs what
//! that needs; where it is installed, `cargo test` is enough. `support` is the vocabulary the scenarios are written in.
//!
//! What depends on the server's version is marked: catalogs, rights, sessions and locks, and how the server reports an error.
//! `cargo xtask test --postgres 14,18` runs these on the oldest and the newest. The rest does not depend on the server's version.

mod support;

// The instruments themselves: a scenario can only be believed if these are right.
mod harness;

// From an empty database to nothing to do, a part of the way with `--target`, and none of it with `--dry-run`.
mod first_run;
// JSON with stable keys, exit codes, and wrong usage.
mod answers;
// What a file asks for in its leading comments.
mod directives;
// A file and its history row in one transaction, whatever the file does to roles, paths and its own last line.
mod transactions; // on each version
// What a failure reports, in which line and column, and what of it is in the termination log.
mod failures; // on each version
// What a file does to its session does not reach the next file, nor the lock.
mod session_state; // on each version
// What sqlx would carry to the next file and a run of Corveil does not: the path, the role, and what comes of that.
mod carried; // on each version
// `-- no-transaction`: statement by statement, transactions that are one whole, and what such files may contain.
mod without_transaction; // on each version
// Where a half-done file resumes: after what failed, after what was killed, or at `--resume-from`.
mod resuming; // on each version
// CREATE INDEX CONCURRENTLY that fails, is repeated, is left INVALID, and waits for readers.
mod invalid_indexes; // on each version
// REINDEX, DROP INDEX and DETACH PARTITION CONCURRENTLY that end half way, and are sent again, edited, or removed.
mod half_done; // on each version

// Files that are refused before anything runs, and a history that does not match them.
mod bad_files;
// Files that hold another tool's way up and way down, which no command takes.
mod two_ways;
// Databases that belong to another tool, or hold what the files would create.
mod other_tool; // on each version
// `corveil adopt`: what another tool applied is found, compared and recorded, and nothing is run.
mod adopt;
// The same for every tool, by its own program or in its documented table.
mod adopt_tools;
// What it writes: sqlx's own rows, all or none of them, also next to other runs and when it is stopped.
mod adopt_rows; // on each version
// `migrate --adopt`, and the other commands on such a database.
mod adopt_in_migrate;
// sqlx's own Migrator and program on the same database, before, after and in between.
mod with_sqlx;
// What a schema is read as, every kind of difference between two, and the SQL that fixes it.
mod schema; // on each version
// `verify --schema`: drift, with the embedded migrations.
mod drift; // on each version
// The same with a folder, whose files are replayed in a scratch database.
mod scratch; // on each version
// `status`, `verify` and `wait`: what they report, and that they only read.
mod read_only; // on each version

// One run at a time: the lock that Corveil shares with sqlx, who waits for it, who lost it.
mod lock; // on each version
// Signals and deadlines, at every kind of moment.
mod stopped; // on each version
// SIGKILL at any point: a rerun completes.
mod killed; // on each version
// Servers that restart or crash, and connections cut right at the commit.
mod lost; // on each version
// A network that loses packets silently, and servers that answer late.
mod silent;
// Locks of others, timeouts and deadlocks: giving way, trying again, and naming the session that blocks.
mod blocked; // on each version
// The way to the database: absent, full, refusing, read-only, configured wrongly; and no password anywhere.
mod connecting; // on each version
// Several hosts in one URL: the dead, the standby, and the one that can be written to.
mod hosts;
// Which parameters of a URL are followed, and which are refused because they would be ignored.
mod parameters;
// TLS: whose certificate is believed, and the warning where a password is not encrypted.
mod encryption;
// Passwords in the wrong place, in statements and in text from elsewhere; control characters in such text.
mod secrets; // on each version
// Waiting for the database, or for the schema that another process makes.
mod waiting;
// PgBouncer between Corveil and the server.
mod pooler;
// A role that may change the schema next to one that may only read, and roles with settings.
mod roles; // on each version
// Settings of roles and databases under which the server reads and answers otherwise.
mod settings; // on each version
// Backslashes in strings, where a setting or the file decides what they mean.
mod strings; // on each version
// Roles that may only create: their overloads, tables and triggers, and who is trusted as an owner.
mod hostile; // on each version
// What is checked before a run ends with 0: the history again, what the app finds, and that it outlives a crash.
mod after_the_last_file; // on each version
// Tables that are not as sqlx and Corveil make them, or may not be written to.
mod odd_tables; // on each version
// One history per schema, and one that the search path does not find.
mod history_schema;
// Old and new build on one database.
mod builds;
// Another tool that takes no lock, at work on the same file.
mod two_tools;
// What is too large or never ends: files, logs that are not read, answers of a hostile server, and systems without means.
mod limits;
// `corveil serve`: probes and metrics, with and without a database, and how it ends.
mod serve;

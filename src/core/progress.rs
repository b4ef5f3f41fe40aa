//! The events of a run in progress, for the code that prints them.

use std::time::Duration;

/// How often a waiting command prints what it waits for.
pub(crate) const LOG_EVERY: Duration = Duration::from_secs(15);

/// How far an index build is, as `pg_stat_progress_create_index` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexBuild {
    /// The server's name of the phase.
    pub(crate) phase: String,
    /// Blocks or tuples that are done in this phase.
    pub(crate) done: u64,
    /// Blocks or tuples in this phase; zero when the server does not report it.
    pub(crate) total: u64,
}

impl std::fmt::Display for IndexBuild {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.phase)?;
        match self.done.saturating_mul(100).checked_div(self.total) {
            Some(percent) => write!(f, ", {percent} %"),
            None => Ok(()),
        }
    }
}

pub(crate) trait Progress {
    /// A file starts: number `number` of `of`.
    fn file(&mut self, file: &str, number: usize, of: usize);
    /// Statement number `number` of `of` of the file starts.
    fn statement(&mut self, first_line: &str, number: usize, of: usize);
    /// The file has been at work for `elapsed`.
    fn working(&mut self, elapsed: Duration, build: Option<&IndexBuild>);
    fn applied(&mut self, file: &str, took: Duration);
    fn end(&mut self);
}

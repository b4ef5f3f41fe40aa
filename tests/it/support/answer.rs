//! What a run answers to programs, and what the history says.

use serde_json::Value;

use crate::support::Database;
use crate::support::corveil::Outcome;

impl Outcome {
    /// The JSON document on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is no JSON: {error}: {self}"))
    }

    /// The JSON in the termination log, after its first line.
    #[track_caller]
    pub(crate) fn termination_json(&self) -> Value {
        let (_, json) = self.termination_log.split_once('\n').unwrap_or_else(|| panic!("one line: {self}"));
        serde_json::from_str(json).unwrap_or_else(|error| panic!("no JSON: {error}: {self}"))
    }

    #[track_caller]
    pub(crate) fn expect_no_stderr(self, part: &str) -> Self {
        assert!(!self.stderr.contains(part), "`{part}` on stderr: {self}");
        self
    }
}

impl Database {
    /// The versions in the history.
    pub(crate) async fn applied(&self) -> Vec<i64> {
        self.values("SELECT version FROM _sqlx_migrations ORDER BY version").await
    }

    /// Whether a relation of this name is there.
    pub(crate) async fn has(&self, relation: &str) -> bool {
        self.value(&format!("SELECT to_regclass('{relation}') IS NOT NULL")).await
    }

    /// Whether a run has left anything here.
    pub(crate) async fn is_touched(&self) -> bool {
        self.value("SELECT count(*) > 0 FROM pg_class WHERE relname ~ '^_(sqlx|corveil)_'").await
    }
}

//! What a run answers to programs.

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
    /// Empties the database, faster than a fresh one is made: for tests that go through a list.
    pub(crate) async fn clear(&self) {
        let drop_all = "DO $$ DECLARE s text; BEGIN
            FOR s IN SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)' LOOP
                EXECUTE 'DROP SCHEMA ' || s || ' CASCADE';
            END LOOP;
            CREATE SCHEMA public;
        END $$";
        self.execute(&format!("SET client_min_messages = warning; {drop_all}")).await;
    }
}

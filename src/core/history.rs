//! The rows of Corveil's tables, as plain data.

use crate::core::sql::concurrent::{Concurrent, concurrent};
use crate::core::sql::split::statements;

/// A row of `_sqlx_migrations`, the history that sqlx and corveil share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) version: i64,
    /// The file's description when it was applied.
    pub(crate) description: String,
    /// When, as the server prints it in UTC.
    pub(crate) installed_on: String,
    /// False for a migration that another tool left half done.
    pub(crate) success: bool,
    /// SHA-384 of the file when it was applied.
    pub(crate) checksum: Vec<u8>,
    /// Nanoseconds; -1 when it is not known, as for a migration that was recorded without being run.
    pub(crate) execution_time: i64,
}

/// A row of `_corveil_statements`: a statement of a non-transactional file that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StatementRecord {
    pub(crate) version: i64,
    /// The statement's number in the file, from 1.
    pub(crate) number: usize,
    /// SHA-384 of the statement's text.
    pub(crate) checksum: Vec<u8>,
    pub(crate) state: RecordState,
    /// The server's error, when it failed.
    pub(crate) error: Option<String>,
    /// The text of a statement that works concurrently: what it leaves half done outlives the file.
    pub(crate) statement: Option<String>,
    /// The table that such a statement worked on, as its session found it.
    pub(crate) relation: Option<u32>,
}

impl StatementRecord {
    /// A statement that works concurrently and did not end well, so that some of its work may be left; and the table that it
    /// worked on.
    pub(crate) fn half_done(&self) -> Option<(Concurrent, Option<u32>)> {
        let text = self.statement.as_ref().filter(|_| self.state != RecordState::Finished)?;
        Some((concurrent(statements(text).ok()?.first()?)?, self.relation))
    }
}

/// How far a statement got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordState {
    /// The intent is recorded, the end is not: it runs, or its runner died.
    Started,
    Finished,
    Failed,
}

impl RecordState {
    /// The word in the table.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }

    /// Reads the word of the table; an unknown one counts as started, which claims the least.
    pub(crate) fn from_word(word: &str) -> Self {
        match word {
            "finished" => Self::Finished,
            "failed" => Self::Failed,
            _ => Self::Started,
        }
    }
}

/// Everything that the database records of migrations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct History {
    /// Applied migrations, oldest version first.
    pub(crate) applied: Vec<Applied>,
    /// Statements of files under way, by version and number.
    pub(crate) records: Vec<StatementRecord>,
}

impl History {
    /// Whether no run of sqlx or corveil is recorded.
    pub(crate) fn is_blank(&self) -> bool {
        self.applied.is_empty() && self.records.is_empty()
    }

    /// The row of a version.
    pub(crate) fn applied(&self, version: i64) -> Option<&Applied> {
        let at = self.applied.binary_search_by_key(&version, |row| row.version).ok()?;
        self.applied.get(at)
    }

    pub(crate) fn newest(&self) -> Option<i64> {
        self.applied.last().map(|row| row.version)
    }

    /// The statements of one file.
    pub(crate) fn records_of(&self, version: i64) -> impl Iterator<Item = &StatementRecord> {
        self.records.iter().filter(move |record| record.version == version)
    }
}

//! What a run of the gate did, or would do.

use serde::Serialize;

use crate::core::prepared::{Mode, Prepared};
use crate::operations::adopt::{Baseline, RecordedFile};
use crate::postgres::apply::AppliedFile;

/// What a run did, or would do.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// `current`, `applied` or `would_apply`.
    pub(crate) outcome: Outcome,
    pub(crate) from_version: Option<i64>,
    pub(crate) to_version: Option<i64>,
    /// What was recorded, or would be, because the database contains it already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) adopted: Option<Adopted>,
    /// What was applied, in order.
    pub(crate) applied: Vec<AppliedFile>,
    /// What a dry run would apply, in order.
    pub(crate) pending: Vec<PendingFile>,
    /// Applied versions that this build does not know, because a newer one has been here.
    pub(crate) newer: Vec<i64>,
}

/// The baseline that was recorded, or would be.
#[derive(Debug, Serialize)]
pub(crate) struct Adopted {
    /// The version that it was at.
    version: i64,
    how: String,
    /// What is recorded without being run, in order.
    pub(crate) recorded: Vec<RecordedFile>,
}

impl Adopted {
    pub(crate) fn of(found: &Baseline<'_>) -> Self {
        Self {
            version: found.version,
            how: found.how.clone(),
            recorded: found.migrations.iter().map(|migration| RecordedFile::of(migration)).collect(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// There was nothing to do.
    Current,
    Applied,
    /// A dry run found something to do.
    WouldApply,
}

/// A file that a dry run would apply.
#[derive(Debug, Serialize)]
pub(crate) struct PendingFile {
    version: i64,
    description: String,
    pub(crate) file: String,
    /// Whether it would run in one transaction.
    pub(crate) transaction: bool,
    pub(crate) statements: usize,
}

impl PendingFile {
    pub(crate) fn of(prepared: &Prepared<'_>) -> Self {
        let (transaction, statements) = match &prepared.mode {
            Mode::Transaction { statements, .. } => (true, *statements),
            Mode::Statements(statements) => (false, statements.len()),
        };
        Self {
            version: prepared.migration.version,
            description: prepared.migration.description.clone(),
            file: prepared.migration.file.clone(),
            transaction,
            statements,
        }
    }
}

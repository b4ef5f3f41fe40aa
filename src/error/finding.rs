//! One problem in the files, the history or the schema, and the command that fixes it.

use std::fmt;

use serde::Serialize;

/// The kind of a finding. The names are stable: JSON contains them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FindingKind {
    /// The file's name is not one that sqlx accepts.
    Misnamed,
    /// Two files have the same version.
    Duplicate,
    /// The file cannot be read.
    Unreadable,
    /// The file is not UTF-8.
    NotUtf8,
    /// A directive is unknown, wrong or in the wrong place.
    Directive,
    /// A statement cannot be run the way migrations are run.
    Statement,
    /// The file holds another tool's way up and way down.
    TwoWays,
    /// The file differs from what was applied.
    Edited,
    /// An applied version has no file.
    Missing,
    /// A version below the newest applied one is pending.
    OutOfOrder,
    /// The history records the version as failed.
    Dirty,
    /// A statement of a non-transactional file was not finished.
    Unfinished,
    /// The database has another tool's history.
    OtherTool,
    /// An object that the migrations would create already exists.
    ExistingObject,
    InvalidIndex,
    /// The detachment of a partition was started and not completed.
    HalfDetached,
    /// The history is in a schema that is not on the search path.
    HistoryElsewhere,
    /// A table with the name of one of Corveil's is not Corveil's, or another role can interfere with its rows.
    UntrustedTable,
    /// A version that was applied is not in the history afterwards, or not as it was recorded.
    RecordLost,
    /// The app's role does not find the schema ready.
    AppNotReady,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing is wrong.
    pub(crate) kind: FindingKind,
    pub(crate) file: Option<String>,
    pub(crate) version: Option<i64>,
    /// Line in the file, from 1.
    pub(crate) line: Option<usize>,
    /// What is wrong, as a predicate of the file where there is one: "was edited …".
    pub message: String,
    /// The next command to run, or the change to make.
    pub hint: String,
}

impl Finding {
    /// Creates a finding of no file; [`Finding::file`] adds one.
    pub(crate) fn new(kind: FindingKind, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind, file: None, version: None, line: None, message: message.into(), hint: hint.into() }
    }

    /// The file that it is about.
    pub(crate) fn file(self, file: impl Into<Option<String>>) -> Self {
        Self { file: file.into(), ..self }
    }

    /// The version that it is about.
    pub(crate) fn version(self, version: impl Into<Option<i64>>) -> Self {
        Self { version: version.into(), ..self }
    }

    /// The line of the file, from 1.
    pub(crate) fn line(self, line: impl Into<Option<usize>>) -> Self {
        Self { line: line.into(), ..self }
    }

    /// The finding as one sentence without its hint.
    pub(crate) fn sentence(&self) -> String {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("`{file}` line {line} {}", self.message),
            (Some(file), None) => format!("`{file}` {}", self.message),
            (None, _) => self.message.clone(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  hint: {}", self.sentence(), self.hint)
    }
}

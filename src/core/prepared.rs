//! Reads, checks and wraps a pending file, or refuses it.

use std::collections::BTreeSet;
use std::sync::Arc;

use sha2::{Digest, Sha384};

use crate::core::carried::Leaves;
use crate::core::catalog::{Migration, Unreadable};
use crate::core::directives::{self, Directives};
use crate::core::resume::Resume;
use crate::core::sql::concurrent::{Concurrent, concurrent};
use crate::core::sql::create::Creations;
use crate::core::sql::index::{CreateIndex, create_index};
use crate::core::sql::position::Lines;
use crate::core::sql::refuse;
use crate::core::sql::session::{SessionState, session_state};
use crate::core::sql::split::{Statement, Statements, each};
use crate::core::sql::strings::Strings;
use crate::core::sql::transaction::{Control, Outline, Pairing, Part, Wrapping, control};
use crate::error::{Finding, FindingKind};

/// A pending file that is read, checked and wrapped.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    pub(crate) migration: &'a Migration,
    /// Its SQL as it stands in the file.
    pub(crate) sql: &'a str,
    /// How the session reads its strings.
    strings: Strings,
    /// The directives in its leading comments.
    pub(crate) directives: Directives,
    pub(crate) mode: Mode,
    /// Whether it has no statement.
    is_empty: bool,
    /// Warnings about settings that it leaves to other files.
    leaves: Vec<String>,
}

/// A prepared migration, and where it resumes. It is shared, because a run plans again when the history has changed.
pub(crate) type Pending<'a> = (Arc<Prepared<'a>>, Resume);

impl<'a> Prepared<'a> {
    pub(crate) fn statements(&self) -> Statements<'a> {
        each(self.sql, self.strings)
    }

    /// Offsets in bytes at which the statements of a transactional file start, without those that wrap it. They are read again,
    /// because only a file that failed needs them.
    pub(crate) fn starts(&self) -> Vec<usize> {
        let starts = self.statements().map_while(|statement| Some(statement.ok()?.start));
        match &self.mode {
            Mode::Transaction { wrapping: Some(_), statements, .. } => {
                starts.skip(1).take(*statements).collect()
            }
            Mode::Transaction { wrapping: None, .. } | Mode::Statements(_) => starts.collect(),
        }
    }

    /// Warnings about the file, each as a predicate of its name. `others_follow`: the run applies files after it.
    pub(crate) fn warnings(&self, others_follow: bool) -> impl Iterator<Item = &str> {
        let is_empty = self.is_empty.then_some("has no statement; it is recorded as applied");
        is_empty.into_iter().chain(self.leaves.iter().map(String::as_str).filter(move |_| others_follow))
    }
}

/// How a file is applied.
#[derive(Debug)]
pub(crate) enum Mode {
    /// All of it and its history row in one transaction.
    Transaction {
        /// The BEGIN and COMMIT that wrap the whole file, if there are any: spaces replace them.
        wrapping: Option<Wrapping>,
        /// The number of its other statements.
        statements: usize,
        /// Offsets in bytes at which another batch starts: where the file changes how its strings are read, and at the first
        /// statement beyond each MiB. The server parses a whole batch before it runs any of it, and needs twenty times
        /// its size in memory meanwhile.
        cuts: Vec<usize>,
    },
    /// Statement by statement, each recorded.
    Statements(Vec<PreparedStatement>),
}

/// A part of a non-transactional file that is done or not done as a whole.
#[derive(Debug)]
pub(crate) struct PreparedStatement {
    /// Its SQL, shared with the batch that sends it.
    pub(crate) text: Arc<String>,
    /// Offset in bytes at which it starts in the file.
    pub(crate) start: usize,
    pub(crate) checksum: Vec<u8>,
    pub(crate) kind: StatementKind,
    /// Its SETs that outlive it: a session that resumes the file repeats them, and nothing else.
    pub(crate) replay: Vec<String>,
    /// Whether it leaves something in its session that cannot be repeated, such as a temporary table.
    pub(crate) temporary: bool,
}

#[derive(Debug)]
pub(crate) enum StatementKind {
    Statement,
    Index(Box<CreateIndex>),
    /// One other statement that uses CONCURRENTLY.
    Concurrent(Concurrent),
    /// One VACUUM or the like: a second time it changes nothing.
    Maintenance,
    /// One CALL, or a DO that commits in between: when it fails, part of its work may stay.
    Procedure,
    Transaction {
        /// Length in bytes of the text before the final COMMIT.
        body: usize,
        /// Offsets in bytes, in the file, of its statements.
        starts: Vec<usize>,
    },
}

impl PreparedStatement {
    /// Whether the statement waits for other transactions rather than blocks them: it then needs no lock timeout.
    pub(crate) fn is_concurrent(&self) -> bool {
        match &self.kind {
            StatementKind::Concurrent(_) => true,
            StatementKind::Index(index) => index.concurrently,
            StatementKind::Statement
            | StatementKind::Maintenance
            | StatementKind::Procedure
            | StatementKind::Transaction { .. } => false,
        }
    }

    /// What the statement works on concurrently, or, for a CREATE INDEX without CONCURRENTLY, what an earlier text of it may have.
    pub(crate) fn concurrent(&self) -> Option<Concurrent> {
        match &self.kind {
            StatementKind::Concurrent(work) => Some(work.clone()),
            StatementKind::Index(index) => Some(Concurrent::CreateIndex(index.clone())),
            _ => None,
        }
    }

    /// Whether the statement sets `lock_timeout` for the statements after it.
    pub(crate) fn sets_lock_timeout(&self) -> bool {
        self.replay.iter().any(|set| set.to_ascii_lowercase().contains("lock_timeout"))
    }
}

/// The pending files that are already prepared for a session that reads strings this way, and the files that are not.
pub(crate) fn kept<'a>(
    pending: &[&'a Migration],
    before: &[Pending<'a>],
    strings: Strings,
) -> (Vec<Arc<Prepared<'a>>>, Vec<&'a Migration>) {
    let (mut kept, mut others) = (Vec::new(), Vec::new());
    for file in pending {
        let is_same = |prepared: &&Arc<Prepared<'_>>| {
            std::ptr::eq(prepared.migration, *file) && prepared.strings == strings
        };
        match before.iter().map(|(prepared, _)| prepared).find(is_same) {
            Some(prepared) => kept.push(Arc::clone(prepared)),
            None => others.push(*file),
        }
    }
    (kept, others)
}

/// Prepares pending files for a session that reads strings this way.
///
/// # Errors
/// Every refusal of every file.
pub(crate) fn prepare<'a>(
    pending: &[&'a Migration],
    no_transaction: &BTreeSet<i64>,
    strings: Strings,
) -> Result<Vec<Prepared<'a>>, Vec<Finding>> {
    let mut all = Vec::with_capacity(pending.len());
    let mut findings = Vec::new();
    for migration in pending {
        match prepare_one(migration, no_transaction.contains(&migration.version), strings) {
            Ok(prepared) => all.push(prepared),
            Err(refused) => findings.extend(refused),
        }
    }
    if findings.is_empty() { Ok(all) } else { Err(findings) }
}

fn prepare_one(migration: &Migration, forced: bool, strings: Strings) -> Result<Prepared<'_>, Vec<Finding>> {
    let finding =
        |kind, line, message: String, hint: String| migration.finding(kind, message, hint).line(line);
    let sql = migration.content.as_deref().map_err(|unreadable| {
        vec![match unreadable {
            Unreadable::NotUtf8 { offset } => finding(
                FindingKind::NotUtf8,
                None,
                format!("is not UTF-8: the byte at offset {offset} belongs to no character"),
                format!(
                    "`iconv -f latin1 -t utf-8 {f} > new && mv new {f}`, if it was Latin-1",
                    f = migration.file
                ),
            ),
            Unreadable::Utf16(encoding) => finding(
                FindingKind::NotUtf8,
                None,
                "is UTF-16, and SQL is sent as UTF-8".into(),
                format!("`iconv -f {encoding} -t utf-8 {f} > new && mv new {f}`", f = migration.file),
            ),
            Unreadable::Io(reason) => finding(
                FindingKind::Unreadable,
                None,
                format!("cannot be read: {reason}"),
                "give the user that runs corveil permission to read it".into(),
            ),
        }]
    })?;
    let directives = directives::parse(sql, strings)
        .map_err(|e| vec![finding(FindingKind::Directive, Some(e.line), e.reason, e.hint)])?;
    let transactional = !(directives.no_transaction || forced);
    let mut reading = Reading::default();
    let refusals = refuse::refusals(sql, strings, transactional, |statement| {
        reading.follow(sql, statement, transactional);
    });
    if !refusals.is_empty() {
        let mut lines = Lines::new(sql);
        let mut findings: Vec<_> = refusals
            .found
            .into_iter()
            .map(|r| finding(FindingKind::Statement, Some(lines.of(r.start)), r.reason, r.advice))
            .collect();
        if refusals.more > 0 {
            let message = format!("has {} more places like these", refusals.more);
            findings.push(finding(FindingKind::Statement, None, message, "correct those above first".into()));
        }
        return Err(findings);
    }
    let (is_empty, leaves) = (reading.statements == 0, reading.leaves.warnings(sql));
    migration.keep_created(reading.creations.created);
    let mode = if transactional {
        let wrapping = reading.outline.wrapping();
        let statements = reading.statements - if wrapping.is_some() { 2 } else { 0 };
        Mode::Transaction { wrapping, statements, cuts: reading.cuts }
    } else {
        Mode::Statements(reading.prepared)
    };
    Ok(Prepared { migration, sql, strings, directives, mode, is_empty, leaves })
}

/// A batch is not continued with another statement beyond this size, in bytes. Half as much or twice as much is as fast.
const BATCH: usize = 1024 * 1024;

/// The state of reading a file statement by statement. The statements themselves are not: of a file of rows they would
/// take many times its size.
#[derive(Default)]
struct Reading<'a> {
    statements: usize,
    cuts: Vec<usize>,
    outline: Outline<'a>,
    leaves: Leaves,
    creations: Creations,
    pairing: Pairing,
    /// The BEGIN … COMMIT that is being read.
    open: Option<PreparedStatement>,
    prepared: Vec<PreparedStatement>,
}

impl<'a> Reading<'a> {
    fn follow(&mut self, sql: &'a str, statement: &Statement<'a>, transactional: bool) {
        self.statements += 1;
        self.leaves.follow(statement);
        self.creations.follow(statement);
        if transactional {
            let sent = self.cuts.last().copied().unwrap_or_default();
            if statement.is_read_otherwise || statement.start - sent >= BATCH {
                self.cuts.push(statement.start);
            }
            self.outline.follow(statement);
            return;
        }
        // Control that does not pair up is refused, and nothing of this is used then.
        let Ok(part) = self.pairing.follow(statement) else { return };
        let mut prepared = self.open.take().unwrap_or_else(|| PreparedStatement::new(statement));
        prepared.add(statement);
        match part {
            Part::Begin | Part::Inside => self.open = Some(prepared),
            Part::Single | Part::Commit => self.prepared.push(prepared.end(sql, statement)),
        }
    }
}

/// A CALL, and a DO that commits or calls. The search for the words rather asks the user once too often.
fn may_commit_in_between(statement: &Statement<'_>) -> bool {
    let text = statement.text.to_ascii_lowercase();
    statement.starts_with(&["call"])
        || (statement.starts_with(&["do"])
            && ["commit", "rollback", "call"].iter().any(|word| text.contains(word)))
}

/// Statements that may be repeated when it is not known whether they ended.
fn is_maintenance(statement: &Statement<'_>) -> bool {
    ["vacuum", "analyze", "analyse", "reindex", "cluster", "checkpoint"]
        .iter()
        .any(|keyword| statement.starts_with(&[keyword]))
}

fn kind(statement: &Statement<'_>) -> StatementKind {
    if let Some(index) = create_index(statement) {
        StatementKind::Index(Box::new(index))
    } else if let Some(work) = concurrent(statement) {
        StatementKind::Concurrent(work)
    } else if is_maintenance(statement) {
        StatementKind::Maintenance
    } else if may_commit_in_between(statement) {
        StatementKind::Procedure
    } else {
        StatementKind::Statement
    }
}

impl PreparedStatement {
    fn new(first: &Statement<'_>) -> Self {
        let kind = match control(first) {
            Some(Control::Begin) => StatementKind::Transaction { body: 0, starts: Vec::new() },
            _ => kind(first),
        };
        Self {
            text: Arc::default(),
            start: first.start,
            checksum: Vec::new(),
            kind,
            replay: Vec::new(),
            temporary: false,
        }
    }

    fn add(&mut self, statement: &Statement<'_>) {
        if let StatementKind::Transaction { starts, .. } = &mut self.kind {
            starts.push(statement.start);
        }
        match session_state(statement) {
            SessionState::Set => self.replay.push(statement.text.to_owned()),
            SessionState::Temporary => self.temporary = true,
            SessionState::None => {}
        }
    }

    fn end(mut self, sql: &str, last: &Statement<'_>) -> Self {
        if let StatementKind::Transaction { body, .. } = &mut self.kind {
            *body = last.start - self.start;
        }
        self.text = Arc::new(sql[self.start..last.end()].to_owned());
        self.checksum = Sha384::digest(self.text.as_bytes()).to_vec();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::catalog::Catalog;

    #[test]
    fn a_file_stays_prepared_for_a_session_that_reads_it_the_same_way() {
        let file = |name: &str| (name.to_owned(), Ok(b"SELECT 1;".to_vec()));
        let catalog = Catalog::from_files([file("1_a.sql"), file("2_b.sql")]).unwrap();
        let files: Vec<_> = catalog.migrations().iter().collect();
        let prepared = prepare(&files[..1], &BTreeSet::new(), Strings::Standard).unwrap();
        let before: Vec<Pending<'_>> =
            prepared.into_iter().map(|prepared| (Arc::new(prepared), Resume::default())).collect();
        let (same, others) = kept(&files, &before, Strings::Standard);
        assert!(same.len() == 1 && Arc::ptr_eq(&same[0], &before[0].0));
        assert_eq!(others, files[1..]);
        let (same, others) = kept(&files, &before, Strings::Escapes);
        assert!(same.is_empty());
        assert_eq!(others, files);
    }
}

//! A file without a transaction: statement by statement, the intent recorded before each and its end after it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::info;

use super::failure::{failure, locate};
use super::leftovers::Tidied;
use super::records::Record;
use super::retry::{first_check, is_worth_a_retry};
use super::send::{Sent, Watch};
use super::{Ended, Session};
use crate::config::database::application_name;
use crate::core::batch::{self, Timeouts};
use crate::core::history::RecordState;
use crate::core::prepared::{Prepared, PreparedStatement, StatementKind};
use crate::core::resume::{Begun, Resume, effect_unknown, is_done};
use crate::core::sql::concurrent::Concurrent;
use crate::core::sql::quote::literal;
use crate::core::sql::split::first_line;
use crate::error::Result;
use crate::error::failure::Left;
use crate::postgres::concurrent::{Subject, subject};
use crate::postgres::indexes::{self, Built};
use crate::postgres::query::{self, position, server_error};
use crate::postgres::tables;

impl Session<'_> {
    /// Applies the statements that are not done and records the file; true when the session still holds the lock.
    pub(super) async fn apply_statements(
        &mut self,
        prepared: &Prepared<'_>,
        statements: &[PreparedStatement],
        resume: Resume,
    ) -> Result<bool, Ended> {
        let start = Instant::now();
        let (timeouts, retries) = (self.timeouts(prepared), self.retries(prepared));
        let result = File { session: self, prepared, statements, timeouts, retries }.apply(resume).await;
        if matches!(result, Err(Ended::ConnectionLost(_))) {
            return result.map(|_| false);
        }
        let recorded = match result {
            Ok(Done::Here) => self.finish(prepared, start).await,
            Ok(Done::ByAnother) => self.forget(prepared).await.map_err(Ended::from),
            Err(ended) => Err(ended),
        };
        match recorded {
            Ok(()) => Ok(self.reset().await?),
            // What ended the file is the news; a session that cannot be reset shows with the next statement.
            Err(ended) => {
                let _ = self.reset().await;
                Err(ended)
            }
        }
    }
}

/// A file that is applied statement by statement.
struct File<'f, 's> {
    session: &'f mut Session<'s>,
    prepared: &'f Prepared<'f>,
    statements: &'f [PreparedStatement],
    timeouts: Timeouts,
    retries: u32,
}

/// Who ran a statement, or all of them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Done {
    Here,
    /// Another tool, which recorded the whole file as applied.
    ByAnother,
}

impl File<'_, '_> {
    /// Applies the statements that are not done.
    async fn apply(&mut self, mut resume: Resume) -> Result<Done, Ended> {
        let settings = format!(
            "SET lock_timeout = {}; SET statement_timeout = {}; SET application_name = {};",
            self.timeouts.lock.as_millis(),
            self.timeouts.statement.as_millis(),
            literal(&application_name(Some(&self.prepared.migration.file)))
        );
        self.session.set(settings).await?;
        // First the session as it was: what the next statement finds, and so whether it took effect, depends on it.
        for set in self.statements[..resume.done].iter().flat_map(|statement| &statement.replay) {
            query::as_is(self.session.connection(), "replaying the SETs of finished statements", set.clone())
                .await?;
        }
        tables::complete_statements(self.session.guard).await?;
        if let Some(begun) = resume.begun
            && begun.is_unknown
            && self.took_effect(resume.done, begun).await?
        {
            resume = Resume { done: resume.done + 1, begun: None };
        }
        if resume.done > 0 {
            self.session.record_done(self.prepared, &self.statements[..resume.done]).await?;
            info!(
                "`{}` resumes at statement {} of {}",
                self.prepared.migration.file,
                resume.done + 1,
                self.statements.len()
            );
        }
        let mut sets_own = self.statements[..resume.done].iter().any(PreparedStatement::sets_lock_timeout);
        for index in resume.done..self.statements.len() {
            let statement = &self.statements[index];
            if let Some(reason) = self.session.stop.now() {
                return Err(Ended::Failed(reason.error(&self.stopped_at(index))));
            }
            self.session.progress.statement(&first_line(&statement.text), index + 1, self.statements.len());
            let lock_timeout = self.lock_timeout(statement, sets_own);
            sets_own |= statement.sets_lock_timeout();
            let begun = resume.begun.filter(|_| index == resume.done);
            if self.apply_statement(index, begun, lock_timeout).await? == Done::ByAnother {
                return Ok(Done::ByAnother);
            }
        }
        Ok(Done::Here)
    }

    /// A CONCURRENTLY statement waits for other transactions without blocking another session, also on other tables: with a
    /// timeout it would only end INVALID. So it has none unless the file asks for one.
    fn lock_timeout(&self, statement: &PreparedStatement, sets_own: bool) -> LockTimeout {
        if sets_own {
            LockTimeout::Own
        } else if statement.is_concurrent() && self.prepared.directives.lock_timeout.is_none() {
            LockTimeout::Milliseconds(0)
        } else {
            LockTimeout::Milliseconds(self.timeouts.lock.as_millis())
        }
    }

    async fn apply_statement(
        &mut self,
        index: usize,
        begun: Option<Begun>,
        lock_timeout: LockTimeout,
    ) -> Result<Done, Ended> {
        let (statement, number) = (&self.statements[index], index + 1);
        // The table as the first try found it.
        let mut relation = begun.and_then(|begun| begun.relation);
        for attempt in 1.. {
            let subject = match statement.concurrent() {
                Some(work) => subject(self.session.connection(), &work).await?,
                None => None,
            };
            let found = subject.map(|subject| subject.relation);
            if is_done(statement, found, relation) {
                info!(
                    "statement {number} of `{}` is done: {}",
                    self.prepared.migration.file,
                    first_line(&statement.text)
                );
                self.session.record(self.prepared, &Record::finished(statement, number)).await?;
                return Ok(Done::Here);
            }
            relation = found.or(relation);
            let record = |state, error| Record { statement, number, state, error, relation };
            self.session.record(self.prepared, &record(RecordState::Started, None)).await?;
            if let LockTimeout::Milliseconds(ms) = lock_timeout {
                self.session.set(format!("SET lock_timeout = {ms}")).await?;
            }
            let sent = self.run_statement(index, subject).await?;
            let Some(error) = &sent.error else {
                if !matches!(statement.kind, StatementKind::Transaction { .. }) {
                    self.session.record(self.prepared, &Record::finished(statement, number)).await?;
                }
                return Ok(Done::Here);
            };
            let server = server_error(error);
            if server.connection_lost() && sent.stopped.is_none() {
                return Err(Ended::ConnectionLost(server));
            }
            if matches!(statement.kind, StatementKind::Transaction { .. }) {
                self.session.roll_back().await?;
            }
            // A procedure may have committed part of its work, so that its effect stays unknown.
            let is_procedure = matches!(statement.kind, StatementKind::Procedure);
            let state = if is_procedure { RecordState::Started } else { RecordState::Failed };
            self.session.record(self.prepared, &record(state, Some(&server))).await?;
            if let Some(reason) = sent.stopped {
                return Err(Ended::Failed(reason.error(&self.stopped_at(index))));
            }
            if self.session.is_applied_by_another(self.prepared).await? {
                return Ok(Done::ByAnother);
            }
            if !is_procedure && attempt <= self.retries && is_worth_a_retry(&server, &sent, self.timeouts) {
                self.session.pause_before_retry(self.prepared, attempt, &server, &sent.blockers).await?;
                continue;
            }
            if let (Some(work), false) = (statement.concurrent(), server.may_pass()) {
                self.session.drop_now(&statement.text, &work, relation).await;
            }
            let place = self.place(statement, &sent, position(error));
            let left = Left::Statements { done: index, total: self.statements.len() };
            return Err(Ended::Failed(failure(self.prepared, place, (server, sent.blockers), attempt, left)));
        }
        unreachable!("the loop ends by returning")
    }

    /// Sends the statement, after what earlier tries of it left behind is dropped.
    async fn run_statement(&mut self, index: usize, subject: Option<Subject>) -> Result<Sent, Ended> {
        let (statement, number) = (&self.statements[index], index + 1);
        let mut wait = first_check(self.timeouts);
        let work = statement.concurrent();
        if let Some(work) = &work {
            let relation = subject.map(|subject| subject.relation);
            match self.session.tidy(&statement.text, work, relation, wait).await? {
                Tidied::Failed(sent) => return Ok(*sent),
                Tidied::Clean | Tidied::Kept(_) => {}
            }
        }
        let sql = match (&statement.kind, work) {
            (StatementKind::Transaction { body, .. }, _) => {
                let finished =
                    Record::finished(statement, number).sql(&self.session.schema()?, self.prepared);
                batch::recorded_block(&statement.text[..*body], &finished).into()
            }
            (_, Some(Concurrent::Detach(detach)))
                if subject.is_some_and(|subject| subject.detach_pending) =>
            {
                info!("completing with FINALIZE what was begun before: {}", first_line(&statement.text));
                detach.finalize(&statement.text).into()
            }
            _ => Arc::clone(&statement.text),
        };
        if copies_a_database(&statement.text)
            && let Some(control) = &self.session.guard.control
        {
            // A database is copied while no other session is connected to it, and it may be this one.
            control.close().await;
            wait = UNSEEN;
        }
        Ok(self.session.send(sql, &mut Watch::begin(wait)).await)
    }

    /// Whether a statement of which only the intent is recorded took effect.
    async fn took_effect(&mut self, index: usize, begun: Begun) -> Result<bool> {
        let (statement, number) = (&self.statements[index], index + 1);
        let unknown = |reason| Err(effect_unknown(&self.prepared.migration.file, number, reason));
        match &statement.kind {
            StatementKind::Index(create) => {
                let work = Concurrent::CreateIndex(create.clone());
                let table = subject(self.session.connection(), &work).await?.map(|subject| subject.relation);
                match indexes::built(self.session.connection(), &statement.text, create, table).await? {
                    Built::Equal => Ok(true),
                    Built::Absent | Built::Invalid => Ok(false),
                    Built::Other if create.name.is_none() => unknown(
                        "the process stopped before recording its result, and an index as the statement describes it exists, \
                     which an earlier statement may have made",
                    ),
                    Built::Other => unknown(
                        "the process stopped before recording its result, and the index of that name is not the one that \
                     the statement describes",
                    ),
                }
            }
            // What it takes away is gone, but nothing shows that it was there: an earlier build recorded no table.
            StatementKind::Concurrent(work @ (Concurrent::DropIndex(_) | Concurrent::Detach(_)))
                if begun.relation.is_none() && subject(self.session.connection(), work).await?.is_none() =>
            {
                unknown(UNKNOWN)
            }
            StatementKind::Procedure => unknown(UNKNOWN),
            StatementKind::Statement if statement.replay.is_empty() => unknown(UNKNOWN),
            // The end of a transaction is recorded in itself: no record, no effect. What there is left to do for a concurrent
            // statement the catalog shows when it is applied. The others may be repeated.
            StatementKind::Transaction { .. }
            | StatementKind::Concurrent(_)
            | StatementKind::Maintenance
            | StatementKind::Statement => Ok(false),
        }
    }

    fn place(
        &self,
        statement: &PreparedStatement,
        sent: &Sent,
        character: Option<usize>,
    ) -> (Option<crate::error::failure::Position>, String) {
        // The statement's SQL is sent as it stands in the file, so the server counts from the statement's first character.
        let before = self.prepared.sql[..statement.start].chars().count();
        let character = character.map(|character| character + before);
        match &statement.kind {
            StatementKind::Transaction { starts, .. } => {
                locate(self.prepared.sql, starts, sent.commands, character)
            }
            _ => locate(self.prepared.sql, &[statement.start], 0, character),
        }
    }

    fn stopped_at(&self, done: usize) -> String {
        let total = self.statements.len();
        format!(
            "in `{}`; {done} of its {total} statements are done, the next run resumes there",
            self.prepared.migration.file
        )
    }
}

/// What `lock_timeout` a statement gets.
#[derive(Clone, Copy)]
enum LockTimeout {
    /// The file has set its own.
    Own,
    Milliseconds(u128),
}

/// How long a statement works without a check.
const UNSEEN: Duration = Duration::from_hours(24);

fn copies_a_database(statement: &str) -> bool {
    let mut words = statement.split_ascii_whitespace();
    ["create", "database"].iter().all(|word| words.next().is_some_and(|next| next.eq_ignore_ascii_case(word)))
}

/// Why it cannot be known whether a statement took effect.
const UNKNOWN: &str = "the process stopped after sending the statement and before recording its result, so its effect is unknown";

//! The gate itself: read, decide, lock, read again, apply, check.

mod app;
mod check;
pub(crate) mod report;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use tracing::{debug, info, warn};

use crate::compute;
use crate::core::abandoned::Files;
use crate::core::catalog::Migration;
use crate::core::history::History;
use crate::core::plan::{self, OutOfOrder};
use crate::core::prepared::{self, Pending, Prepared};
use crate::core::resume::resume;
use crate::core::sql::strings::Strings;
use crate::core::trust;
use crate::error::{Error, LISTED, Result, ServerError};
use crate::exit::ExitCode;
use crate::operations::adopt::{AdoptRequest, Baseline};
use crate::operations::open::{self, READING};
use crate::operations::target::Target;
use crate::output::progress;
use crate::postgres::apply::{AppliedFile, Ended, Session, Settings, abandoned};
use crate::postgres::connect;
use crate::postgres::lock::LockGuard;
use crate::postgres::runs::{self, End};
use crate::postgres::state::{self, DatabaseState, ServerState};
use crate::postgres::{other_tool, query, record, tables};
use report::{Adopted, Outcome, PendingFile, Report};

/// A run of the gate.
pub(crate) struct Gate<'a> {
    pub(crate) target: Target<'a>,
    /// The attempt to connect that was begun while the files were read.
    pub(crate) begun: Cell<Option<connect::Begun>>,
    pub(crate) up_to: Option<i64>,
    pub(crate) out_of_order: OutOfOrder,
    pub(crate) no_transaction: BTreeSet<i64>,
    pub(crate) resume_from: Option<usize>,
    pub(crate) lock_wait: Duration,
    pub(crate) settings: Settings,
    pub(crate) dry_run: bool,
    /// The request to baseline a database that something else migrated, with `--adopt`.
    pub(crate) adopt: Option<AdoptRequest<'a>>,
}

/// What there is to do.
struct Work {
    pending: Vec<Pending<'static>>,
    newer: Vec<i64>,
}

impl<'a> Gate<'a> {
    /// Lets the rollout pass, or returns why not.
    pub(crate) async fn pass(&self) -> Result<Report> {
        tokio::select! {
            // A statement may end well although it was cancelled, and the signal may come after the last one.
            result = self.pass_in_order() => match (result, self.target.stop.now()) {
                (Ok(_), Some(reason)) => Err(reason.error("after everything was applied")),
                (result, _) => result,
            },
            error = self.target.stop.overdue() => Err(error),
        }
    }

    async fn pass_in_order(&self) -> Result<Report> {
        let (mut connection, mut state) = self.target.connect(self.begun.take()).await?;
        open::refuse_two_ways(self.target.catalog, &state.history, self.target.stop).await?;
        let found = self.adoptable(&mut connection, &mut state).await?;
        let history = found.as_ref().map(Baseline::history);
        let history = history.as_ref().unwrap_or(&state.history);
        let work = self.decide(&state.server, history, &[], self.resume_from).await?;
        if !work.newer.is_empty() {
            warn!(
                "the database is ahead of this build, which does not know {}, as expected after a rollback",
                numbers(&work.newer)
            );
        }
        if self.dry_run {
            return self.preview(connection, &state.server, history, &work, found.as_ref()).await;
        }
        if work.pending.is_empty()
            && !state.server.needs_grant()
            && found.is_none()
            && !abandoned::is_any(self.files(history, &work))
            && self.app_finds_it_ready().await?
        {
            query::close(connection).await;
            self.refuse_invalid(&state.invalid, &history.records)?;
            return Ok(report(Outcome::Current, history, work.newer, Vec::new()));
        }
        let (server, from, seen) = (state.server, history.newest(), history.clone());
        let mut guard = self.target.lock(connection, server, self.lock_wait).await?;
        let result = self.under_lock(&mut guard, found.as_ref(), &seen, &work).await;
        let result = match result {
            Err(Ended::ConnectionLost(server)) => {
                guard.lose(&server).await;
                return self.recover(server, from, &work).await;
            }
            Err(Ended::Failed(error)) => Err(error),
            Ok(report) => Ok(report),
        };
        guard.release().await;
        result
    }

    /// The migrations that the database contains, with `--adopt` and where a run would otherwise refuse it.
    async fn adoptable(
        &self,
        connection: &mut PgConnection,
        state: &mut DatabaseState,
    ) -> Result<Option<Baseline<'a>>> {
        let Some(question) = self.adopt.as_ref().filter(|_| state.history.is_blank()) else {
            return Ok(None);
        };
        let server = &state.server;
        if other_tool::found(connection, self.target.catalog, server, self.target.scope()).await?.is_empty()
            && !question.has_any_object(connection, server.schema()?).await?
        {
            return Ok(None);
        }
        question.answer(connection, state).await
    }

    /// Compares files and history, and prepares the pending files, as far as they were not `before`: everything that can be refused is refused here,
    /// for the whole set, before the first statement runs.
    async fn decide(
        &self,
        server: &ServerState,
        history: &History,
        before: &[Pending<'static>],
        resume_from: Option<usize>,
    ) -> Result<Work> {
        if let Some(unknown) =
            self.no_transaction.iter().find(|version| self.target.catalog.get(**version).is_none())
        {
            return Err(Error::config(
                format!("`--no-transaction {unknown}` is not the version of a migration file"),
                "`corveil status` lists the versions",
            ));
        }
        let plan = plan::plan(self.target.catalog, history, self.up_to, self.out_of_order)?;
        let pending = self.prepare(plan.pending, before, history.is_blank(), server.strings).await?;
        let mut from = resume_from;
        let pending: Vec<_> = pending
            .into_iter()
            .map(|prepared| {
                let records: Vec<_> = history.records_of(prepared.migration.version).collect();
                let from = if records.is_empty() { None } else { from.take() };
                let resume = resume(&prepared, &records, from)?;
                Ok((prepared, resume))
            })
            .collect::<Result<_>>()?;
        match (from, pending.first()) {
            (Some(from), Some((next, _))) => Err(Error::config(
                format!(
                    "`--resume-from {from}` is given, but no pending file is half done; the next is \
                    `{}`",
                    next.migration.file
                ),
                "run `corveil migrate` without it",
            )),
            // A Job that keeps the variable has nothing left to resume at its second try.
            (Some(_), None) => {
                warn!("`--resume-from` has nothing to resume: no migration is pending");
                Ok(())
            }
            (None, _) => Ok(()),
        }?;
        Ok(Work { pending, newer: plan.newer })
    }

    /// Prepares the pending files, but for those that were before, and reads what all files create where that is going to be
    /// asked.
    async fn prepare(
        &self,
        pending: Vec<&'static Migration>,
        before: &[Pending<'static>],
        is_first: bool,
        strings: Strings,
    ) -> Result<Vec<Arc<Prepared<'static>>>> {
        let (mut all, others) = prepared::kept(&pending, before, strings);
        if others.is_empty() {
            return Ok(all);
        }
        let (catalog, no_transaction) = (self.target.catalog, self.no_transaction.clone());
        let read = move || {
            let prepared = prepared::prepare(&others, &no_transaction, strings).map_err(Error::Refused)?;
            if is_first {
                catalog.created().for_each(drop);
            }
            Ok::<_, Error>(prepared)
        };
        all.extend(compute::apart(self.target.stop, READING, read).await??.into_iter().map(Arc::new));
        all.sort_by_key(|prepared| prepared.migration.version);
        Ok(all)
    }

    fn files<'w>(&self, history: &'w History, work: &'w Work) -> Files<'w> {
        Files { catalog: self.target.catalog, history, pending: &work.pending }
    }

    /// What a dry run shows.
    async fn preview(
        &self,
        mut connection: PgConnection,
        server: &ServerState,
        history: &History,
        work: &Work,
        found: Option<&Baseline<'_>>,
    ) -> Result<Report> {
        if history.is_blank() {
            other_tool::refuse(&mut connection, self.target.catalog, server, self.target.scope()).await?;
        }
        query::close(connection).await;
        for (index, (prepared, _)) in work.pending.iter().enumerate() {
            for warning in prepared.warnings(index + 1 < work.pending.len()) {
                warn!("`{}` {warning}", prepared.migration.file);
            }
        }
        let outcome = if work.pending.is_empty() { Outcome::Current } else { Outcome::WouldApply };
        let mut report = report(outcome, history, work.newer.clone(), Vec::new());
        report.adopted = found.map(Adopted::of);
        report.pending = work.pending.iter().map(|(prepared, _)| PendingFile::of(prepared)).collect();
        Ok(report)
    }

    /// Reads again, as another run may have been here, and does the work: what was decided on, where the history is as it was
    /// `seen` then.
    async fn under_lock(
        &self,
        guard: &mut LockGuard,
        found: Option<&Baseline<'_>>,
        seen: &History,
        decided: &Work,
    ) -> Result<Report, Ended> {
        let mut state = state::read(&mut guard.connection, self.target.scope()).await?;
        let adopted = match found.filter(|_| state.history.is_blank()) {
            Some(found) => {
                self.record_baseline(guard, &state.server, found).await?;
                state = state::read(&mut guard.connection, self.target.scope()).await?;
                Some(Adopted::of(found))
            }
            None => None,
        };
        let decided_again;
        let work = if state.history == *seen {
            decided
        } else {
            decided_again =
                self.decide(&state.server, &state.history, &decided.pending, self.resume_from).await?;
            &decided_again
        };
        if state.history.is_blank() {
            other_tool::refuse(
                &mut guard.connection,
                self.target.catalog,
                &state.server,
                self.target.scope(),
            )
            .await?;
        }
        let schema = state.server.schema()?.to_owned();
        let is_new = state.server.home.tables.len() < trust::TABLES.len();
        if !work.pending.is_empty() {
            trust::expect_writable(&state.server.home)?;
        }
        if state.server.needs_grant() || (is_new && !work.pending.is_empty()) {
            tables::prepare(&mut guard.connection, &state.server, self.target.scope()).await?;
        }
        let mut progress = progress::new();
        let mut session = Session::new(guard, self.settings, self.target.stop, progress.as_mut());
        session.clean_up(self.files(&state.history, work)).await?;
        if work.pending.is_empty() {
            self.check_at_the_end(guard).await?;
            let report = report(Outcome::Current, &state.history, work.newer.clone(), Vec::new());
            return Ok(Report { adopted, ..report });
        }
        let run = runs::start(session.connection(), &schema, state.history.newest()).await?;
        let mut applied = Vec::new();
        let ended = session.apply(&work.pending, &mut applied).await;
        let mut ended = ended.map_err(|ended| ended.with_cause(self.target.catalog));
        progress.end();
        if ended.is_ok() {
            ended = self.check_at_the_end(guard).await.map_err(Ended::from);
        }
        if let (Ok(()), Some(reason)) = (&ended, self.target.stop.now()) {
            ended = Err(Ended::Failed(reason.error("after everything was applied")));
        }
        let report = report(Outcome::Applied, &state.history, work.newer.clone(), applied);
        let report = Report { adopted, ..report };
        let error = match ended {
            Err(Ended::ConnectionLost(server)) => return Err(Ended::ConnectionLost(server)),
            Err(Ended::Failed(error)) => Some(error),
            Ok(()) => None,
        };
        let failed = error
            .as_ref()
            .filter(|error| error.exit_code() == ExitCode::Failed)
            .and_then(|_| work.pending.get(report.applied.len()))
            .map(|(prepared, _)| prepared.migration);
        let end = End { id: Some(run), to: report.to_version, error: error.as_ref(), failed };
        if let Err(error) = runs::end(&mut guard.connection, &schema, &end).await {
            // The schema is what counts; the row without an end will show as a run that died.
            debug!("{error}");
        }
        match error {
            Some(error) => Err(Ended::Failed(error)),
            None => Ok(report),
        }
    }

    /// Records the migrations that the database contains, unless the database has changed.
    async fn record_baseline(
        &self,
        guard: &mut LockGuard,
        server: &ServerState,
        found: &Baseline<'_>,
    ) -> Result<()> {
        let Some(question) = &self.adopt else { return Ok(()) };
        question.expect_unchanged(&mut guard.connection, server, found).await?;
        record::record(guard, &found.migrations, self.target.scope(), self.target.stop).await?;
        info!(
            "recorded {} migrations that the database contains, and ran none of them",
            found.migrations.len()
        );
        Ok(())
    }

    /// Finds out whether the file that was running when the connection broke is applied.
    ///
    /// Its statement may still run on the server. The lock shows when it ended: it is free only once the old session has
    /// ended, and only then is the history final.
    async fn recover(&self, server: ServerError, from: Option<i64>, before: &Work) -> Result<Report> {
        warn!("{server}; connecting again to read what was committed");
        let lost = |what: String| Error::Interrupted {
            message: format!("{server}; {what}"),
            hint: "run `corveil migrate` again; nothing is applied twice".into(),
        };
        let (connection, state) = self.target.connect(self.begun.take()).await.map_err(|error| {
            lost(format!(
                "the database did not come back ({error}), so the next run reads what was committed"
            ))
        })?;
        let server = state.server;
        let mut guard = self.target.lock(connection, server, self.lock_wait).await?;
        let result = self.recover_under_lock(&mut guard, before, lost).await;
        guard.release().await;
        let (state, newer) = result?;
        let applied = before.pending.iter().filter_map(|(prepared, _)| {
            let row = state.history.applied(prepared.migration.version)?;
            Some(AppliedFile::of(
                prepared.migration,
                Duration::from_nanos(row.execution_time.try_into().unwrap_or_default()),
            ))
        });
        let mut report = report(Outcome::Applied, &state.history, newer, applied.collect());
        report.from_version = from;
        Ok(report)
    }

    async fn recover_under_lock(
        &self,
        guard: &mut LockGuard,
        before: &Work,
        lost: impl Fn(String) -> Error,
    ) -> Result<(DatabaseState, Vec<i64>)> {
        let state = state::read(&mut guard.connection, self.target.scope()).await?;
        let work = self.decide(&state.server, &state.history, &before.pending, None).await?;
        let result = match work.pending.first() {
            None => {
                info!("everything had been committed before the connection broke");
                self.check_at_the_end(guard).await
            }
            Some((next, _)) => Err(lost(format!(
                "the history shows that everything before `{}` is applied, and {} files are pending",
                next.migration.file,
                work.pending.len()
            ))),
        };
        if let (Some(schema), Some(_)) = (&state.server.home.schema, state.server.runs()) {
            let end =
                End { id: None, to: state.history.newest(), error: result.as_ref().err(), failed: None };
            if let Err(error) = runs::end(&mut guard.connection, schema, &end).await {
                debug!("{error}");
            }
        }
        result.map(|()| (state, work.newer))
    }
}

fn report(outcome: Outcome, history: &History, newer: Vec<i64>, applied: Vec<AppliedFile>) -> Report {
    let from_version = history.newest();
    let newest = applied.iter().map(|file| file.version).max();
    Report {
        outcome,
        from_version,
        to_version: from_version.max(newest),
        adopted: None,
        applied,
        pending: Vec::new(),
        newer,
    }
}

fn numbers(versions: &[i64]) -> String {
    let mut list: Vec<String> = versions.iter().take(LISTED).map(ToString::to_string).collect();
    if versions.len() > LISTED {
        list.push(format!("and {} more", versions.len() - LISTED));
    }
    format!("version{} {}", if versions.len() == 1 { "" } else { "s" }, list.join(", "))
}

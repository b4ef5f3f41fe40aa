//! Finds the statement records that no pending file will replace: the statement was edited, its file was removed or now
//! runs in a transaction, or another tool has applied it.

use std::collections::BTreeSet;

use crate::core::catalog::Catalog;
use crate::core::history::{History, RecordState, StatementRecord};
use crate::core::prepared::{Mode, Pending};
use crate::core::sql::concurrent::Concurrent;
use crate::error::{Finding, FindingKind};

/// A statement that did not end well and is not sent again, so that nothing removes what it left.
#[derive(Debug)]
pub(crate) struct HalfDone {
    /// Its place among the records.
    pub(crate) record: usize,
    pub(crate) work: Concurrent,
    /// The table that it worked on.
    pub(crate) relation: Option<u32>,
}

/// The files and the history that decide about a record.
#[derive(Clone, Copy)]
pub(crate) struct Files<'a> {
    /// The files of this build.
    pub(crate) catalog: &'a Catalog,
    pub(crate) history: &'a History,
    /// The files that this run is to apply, and where it resumes them.
    pub(crate) pending: &'a [Pending<'a>],
}

impl Files<'_> {
    /// The statements of the records that did not end well and that the pending files do not send again.
    pub(crate) fn half_done(self, records: &[StatementRecord]) -> Vec<HalfDone> {
        records
            .iter()
            .enumerate()
            .filter(|(_, record)| !self.is_sent_again(record))
            .filter_map(|(index, record)| {
                let (work, relation) = record.half_done()?;
                Some(HalfDone { record: index, work, relation })
            })
            .collect()
    }

    fn is_sent_again(self, record: &StatementRecord) -> bool {
        self.pending.iter().any(|(prepared, resume)| {
            prepared.migration.version == record.version
                && record.number > resume.done
                && matches!(&prepared.mode, Mode::Statements(statements)
                    if statements.get(record.number - 1).is_some_and(|statement| statement.checksum == record.checksum))
        })
    }

    /// The versions whose records can be deleted once what their statements left is removed: their files are applied, or no
    /// part of them is applied and they start over, if they exist at all.
    pub(crate) fn forgettable(self, records: &[StatementRecord]) -> BTreeSet<i64> {
        let is_transaction = |version| {
            self.pending.iter().any(|(prepared, _)| {
                prepared.migration.version == version && matches!(prepared.mode, Mode::Transaction { .. })
            })
        };
        let failed = |version| {
            records.iter().filter(|r| r.version == version).all(|record| record.state == RecordState::Failed)
        };
        records
            .iter()
            .map(|record| record.version)
            .filter(|version| {
                self.history.applied(*version).is_some()
                    || failed(*version) && (self.catalog.get(*version).is_none() || is_transaction(*version))
            })
            .collect()
    }

    /// Whether a version has no file and is not applied.
    pub(crate) fn lack(self, version: i64) -> bool {
        self.catalog.get(version).is_none() && self.history.applied(version).is_none()
    }

    /// Whether a later run resumes the file: it is above `--target`, or belongs to a newer build.
    pub(crate) fn are_followed_by(self, version: i64) -> bool {
        self.history.applied(version).is_none()
            && self.pending.iter().all(|(prepared, _)| prepared.migration.version != version)
            && (self.catalog.get(version).is_some() || Some(version) > self.catalog.newest())
    }

    /// Partly applied files that were removed since: newer files exist here.
    pub(crate) fn removed(self, records: &[StatementRecord]) -> Vec<Finding> {
        let versions: BTreeSet<i64> = records
            .iter()
            .filter(|record| record.state != RecordState::Failed)
            .map(|record| record.version)
            .filter(|version| self.lack(*version) && !self.are_followed_by(*version))
            .collect();
        versions.into_iter().map(removed).collect()
    }
}

fn removed(version: i64) -> Finding {
    Finding::new(
        FindingKind::Unfinished,
        format!("version {version} is half applied and has no file, although newer files are here"),
        format!(
            "bring the file back with `git log --diff-filter=D -- '*{version}_*.sql'` and \
            `git checkout`; or undo by hand what its statements did, then `DELETE FROM \
            _corveil_statements WHERE version = {version}`"
        ),
    )
    .version(version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::history::Applied;
    use std::sync::Arc;

    use crate::core::prepared::prepare;
    use crate::core::resume::Resume;
    use crate::core::sql::strings::Strings;
    use sha2::{Digest, Sha384};

    const CREATE: &str = "CREATE INDEX CONCURRENTLY i ON t (a)";

    fn catalog(files: &[(&str, &str)]) -> Catalog {
        Catalog::from_files(files.iter().map(|(name, sql)| ((*name).into(), Ok(sql.as_bytes().to_vec()))))
            .unwrap()
    }

    fn record(version: i64, number: usize, sql: &str, state: RecordState) -> StatementRecord {
        StatementRecord {
            version,
            number,
            checksum: Sha384::digest(sql).to_vec(),
            state,
            error: None,
            statement: Some(sql.into()),
            relation: Some(1),
        }
    }

    fn pending(catalog: &Catalog, done: usize) -> Vec<Pending<'_>> {
        let files: Vec<_> = catalog.migrations().iter().collect();
        let all = prepare(&files, &BTreeSet::new(), Strings::Standard).unwrap();
        all.into_iter().map(|prepared| (Arc::new(prepared), Resume { done, begun: None })).collect()
    }

    #[test]
    fn a_statement_is_half_done_unless_a_pending_file_sends_it_again() {
        use RecordState::{Failed, Finished, Started};
        let unchanged = catalog(&[("2_b.sql", &format!("-- no-transaction\n{CREATE}"))]);
        let edited = catalog(&[("2_b.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY j ON t (a)")]);
        let transaction = catalog(&[("2_b.sql", "CREATE INDEX i ON t (a)")]);
        let removed = catalog(&[("1_a.sql", "SELECT 1")]);
        for (files, state, done, expected) in [
            (&unchanged, Failed, 0, 0),
            (&unchanged, Started, 0, 0),
            (&unchanged, Started, 1, 1),
            (&edited, Failed, 0, 1),
            (&transaction, Failed, 0, 1),
            (&removed, Failed, 0, 1),
            (&removed, Started, 0, 1),
            (&removed, Finished, 0, 0),
        ] {
            let records = [record(2, 1, CREATE, state)];
            let pending = pending(files, done);
            let files = Files { catalog: files, history: &History::default(), pending: &pending };
            assert_eq!(files.half_done(&records).len(), expected, "{:?} {state:?} {done}", files.catalog);
        }
        let other = StatementRecord { statement: None, ..record(2, 1, "VACUUM", Failed) };
        let files = Files { catalog: &removed, history: &History::default(), pending: &[] };
        assert!(files.half_done(&[other]).is_empty());
    }

    #[test]
    fn records_are_forgotten_when_nothing_depends_on_them() {
        use RecordState::{Failed, Finished, Started};
        let statements = catalog(&[("2_b.sql", "-- no-transaction\nSELECT 1")]);
        let transaction = catalog(&[("2_b.sql", "SELECT 1")]);
        let (removed, older) = (catalog(&[("3_c.sql", "SELECT 1")]), catalog(&[("1_a.sql", "SELECT 1")]));
        let nothing = History::default();
        let mut applied = History::default();
        applied.applied.push(Applied {
            version: 2,
            description: String::new(),
            installed_on: String::new(),
            success: true,
            checksum: Vec::new(),
            execution_time: 0,
        });
        // The files, the history, the states; whether they are forgotten, and whether the file is missing.
        for (files, history, states, forgotten, missing) in [
            (&statements, &nothing, &[Failed][..], false, false),
            (&transaction, &nothing, &[Failed], true, false),
            (&statements, &applied, &[Finished, Started], true, false),
            (&removed, &applied, &[Finished, Started], true, false),
            (&removed, &nothing, &[Failed], true, false),
            (&removed, &nothing, &[Finished, Failed], false, true),
            (&removed, &nothing, &[Started], false, true),
            (&older, &nothing, &[Failed], true, false),
            (&older, &nothing, &[Finished, Failed], false, false),
        ] {
            let records: Vec<_> =
                states.iter().enumerate().map(|(i, state)| record(2, i + 1, "SELECT 2", *state)).collect();
            let case = format!("{files:?} {states:?}");
            let pending = pending(files, 0);
            let files = Files { catalog: files, history, pending: &pending };
            assert_eq!(!files.forgettable(&records).is_empty(), forgotten, "{case}");
            assert_eq!(!files.removed(&records).is_empty(), missing, "{case}");
        }
    }
}

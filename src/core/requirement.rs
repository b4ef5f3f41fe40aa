//! Whether a schema has what this build requires, or is newer: `wait` and the readiness probe check it.

use serde::Serialize;

use crate::core::catalog::{Catalog, Migration, Unreadable};
use crate::core::history::History;
use crate::core::trust::HISTORY;
use crate::error::{Finding, FindingKind};

/// A migration of this build that the history does not have as it is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unmet<'a> {
    pub(crate) migration: &'a Migration,
    /// What the history has instead.
    pub(crate) why: Why,
}

/// What the history has instead of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Why {
    NotApplied,
    /// A row that records it as failed.
    Failed,
    /// A row of a file with other contents.
    Differs,
    /// A row that the file cannot be compared with, because it cannot be read here.
    Unreadable,
}

/// The migrations of this build that the history does not have as they are here, oldest first.
///
/// Versions that this build does not know are accepted: a newer build has run.
pub(crate) fn unmet<'a>(catalog: &'a Catalog, history: &History) -> Vec<Unmet<'a>> {
    let why = |migration: &Migration| match history.applied(migration.version) {
        None => Some(Why::NotApplied),
        Some(row) if !row.success => Some(Why::Failed),
        Some(_) if matches!(migration.content, Err(Unreadable::Io(_))) => Some(Why::Unreadable),
        Some(row) if row.checksum != migration.checksum => Some(Why::Differs),
        Some(_) => None,
    };
    catalog.migrations().iter().filter_map(|m| why(m).map(|why| Unmet { migration: m, why })).collect()
}

/// What is missing, as a sentence; none when nothing is.
pub(crate) fn sentence(unmet: &[Unmet<'_>]) -> Option<String> {
    Some(match unmet {
        [] => return None,
        [Unmet { migration: Migration { file, .. }, why }] => match why {
            Why::NotApplied => format!("migration `{file}` is not applied"),
            Why::Failed => format!("migration `{file}` is recorded as failed"),
            Why::Differs => format!("migration `{file}` was applied with other contents"),
            Why::Unreadable => format!("migration `{file}` is applied and cannot be read here"),
        },
        [first, .., last] => {
            let as_here =
                if unmet.iter().all(|u| u.why == Why::NotApplied) { "" } else { " as they are here" };
            let (first, last) = (&first.migration.file, &last.migration.file);
            format!("{} migrations are not applied{as_here}, `{first}` to `{last}`", unmet.len())
        }
    })
}

/// A file that a run has applied and that is not in the history afterwards, as it was recorded.
pub(crate) fn lost(unmet: &Unmet<'_>) -> Finding {
    let file = unmet.migration;
    let what = match unmet.why {
        Why::NotApplied => "was applied, and its row is not in the history any more",
        Why::Differs => "was applied, and its row in the history has another checksum now",
        Why::Failed => "was applied, and its row in the history records it as failed",
        Why::Unreadable => "is applied and cannot be read here",
    };
    file.finding(
        FindingKind::RecordLost,
        what,
        format!(
            "find what changes table `{HISTORY}`: a rule, a trigger, or a statement of a \
            migration; remove it, and restore the row"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::history::Applied;

    /// Three files, and rows of the versions given with what is wrong with each.
    fn seen(rows: &[(i64, Option<Why>)]) -> (Vec<(i64, Why)>, Option<String>) {
        let content = |version| match rows.iter().find(|row| row.0 == i64::from(version)) {
            Some((_, Some(Why::Unreadable))) => Err("permission denied".into()),
            _ => Ok(vec![version]),
        };
        let catalog = Catalog::from_files([1, 2, 3].map(|v| (format!("{v}_m.sql"), content(v)))).unwrap();
        let row = |&(version, wrong): &(i64, Option<Why>)| Applied {
            version,
            description: "m".into(),
            installed_on: "2026-01-01".into(),
            success: wrong != Some(Why::Failed),
            checksum: match catalog.get(version) {
                Some(file) if wrong != Some(Why::Differs) => file.checksum.clone(),
                _ => vec![0; 48],
            },
            execution_time: 1,
        };
        let history = History { applied: rows.iter().map(row).collect(), records: Vec::new() };
        let unmet = unmet(&catalog, &history);
        (unmet.iter().map(|u| (u.migration.version, u.why)).collect(), sentence(&unmet))
    }

    #[test]
    fn what_is_missing_is_named() {
        use Why::{Differs, Failed, NotApplied, Unreadable};
        for (rows, expected, sentence) in [
            (&[(1, None), (2, None), (3, None)][..], &[][..], None),
            (&[(1, None), (2, None), (3, None), (9, None)], &[], None),
            (&[(1, None), (2, None)], &[(3, NotApplied)], Some("migration `3_m.sql` is not applied")),
            (
                &[(9, None), (1, None), (3, None)],
                &[(2, NotApplied)],
                Some("migration `2_m.sql` is not applied"),
            ),
            (
                &[(1, Some(Failed)), (2, None), (3, None)],
                &[(1, Failed)],
                Some("migration `1_m.sql` is recorded as failed"),
            ),
            (
                &[(1, None), (2, Some(Unreadable)), (3, None)],
                &[(2, Unreadable)],
                Some("migration `2_m.sql` is applied and cannot be read here"),
            ),
            (
                &[(1, None), (2, None), (3, Some(Differs))],
                &[(3, Differs)],
                Some("migration `3_m.sql` was applied with other contents"),
            ),
            (
                &[(1, None)],
                &[(2, NotApplied), (3, NotApplied)],
                Some("2 migrations are not applied, `2_m.sql` to `3_m.sql`"),
            ),
            (
                &[(1, Some(Differs)), (2, None)],
                &[(1, Differs), (3, NotApplied)],
                Some("2 migrations are not applied as they are here, `1_m.sql` to `3_m.sql`"),
            ),
        ] {
            assert_eq!(seen(rows), (expected.to_vec(), sentence.map(Into::into)), "{rows:?}");
        }
    }
}

//! What a run would do: the files compared with the history. Pure, so that every case is a line in a table.

use crate::core::catalog::{Catalog, Migration, Unreadable};
use crate::core::history::{Applied, History};
use crate::core::line_endings::{self, LineEndings};
use crate::error::{Error, Finding, FindingKind, Result};

/// What to do with a pending version that is older than the newest applied one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum OutOfOrder {
    /// End with exit code 4: the file was tested on another schema than the one that it would run on.
    #[default]
    Fail,
    /// Apply it, as sqlx does.
    Apply,
}

/// What a run would do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan<'a> {
    /// Migrations to apply, in this order.
    pub(crate) pending: Vec<&'a Migration>,
    /// Applied versions newer than this build's newest: a newer build has run.
    pub(crate) newer: Vec<i64>,
}

/// Compares files and history.
///
/// # Errors
/// [`Error::Mismatch`] with every disagreement; [`Error::Config`] for a target that no migration file has as its version.
pub(crate) fn plan<'a>(
    catalog: &'a Catalog,
    history: &History,
    target: Option<i64>,
    out_of_order: OutOfOrder,
) -> Result<Plan<'a>> {
    if let Some(target) = target.filter(|target| catalog.get(*target).is_none()) {
        return Err(Error::config(
            format!("`--target {target}` is not the version of a migration file"),
            "`corveil status` lists the versions",
        ));
    }
    let mut findings = disagreements(catalog, history);
    let pending: Vec<_> = catalog
        .migrations()
        .iter()
        .filter(|m| target.is_none_or(|target| m.version <= target))
        .filter(|m| history.applied(m.version).is_none())
        .collect();
    if out_of_order == OutOfOrder::Fail {
        let newest = history.newest();
        findings.extend(
            pending
                .iter()
                .filter(|m| Some(m.version) < newest)
                .map(|m| out_of_order_finding(catalog, m, newest)),
        );
    }
    if findings.is_empty() {
        Ok(Plan { pending, newer: newer(catalog, history) })
    } else {
        Err(Error::Mismatch(findings))
    }
}

/// Every applied row that disagrees with its file, or has no file although it is older than this build's newest.
pub(crate) fn disagreements(catalog: &Catalog, history: &History) -> Vec<Finding> {
    history
        .applied
        .iter()
        .filter_map(|row| match catalog.get(row.version) {
            file if !row.success => Some(dirty(row, file)),
            Some(file) if file.content.as_ref().is_err_and(|e| matches!(e, Unreadable::Io(_))) => {
                Some(unreadable(file))
            }
            Some(file) if file.checksum != row.checksum => Some(edited(file, row)),
            None if Some(row.version) < catalog.newest() => Some(missing(row)),
            _ => None,
        })
        .collect()
}

/// Applied versions newer than this build's newest.
pub(crate) fn newer(catalog: &Catalog, history: &History) -> Vec<i64> {
    history
        .applied
        .iter()
        .map(|row| row.version)
        .filter(|version| Some(*version) > catalog.newest())
        .collect()
}

/// Without the content, the file cannot be compared with what was applied.
fn unreadable(file: &Migration) -> Finding {
    let reason = match &file.content {
        Err(Unreadable::Io(reason)) => reason.as_str(),
        _ => "its content is not text",
    };
    file.finding(
        FindingKind::Unreadable,
        format!("is applied and cannot be read here: {reason}"),
        "give the user that runs corveil permission to read it",
    )
}

fn edited(file: &Migration, row: &Applied) -> Finding {
    let endings =
        file.content.as_ref().ok().and_then(|sql| line_endings::only_difference(sql, &row.checksum));
    let (message, hint) = match endings {
        Some(LineEndings { here, applied }) => (
            format!(
                "differs only in its line endings from the file applied on {}: {here} here, {applied} there",
                row.installed_on
            ),
            format!(
                "`echo '*.sql text eol={}' >> .gitattributes`, then `rm {f} && git checkout -- {f}`; if they are \
                 committed that way, `git add --renormalize .`",
                if applied == "LF" { "lf" } else { "crlf" },
                f = file.file
            ),
        ),
        None => (
            format!("was edited after it was applied on {}", row.installed_on),
            format!(
                "`git checkout <applied revision> -- {}`, and put the change into a new migration",
                file.file
            ),
        ),
    };
    file.finding(FindingKind::Edited, message, hint)
}

fn missing(row: &Applied) -> Finding {
    Finding::new(
        FindingKind::Missing,
        format!(
            "version {} ({}) was applied on {} and has no file, although newer files are here",
            row.version, row.description, row.installed_on
        ),
        format!(
            "bring the file back with `git log --diff-filter=D -- '*{}_*.sql'` and `git \
            checkout`",
            row.version
        ),
    )
    .version(row.version)
}

fn dirty(row: &Applied, file: Option<&Migration>) -> Finding {
    Finding::new(
        FindingKind::Dirty,
        match file {
            Some(_) => "is recorded as failed by another tool; how much of it was applied is unknown".into(),
            None => format!("version {} is recorded as failed by another tool", row.version),
        },
        format!(
            "fix the schema by hand, then `UPDATE _sqlx_migrations SET success = true WHERE \
            version = {v}`, or `DELETE FROM _sqlx_migrations WHERE version = {v}` if none \
            of it was applied",
            v = row.version
        ),
    )
    .file(file.map(|f| f.file.clone()))
    .version(row.version)
}

fn out_of_order_finding(catalog: &Catalog, file: &Migration, newest: Option<i64>) -> Finding {
    let slip = longer_than_its_neighbours(catalog).first().map(|long| format!("; {}", slip(long)));
    file.finding(
        FindingKind::OutOfOrder,
        format!("is pending, although the newer version {} is applied", newest.unwrap_or_default()),
        format!(
            "if nothing depends on the order, as where branches are merged, allow it: \
            `--out-of-order apply`, `CORVEIL_OUT_OF_ORDER=apply`, or in the chart \
            `migrate.outOfOrder: apply`; otherwise give the file a version above that one{}",
            slip.unwrap_or_default()
        ),
    )
}

/// How many digits a number has from which on versions are times.
const TIME_DIGITS: u32 = 8;

/// The most files at the end that are a slip rather than a new way to write times.
const SLIPS: usize = 2;

/// The newest files whose versions are times with more digits than those of all files before them. A digit too many makes a
/// version newer than every one that is to come, so every later file is out of order.
pub(crate) fn longer_than_its_neighbours(catalog: &Catalog) -> &[Migration] {
    let files = catalog.migrations();
    let digits = |file: &Migration| file.version.checked_ilog10().map_or(1, |log| log + 1);
    let Some(last) = files.last() else { return &[] };
    let start = files.partition_point(|file| digits(file) < digits(last));
    let (before, longest) = files.split_at(start);
    let is_slip = before.last().is_some_and(|before| digits(before) >= TIME_DIGITS);
    if is_slip && longest.len() <= SLIPS && longest.len() < before.len() { longest } else { &[] }
}

/// What such a file does, as a sentence.
pub(crate) fn slip(file: &Migration) -> String {
    format!(
        "`{}` has a version with more digits than all files before it, so every later file with \
         their number of digits is out of order",
        file.file
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(versions: &[i64]) -> Catalog {
        Catalog::from_files(
            versions.iter().map(|v| (format!("{v}_m.sql"), Ok(format!("SELECT {v}").into_bytes()))),
        )
        .unwrap()
    }

    fn history(files: &Catalog, versions: &[i64]) -> History {
        let applied = versions
            .iter()
            .map(|v| Applied {
                version: *v,
                description: "m".into(),
                installed_on: "2026-01-01".into(),
                success: true,
                checksum: files.get(*v).map_or_else(|| vec![0; 48], |m| m.checksum.clone()),
                execution_time: 1,
            })
            .collect();
        History { applied, records: Vec::new() }
    }

    fn kinds(result: Result<Plan<'_>>) -> Vec<FindingKind> {
        match result {
            Err(Error::Mismatch(findings)) => findings.iter().map(|f| f.kind).collect(),
            other => panic!("no mismatch: {other:?}"),
        }
    }

    #[test]
    fn pending_versions_are_those_without_a_row() {
        let files = catalog(&[1, 2, 3, 4]);
        for (applied, target, expected) in [
            (&[][..], None, &[1, 2, 3, 4][..]),
            (&[1, 2], None, &[3, 4]),
            (&[1, 2], Some(3), &[3]),
            (&[1, 2, 3, 4], None, &[]),
            (&[1, 2, 3, 4], Some(2), &[]),
        ] {
            let history = history(&files, applied);
            let plan = plan(&files, &history, target, OutOfOrder::Fail).unwrap();
            assert_eq!(plan.pending.iter().map(|m| m.version).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn an_older_build_on_a_newer_schema_is_content() {
        let files = catalog(&[1, 2]);
        let plan = plan(&files, &history(&files, &[1, 2, 3, 4]), None, OutOfOrder::Fail).unwrap();
        assert_eq!((plan.pending.len(), plan.newer), (0, vec![3, 4]));
    }

    #[test]
    fn an_applied_version_below_our_newest_without_a_file_is_a_mismatch() {
        let files = catalog(&[1, 3]);
        assert_eq!(
            kinds(plan(&files, &history(&files, &[1, 2]), None, OutOfOrder::Apply)),
            [FindingKind::Missing]
        );
    }

    #[test]
    fn every_disagreement_is_listed() {
        let files = catalog(&[1, 2, 4]);
        let mut history = history(&files, &[1, 2, 3]);
        history.applied[0].checksum[0] ^= 1;
        history.applied[1].success = false;
        assert_eq!(
            kinds(plan(&files, &history, None, OutOfOrder::Fail)),
            [FindingKind::Edited, FindingKind::Dirty, FindingKind::Missing]
        );
    }

    #[test]
    fn a_file_whose_line_endings_git_changed_is_distinguished_from_an_edited_one() {
        let here = Catalog::from_files([("1_m.sql".into(), Ok(b"SELECT 1;\r\n".to_vec()))]).unwrap();
        let there = Catalog::from_files([("1_m.sql".into(), Ok(b"SELECT 1;\n".to_vec()))]).unwrap();
        let findings = disagreements(&here, &history(&there, &[1]));
        assert!(
            findings[0].message.contains("only in its line endings from the file applied on"),
            "{findings:?}"
        );
        assert!(findings[0].hint.contains("eol=lf' >> .gitattributes"), "{findings:?}");
    }

    #[test]
    fn an_out_of_order_version_fails_unless_asked_for() {
        let files = catalog(&[1, 2, 3]);
        let history = history(&files, &[1, 3]);
        assert_eq!(kinds(plan(&files, &history, None, OutOfOrder::Fail)), [FindingKind::OutOfOrder]);
        let plan = plan(&files, &history, None, OutOfOrder::Apply).unwrap();
        assert_eq!(plan.pending[0].version, 2);
    }

    #[test]
    fn a_version_with_a_digit_too_many_is_found() {
        let time = 20_231_213_192_338;
        for (versions, expected) in [
            (&[time, time + 1, time * 10][..], &[time * 10][..]),
            (&[time, time + 1, time + 2, time * 10, time * 10 + 5], &[time * 10, time * 10 + 5]),
            (&[20_231_213, 20_231_214, 202_312_150], &[202_312_150]),
            // A new way to write times.
            (&[time, time + 1, time * 1000, time * 1000 + 1, time * 1000 + 2], &[]),
            // Numbers that grow, and times after numbers.
            (&[8, 9, 10], &[]),
            (&[1, 2, time], &[]),
            (&[time, time * 10], &[]),
            (&[time], &[]),
            (&[], &[]),
        ] {
            let files = catalog(versions);
            let found: Vec<_> = longer_than_its_neighbours(&files).iter().map(|file| file.version).collect();
            assert_eq!(found, expected, "{versions:?}");
        }
    }

    #[test]
    fn a_version_out_of_order_gets_a_hint_and_the_slip_that_caused_it() {
        let time = 20_231_213_192_338;
        let files = catalog(&[time, time + 1, time + 2, time * 10]);
        let history = history(&files, &[time, time + 1, time * 10]);
        let Err(Error::Mismatch(findings)) = plan(&files, &history, None, OutOfOrder::Fail) else {
            panic!("no mismatch")
        };
        for part in
            ["`--out-of-order apply`", "`migrate.outOfOrder: apply`", "`202312131923380_m.sql` has a version"]
        {
            assert!(findings[0].hint.contains(part), "{}", findings[0].hint);
        }
    }

    #[test]
    fn a_target_that_is_no_version_is_a_usage_error() {
        let files = catalog(&[1]);
        assert!(matches!(
            plan(&files, &History::default(), Some(7), OutOfOrder::Fail),
            Err(Error::Config { .. })
        ));
    }
}

//! Refuses files in which another tool keeps an up and a down migration: Corveil would run both, one after the other.
//!
//! Only files without a row in the history are refused. A file that has a row cannot be edited any more, and does not run again.

use crate::core::catalog::{Catalog, Migration};
use crate::core::history::History;
use crate::core::sql::marks::{TwoWays, two_ways};
use crate::error::{Error, Finding, FindingKind, Result};

/// Refuses a set of files if one of them has both migrations and is not in the history.
///
/// # Errors
/// [`Error::Refused`] with every such file.
pub(crate) fn refuse(catalog: &Catalog, history: &History) -> Result<()> {
    refuse_any(unapplied(catalog, history))
}

/// The same for files that are known to be about to run.
///
/// # Errors
/// [`Error::Refused`] with every such file.
pub(crate) fn refuse_any<'a>(files: impl IntoIterator<Item = &'a Migration>) -> Result<()> {
    let with_ways = files.into_iter().filter_map(|file| Some((file, ways(file)?)));
    let findings: Vec<_> = with_ways.map(|(file, ways)| finding(file, &ways)).collect();
    if findings.is_empty() { Ok(()) } else { Err(Error::Refused(findings)) }
}

/// The files that may run: those that are not in the history and that `--run-whole` does not name.
pub(crate) fn unapplied<'a>(catalog: &'a Catalog, history: &History) -> impl Iterator<Item = &'a Migration> {
    let may_run = |file: &&Migration| {
        history.applied(file.version).is_none() && !catalog.run_whole.contains(&file.version)
    };
    catalog.migrations().iter().filter(may_run)
}

fn ways(file: &Migration) -> Option<TwoWays<'_>> {
    two_ways(file.content.as_deref().ok()?)
}

fn finding(file: &Migration, TwoWays { tool, first, down }: &TwoWays<'_>) -> Finding {
    let and_down = down.map(|line| format!(", and line {} `{}`", line.number, line.text)).unwrap_or_default();
    let stem = file.file.trim_end_matches(".sql").trim_end_matches(".up");
    let split = format!(
        "put the way up alone into `{stem}.up.sql` in its place, without the marks, and the way down into \
         `{stem}.down.sql`, which is never run"
    );
    file.finding(
        FindingKind::TwoWays,
        format!(
            "is the mark `{}` of {tool}{and_down}: {tool} runs one part of such a file, and \
            all of it would run here, the way down too",
            first.text
        ),
        format!("{split}; if the file has one way only and must not change, `--run-whole {}`", file.version),
    )
    .line(first.number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::history::Applied;

    const GOOSE: &str = "-- +goose Up\nCREATE TABLE t ();\n-- +goose Down\nDROP TABLE t;\n";

    fn catalog(files: &[(&str, &str)]) -> Catalog {
        let file = |(name, sql): &(&str, &str)| ((*name).to_owned(), Ok(sql.as_bytes().to_vec()));
        Catalog::from_files(files.iter().map(file)).unwrap()
    }

    fn history(versions: &[i64]) -> History {
        let row = |version: &i64| Applied {
            version: *version,
            description: "m".into(),
            installed_on: "2026-01-01".into(),
            success: true,
            checksum: vec![0; 48],
            execution_time: 1,
        };
        History { applied: versions.iter().map(row).collect(), records: Vec::new() }
    }

    fn refused(catalog: &Catalog, applied: &[i64]) -> Vec<i64> {
        match refuse(catalog, &history(applied)) {
            Ok(()) => Vec::new(),
            Err(error) => error.findings().iter().filter_map(|finding| finding.version).collect(),
        }
    }

    #[test]
    fn what_is_applied_is_not_refused_and_neither_is_what_may_run_whole() {
        let mut catalog = catalog(&[("1_a.sql", GOOSE), ("2_b.sql", "SELECT 1"), ("3_c.sql", GOOSE)]);
        assert_eq!(refused(&catalog, &[]), [1, 3]);
        assert_eq!(refused(&catalog, &[1]), [3]);
        assert_eq!(refused(&catalog, &[1, 2, 3]), [0; 0]);
        catalog.run_whole = [3].into();
        assert_eq!(refused(&catalog, &[1]), [0; 0]);
    }

    #[test]
    fn the_tool_the_lines_and_the_way_out_are_named() {
        let refusal = |name: &str, sql: &str| match refuse(&catalog(&[(name, sql)]), &History::default()) {
            Ok(()) => String::new(),
            Err(error) => error.findings()[0].to_string(),
        };
        assert_eq!(
            refusal("0001_a.sql", GOOSE),
            "`0001_a.sql` line 1 is the mark `-- +goose Up` of goose, and line 3 `-- +goose Down`: goose runs one part of \
             such a file, and all of it would run here, the way down too\n  hint: put the way up alone into \
             `0001_a.up.sql` in its place, without the marks, and the way down into `0001_a.down.sql`, which is never \
             run; if the file has one way only and must not change, `--run-whole 1`"
        );
        let up_alone = refusal("0001_a.up.sql", "-- migrate:up\nSELECT 1");
        assert!(
            up_alone.contains("`-- migrate:up` of dbmate: ") && up_alone.contains("`0001_a.up.sql` in"),
            "{up_alone}"
        );
    }
}

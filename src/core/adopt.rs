//! Finds the version for the baseline of a database that another tool migrated: from the tool's history, from the
//! requested version, or from the version whose schema the database matches.

use std::collections::BTreeSet;

use crate::core::catalog::{Catalog, Migration};
use crate::core::drift;
use crate::core::history::History;
use crate::core::other_tool::mapping::{self, Mapping};
use crate::core::other_tool::{self, Tool, ToolHistory};
use crate::core::plan;
use crate::core::prepared;
use crate::core::sql::strings::Strings;
use crate::error::{Difference, Differs, Error, Finding, FindingKind, Result};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BaselineRequest {
    /// The tool whose history counts; none for any that exists.
    pub(crate) from: Option<Tool>,
    /// The version that the user claims for the database.
    pub(crate) to: Option<i64>,
}

/// What is known of the version before the schema is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BaselineSource {
    /// It is this one, if the schema agrees.
    Version {
        /// The version.
        version: i64,
        /// The reason, as a sentence.
        how: String,
    },
    /// Only the schema can show it.
    Schema {
        /// Why, as a sentence.
        why: String,
    },
}

/// Checks that Corveil's history has everything that is requested.
///
/// # Errors
/// [`Error::Mismatch`] when the history differs, [`Error::Config`] for a version that no migration file has.
pub(crate) fn recorded(catalog: &Catalog, history: &History, asked: BaselineRequest) -> Result<()> {
    let wanted = asked.to.map(|to| version(catalog, to)).transpose()?;
    let mut findings = plan::disagreements(catalog, history);
    let missing = |file: &&Migration| {
        wanted.is_some_and(|wanted| file.version <= wanted.version) && history.applied(file.version).is_none()
    };
    if let Some(file) = catalog.migrations().iter().find(missing) {
        findings.push(file.finding(
            FindingKind::OtherTool,
            format!(
                "cannot be baselined: the database already has a migration history without it, and the \
                newest version there is {}",
                history.newest().map_or_else(|| "none".into(), |newest| newest.to_string())
            ),
            "`corveil migrate` applies the pending migrations; if the schema already has this one, \
                correct the history with `sqlx migrate override`",
        ));
    }
    if findings.is_empty() { Ok(()) } else { Err(Error::Mismatch(findings)) }
}

/// Finds the version in the histories or in the request.
///
/// # Errors
/// [`Error::Mismatch`] for a history that its tool left half done, [`Error::Config`] where several histories exist, or no
/// migration file has the version.
pub(crate) fn source(
    catalog: &Catalog,
    histories: &[ToolHistory],
    asked: BaselineRequest,
) -> Result<BaselineSource> {
    histories.iter().try_for_each(ToolHistory::expect_clean)?;
    if let Some(to) = asked.to {
        if histories.is_empty() {
            other_tool::only(histories, asked.from)?;
        }
        let file = &version(catalog, to)?.file;
        return Ok(BaselineSource::Version {
            version: to,
            how: format!("version {to} (`{file}`) was requested"),
        });
    }
    Ok(match other_tool::only(histories, asked.from)? {
        None => BaselineSource::Schema { why: "the database has no history of a known tool".into() },
        Some(history) => match mapping::map(history, catalog) {
            Mapping::To { version, how } => BaselineSource::Version { version, how },
            Mapping::Unknown { why } => BaselineSource::Schema { why },
        },
    })
}

/// The error for a database that has no object at all.
pub(crate) fn nothing_there(histories: &[ToolHistory]) -> Error {
    if histories.is_empty() {
        return Error::config(
            "the database is empty: there is nothing to adopt",
            "`corveil migrate` creates the schema",
        );
    }
    Error::Mismatch(vec![Finding::new(
        FindingKind::OtherTool,
        format!(
            "the database has the history {} and nothing else: there is nothing to adopt",
            other_tool::listed(histories)
        ),
        "check that this is the right database; if so, drop that table, and `corveil migrate` \
            creates the schema",
    )])
}

/// The results of comparing the schema with that of each version. Only the differences from the nearest version are kept:
/// those from all versions of a large schema would fill the memory.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Whether any object of any version exists.
    has_any: bool,
    equal: Vec<i64>,
    nearest: Option<(i64, Vec<Difference>)>,
}

impl Comparison {
    /// Adds a version, newer than those before it: whether any object of it exists, and how it differs. Of several nearest
    /// versions, the newest counts.
    pub(crate) fn add(&mut self, file: &Migration, has_any: bool, differences: Vec<Difference>) {
        self.has_any |= has_any;
        if differences.is_empty() {
            self.equal.push(file.version);
        }
        match &mut self.nearest {
            Some((_, nearest)) if nearest.len() < differences.len() => {
                drift::explain(nearest, file, &differences);
            }
            nearest => *nearest = Some((file.version, differences)),
        }
    }

    /// The version whose schema the database matches, where exactly one does, and the reason. `why` is why the schemas were
    /// compared.
    ///
    /// # Errors
    /// [`Error::Config`] where several versions match, as after migrations that only change data; [`Error::Differs`] with the
    /// differences from the nearest version where none matches.
    pub(crate) fn conclude(self, catalog: &Catalog, why: &str) -> Result<(i64, String)> {
        let equal: Vec<_> = self.equal.iter().filter_map(|version| catalog.get(*version)).collect();
        match equal[..] {
            [only] => Ok((only.version, format!("the schema matches `{}` and no other version", only.file))),
            [.., newest] => {
                let names: Vec<_> = equal.iter().map(|file| format!("`{}`", file.file)).collect();
                Err(Error::config(
                    format!(
                        "the schema matches {} versions ({}), so the current one is ambiguous: {why}",
                        equal.len(),
                        names.join(", ")
                    ),
                    format!(
                        "set it with `--to`, or for the chart's Job with `migrate.adopt.to`: {} if the data changes of all \
                         these versions are already there",
                        newest.version
                    ),
                ))
            }
            [] => Err(self.unlike_all(catalog, why)),
        }
    }

    fn unlike_all(self, catalog: &Catalog, why: &str) -> Error {
        let Some((version, differences)) = self.nearest.filter(|_| self.has_any) else {
            return Error::Mismatch(vec![Finding::new(
                FindingKind::ExistingObject,
                format!("the database has no object that these migrations create: {why}"),
                "check that this is the right database, and that these are the right files",
            )]);
        };
        let hint = format!(
            "the schema matches no version, and this is the nearest: {}fix the schema and try again, or baseline \
             it as it is with `{} --to {version} --accept ID,…`",
            order(&differences),
            adopt(catalog, None)
        );
        differs(catalog, version, differences, hint)
    }
}

/// Accepts the differences that the user lists. Nothing is recorded unless all of them are accepted.
///
/// # Errors
/// [`Error::Differs`] with the differences that are not accepted, [`Error::Config`] for an ID that no difference has.
pub(crate) fn accept(
    catalog: &Catalog,
    version: i64,
    differences: Vec<Difference>,
    accepted: &[String],
) -> Result<Vec<Difference>> {
    if let Some(unknown) = accepted.iter().find(|id| !differences.iter().any(|there| there.id == **id)) {
        let ids: Vec<_> = differences.iter().map(|difference| difference.id.as_str()).collect();
        return Err(Error::Config {
            message: format!(
                "`--accept {unknown}` is not the ID of a difference between the schema and version {version}"
            ),
            hint: match ids[..] {
                [] => "there is no difference: remove `--accept`".into(),
                _ => format!("the differences are {}", ids.join(", ")),
            },
        });
    }
    let (accepted, rest): (Vec<_>, Vec<_>) =
        differences.into_iter().partition(|difference| accepted.contains(&difference.id));
    if rest.is_empty() {
        return Ok(accepted);
    }
    let hint = format!(
        "{}fix the schema and try again, or baseline it as it is with `{} --to {version} --accept ID,…`",
        order(&rest),
        adopt(catalog, None)
    );
    Err(differs(catalog, version, rest, hint))
}

/// The advice about later files that the schema already contains.
fn order(differences: &[Difference]) -> String {
    let Some(file) = differences.iter().find_map(|difference| difference.created_by.as_ref()) else {
        return String::new();
    };
    format!(
        "if `{file}` was applied before files that sort before it here, rename it so that its version sorts as it was applied: \
         Corveil compares versions as numbers, Diesel and Prisma as text; otherwise "
    )
}

fn differs(catalog: &Catalog, version: i64, differences: Vec<Difference>, hint: String) -> Error {
    let file = catalog.get(version).map_or_else(|| version.to_string(), |migration| migration.file.clone());
    Error::Differs(Box::new(Differs { version, file, differences, hint }))
}

/// Adds to the hint that the schema matches another version: two tools may use the same version numbers for different
/// migrations.
pub(crate) fn with_equal(error: Error, catalog: &Catalog, version: i64, how: &str) -> Error {
    match error {
        Error::Differs(mut differs) => {
            differs.hint = format!(
                "{how}: if the versions in that history do not mean these files, baseline with `{} --to {version}`; \
                 otherwise {}",
                adopt(catalog, None),
                differs.hint
            );
            Error::Differs(differs)
        }
        error => error,
    }
}

/// The migrations that a database at this version contains.
pub(crate) fn contained(catalog: &Catalog, version: i64) -> impl Iterator<Item = &Migration> {
    catalog.migrations().iter().filter(move |file| file.version <= version)
}

/// Why a run on an empty database would refuse some of these files. The baseline records their checksums, so they cannot be
/// edited any more, although the hints for pending files advise it.
pub(crate) fn refused(files: &[&Migration], strings: Strings) -> Vec<Finding> {
    let none = BTreeSet::new();
    let mut refused: Vec<(bool, Finding)> = Vec::new();
    for file in files {
        if let Err(findings) = prepared::prepare(&[file], &none, strings) {
            let runs_outside = prepared::prepare(&[file], &BTreeSet::from([file.version]), strings).is_ok();
            refused.extend(findings.into_iter().map(|finding| (runs_outside, finding)));
        }
    }
    let mut outside: Vec<String> = refused
        .iter()
        .filter(|(outside, _)| *outside)
        .filter_map(|(_, f)| Some(f.version?.to_string()))
        .collect();
    outside.dedup();
    let outside = outside.join(",");
    let leave = "leave the file as it is: its checksum is recorded, and an edited file ends every run with exit code 4";
    let hint = |runs_outside: bool| {
        if runs_outside {
            format!("{leave}; on an empty database run `corveil migrate --no-transaction {outside}`")
        } else {
            format!("{leave}; create a new database from a dump of this one, and adopt that")
        }
    };
    refused.into_iter().map(|(outside, finding)| Finding { hint: hint(outside), ..finding }).collect()
}

/// The start of a sentence with the number of files.
pub(crate) fn refused_headline(refused: &[Finding]) -> String {
    let files: BTreeSet<_> = refused.iter().map(|finding| &finding.file).collect();
    match files.len() {
        1 => "`corveil migrate` refuses one of these files".into(),
        many => format!("`corveil migrate` refuses {many} of these files"),
    }
}

/// The command that shows what the baseline would record, for the hint about a database that another tool migrated.
pub(crate) fn command(catalog: &Catalog, from: Option<Tool>) -> String {
    format!("{} --dry-run", adopt(catalog, from))
}

fn adopt(catalog: &Catalog, from: Option<Tool>) -> String {
    let from = from.and_then(Tool::name).map(|name| format!(" --from {name}")).unwrap_or_default();
    let source = match &catalog.folder {
        Some(folder) if folder.contains(char::is_whitespace) => format!(" --source '{folder}'"),
        Some(folder) => format!(" --source {folder}"),
        None => String::new(),
    };
    format!("corveil adopt{from}{source}")
}

fn version(catalog: &Catalog, version: i64) -> Result<&Migration> {
    catalog.get(version).ok_or_else(|| {
        Error::config(
            format!("no migration file has the requested version {version}"),
            "`corveil status` lists the versions",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::history::Applied;
    use crate::core::other_tool::{Dirty, Recorded};
    use crate::exit::ExitCode;

    fn catalog() -> Catalog {
        let file = |version: u8| (format!("{version}_m.sql"), Ok(vec![b'-', b'-', b'0' + version]));
        Catalog::from_files([1, 2, 3, 4].map(file)).unwrap()
    }

    fn goose(versions: &[&str]) -> ToolHistory {
        ToolHistory {
            tool: Tool::Goose,
            table: "public.goose_db_version".into(),
            applied: Ok(versions.iter().map(|version| Recorded::One((*version).to_owned())).collect()),
            dirty: None,
        }
    }

    fn asked(to: Option<i64>) -> BaselineRequest {
        BaselineRequest { from: None, to }
    }

    fn some(ids: &[&str]) -> Vec<Difference> {
        let difference = |id: &&str| Difference {
            id: (*id).to_owned(),
            object: "public.t".into(),
            message: "is missing".into(),
            sql: "CREATE".into(),
            created_by: None,
        };
        ids.iter().map(difference).collect()
    }

    /// The version, or the exit code and the message.
    fn outcome(result: Result<i64>) -> Result<i64, (u8, String)> {
        result.map_err(|error| {
            let hint = error.hint().unwrap_or_default();
            (error.exit_code().code(), format!("{error}; {hint}"))
        })
    }

    #[test]
    fn a_requested_version_wins_over_a_history_and_nothing_over_a_dirty_one() {
        let lead = |histories: &[ToolHistory], to| match source(&catalog(), histories, asked(to)) {
            Ok(BaselineSource::Version { version, .. }) => Ok(Some(version)),
            Ok(BaselineSource::Schema { .. }) => Ok(None),
            Err(error) => Err(error.exit_code()),
        };
        let dirty = || ToolHistory {
            dirty: Some(Dirty { reason: "2 failed".into(), hint: "fix it".into() }),
            ..goose(&["1"])
        };
        for (histories, to, expected) in [
            (vec![], None, Ok(None)),
            (vec![], Some(3), Ok(Some(3))),
            (vec![], Some(7), Err(ExitCode::Usage)),
            (vec![goose(&["1", "2"])], None, Ok(Some(2))),
            (vec![goose(&["1", "2"])], Some(3), Ok(Some(3))),
            (vec![goose(&["1", "9"])], None, Ok(None)),
            (vec![goose(&["1"]), goose(&["1"])], None, Err(ExitCode::Usage)),
            (vec![goose(&["1"]), goose(&["1"])], Some(3), Ok(Some(3))),
            (vec![dirty()], None, Err(ExitCode::Mismatch)),
            (vec![goose(&["1"]), dirty()], Some(1), Err(ExitCode::Mismatch)),
        ] {
            assert_eq!(lead(&histories, to), expected, "{histories:?} {to:?}");
        }
    }

    #[test]
    fn the_only_matching_version_is_taken_and_otherwise_the_nearest_is_shown() {
        let conclude = |differences: [&[&str]; 4], has_any| {
            let mut comparison = Comparison::default();
            for (version, ids) in (1..).zip(differences) {
                comparison.add(catalog().get(version).unwrap(), has_any, some(ids));
            }
            outcome(comparison.conclude(&catalog(), "why").map(|(version, _)| version))
        };
        assert_eq!(conclude([&["a"], &[], &["b"], &["b", "c"]], true), Ok(2));
        let (code, message) = conclude([&["a"], &[], &[], &["c"]], true).unwrap_err();
        assert_eq!(code, 2);
        assert!(
            message.contains("(`2_m.sql`, `3_m.sql`)") && message.contains("`migrate.adopt.to`: 3 if"),
            "{message}"
        );
        let (code, message) = conclude([&["a", "b"], &["a"], &["c"], &["c", "d"]], true).unwrap_err();
        assert_eq!(code, 4);
        assert!(
            message.contains("up to `3_m.sql` create: c: is missing") && message.contains("--to 3"),
            "{message}"
        );
        let (code, message) =
            conclude([&["a", "b"], &["a", "b"], &["a", "b"], &["a", "b", "c"]], false).unwrap_err();
        assert_eq!(code, 4);
        assert!(message.contains("no object that these migrations create"), "{message}");
    }

    #[test]
    fn each_difference_has_to_be_accepted_by_an_existing_id() {
        let accept = |there: &[&str], ids: &[&str]| {
            let ids: Vec<_> = ids.iter().map(|id| (*id).to_owned()).collect();
            outcome(accept(&catalog(), 2, some(there), &ids).map(|_| 2))
        };
        assert_eq!(accept(&[], &[]), Ok(2));
        assert_eq!(accept(&["a", "b"], &["b", "a"]), Ok(2));
        assert!(accept(&["a", "b"], &["b"]).unwrap_err().1.contains("a: is missing"));
        for (there, expected) in
            [(&["a", "b"][..], "the differences are a, b"), (&[], "there is no difference")]
        {
            let (code, message) = accept(there, &["c"]).unwrap_err();
            assert!(code == 2 && message.contains(expected), "{message}");
        }
    }

    #[test]
    fn corveils_history_has_what_is_requested_or_contradicts_it() {
        let catalog = catalog();
        let history = |versions: &[i64]| History {
            applied: versions
                .iter()
                .map(|version| Applied {
                    version: *version,
                    description: "m".into(),
                    installed_on: "2026-01-01".into(),
                    success: true,
                    checksum: catalog.get(*version).unwrap().checksum.clone(),
                    execution_time: -1,
                })
                .collect(),
            records: Vec::new(),
        };
        for (versions, to, is_recorded) in [
            (&[1, 2][..], None, true),
            (&[1, 2], Some(2), true),
            (&[1, 2], Some(1), true),
            (&[1, 2], Some(3), false),
            (&[2], Some(2), false),
        ] {
            assert_eq!(recorded(&catalog, &history(versions), asked(to)).is_ok(), is_recorded, "{to:?}");
        }
        let mut edited = history(&[1, 2]);
        edited.applied[0].checksum = vec![0; 48];
        assert!(recorded(&catalog, &edited, asked(None)).is_err());
    }

    #[test]
    fn the_command_is_one_that_can_be_copied() {
        let mut catalog = catalog();
        assert_eq!(command(&catalog, Some(Tool::Goose)), "corveil adopt --from goose --dry-run");
        catalog.folder = Some("my files".into());
        assert_eq!(
            command(&catalog, Some(Tool::Other("Atlas"))),
            "corveil adopt --source 'my files' --dry-run"
        );
    }
}

//! The changelog: turns the unreleased entries into those of a version, and into the changes that Artifact Hub shows.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::release::version::Version;

pub(super) const FILE: &str = "CHANGELOG.md";

const UNRELEASED: &str = "## [Unreleased]\n";

/// One entry, in the format of Artifact Hub.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Change {
    /// The heading above it, in lower case: `added`.
    kind: String,
    description: String,
}

/// The unreleased entries; no entry is an error.
pub(super) fn unreleased(text: &str) -> Result<Vec<Change>> {
    let (_, rest) = split(text)?;
    let changes = changes(section(rest));
    ensure!(
        !changes.is_empty(),
        "`{FILE}` has nothing under `[Unreleased]`\nhint: list there what users will notice"
    );
    Ok(changes)
}

/// Moves the unreleased entries under a heading of the version and the day.
pub(super) fn roll(text: &str, version: Version, day: &str) -> Result<String> {
    let (before, rest) = split(text)?;
    Ok(format!("{before}{UNRELEASED}\n## [{version}] - {day}\n{rest}"))
}

/// The text under the version's heading: the notes of the release.
pub(super) fn of(text: &str, version: Version) -> Option<&str> {
    let (_, rest) = text.split_once(&format!("\n## [{version}] - "))?;
    let (_, rest) = rest.split_once('\n')?;
    Some(section(rest).trim())
}

/// Replaces the changes of the previous version in `Chart.yaml` with these.
pub(super) fn into_chart(chart: &str, changes: &[Change]) -> Result<String> {
    let is_security = changes.iter().any(|change| change.kind == "security");
    let mut text = String::new();
    let mut is_replaced = false;
    let mut lines = chart.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "  artifacthub.io/changes: |" {
            while lines.next_if(|line| line.starts_with("    ")).is_some() {}
            writeln!(text, "{line}")?;
            for line in serde_yaml::to_string(changes)?.lines() {
                writeln!(text, "    {line}")?;
            }
            is_replaced = true;
        } else if line.starts_with("  artifacthub.io/containsSecurityUpdates: ") {
            writeln!(text, "  artifacthub.io/containsSecurityUpdates: \"{is_security}\"")?;
        } else {
            writeln!(text, "{line}")?;
        }
    }
    ensure!(
        is_replaced,
        "`chart/Chart.yaml` does not have `artifacthub.io/changes: |`\nhint: add it to its annotations"
    );
    Ok(text)
}

/// The text before and after the heading of the unreleased entries.
fn split(text: &str) -> Result<(&str, &str)> {
    let missing =
        || format!("`{FILE}` does not have `{}`\nhint: add it above the newest version", UNRELEASED.trim());
    text.split_once(UNRELEASED).with_context(missing)
}

/// The text up to the next version's heading.
fn section(rest: &str) -> &str {
    rest.split_once("\n## ").map_or(rest, |(section, _)| section)
}

/// An entry may have several lines.
fn changes(section: &str) -> Vec<Change> {
    let mut kind = "changed".to_owned();
    let mut changes: Vec<Change> = Vec::new();
    let mut is_open = false;
    for line in section.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            kind = heading.trim().to_lowercase();
            is_open = false;
        } else if let Some(entry) = line.strip_prefix("- ") {
            changes.push(Change { kind: kind.clone(), description: entry.trim().to_owned() });
            is_open = true;
        } else if line.trim().is_empty() {
            is_open = false;
        } else if let (true, Some(last)) = (is_open, changes.last_mut()) {
            last.description.push(' ');
            last.description.push_str(line.trim());
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- One, `a`: \"b\"\n  and more.\n- Two.\n\n\
                        ### Security\n\n- Three.\n\n## [1.0.0] - 2020-01-01\n\n### Added\n\n- Old.\n";

    fn change(kind: &str, description: &str) -> Change {
        Change { kind: kind.to_owned(), description: description.to_owned() }
    }

    #[test]
    fn entries_are_those_above_the_newest_version() {
        let expected = [
            change("added", "One, `a`: \"b\" and more."),
            change("added", "Two."),
            change("security", "Three."),
        ];
        assert_eq!(unreleased(TEXT).expect("entries"), expected);
    }

    #[test]
    fn nothing_unreleased_is_an_error_and_so_is_no_heading() {
        for (text, expected) in [
            ("## [Unreleased]\n\n### Added\n\n## [1.0.0] - 2020-01-01\n\n- Old.\n", "nothing under"),
            ("# Changelog\n\n- One.\n", "does not have"),
        ] {
            let error = unreleased(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn rolling_leaves_nothing_unreleased() {
        let version = "1.1.0".parse().expect("a version");
        let rolled = roll(TEXT, version, "2021-02-03").expect("a heading");
        assert!(
            rolled.starts_with(
                "# Changelog\n\n## [Unreleased]\n\n## [1.1.0] - 2021-02-03\n\n### Added\n\n- One"
            )
        );
        assert!(unreleased(&rolled).is_err());
        let notes = of(&rolled, version).expect("a version");
        assert!(notes.starts_with("### Added") && notes.ends_with("- Three."), "{notes}");
        assert_eq!(rolled.len() - TEXT.len(), "\n## [1.1.0] - 2021-02-03\n".len());
    }

    #[test]
    fn the_chart_has_the_changes_of_its_version_alone() {
        let chart = "a: 1\nannotations:\n  artifacthub.io/containsSecurityUpdates: \"false\"\n  \
                     artifacthub.io/changes: |\n    - kind: added\n      description: Old\nb: 2\n";
        let changes = unreleased(TEXT).expect("entries");
        let text = into_chart(chart, &changes).expect("an annotation");
        let read: serde_yaml::Value = serde_yaml::from_str(&text).expect("YAML");
        let annotations = &read["annotations"];
        assert_eq!(annotations["artifacthub.io/containsSecurityUpdates"], "true");
        let written = annotations["artifacthub.io/changes"].as_str().expect("text");
        let written: serde_yaml::Value = serde_yaml::from_str(written).expect("YAML");
        assert_eq!(written.as_sequence().map(Vec::len), Some(3));
        assert_eq!(written[0]["description"], "One, `a`: \"b\" and more.");
        assert_eq!(read["b"], 2);
        assert!(into_chart("a: 1\n", &changes).is_err());
    }
}

//! Many findings or differences as a list that can be read: each kind is cut after a few lines and has one hint. JSON has
//! all of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::clean;
use crate::error::{Difference, Finding, LISTED};

/// A kind whose hints differ in more ways than this is given the first one as an example.
const HINTS: usize = 3;

/// Findings, those of a kind together, in the order in which the kinds first come.
pub(crate) fn findings(findings: &[Finding]) -> String {
    let mut kinds: Vec<(_, Vec<&Finding>)> = Vec::new();
    for finding in findings {
        match kinds.iter_mut().find(|(kind, _)| *kind == finding.kind) {
            Some((_, of_kind)) => of_kind.push(finding),
            None => kinds.push((finding.kind, vec![finding])),
        }
    }
    let mut text = String::new();
    for (_, of_kind) in kinds {
        let mut hints: Vec<(&str, Vec<&Finding>)> = Vec::new();
        for &finding in &of_kind {
            match hints.iter_mut().find(|(hint, _)| *hint == finding.hint) {
                Some((_, alike)) => alike.push(finding),
                None => hints.push((&finding.hint, vec![finding])),
            }
        }
        match &hints[..] {
            [(hint, _), _, ..] if hints.len() > HINTS => {
                list(&mut text, &of_kind);
                let _ =
                    writeln!(text, "  hint: of the first, and so of the others: {}", clean::continued(hint));
            }
            hints => {
                for (hint, alike) in hints {
                    list(&mut text, alike);
                    let _ = writeln!(text, "  hint: {}", clean::continued(hint));
                }
            }
        }
    }
    text
}

fn list(text: &mut String, findings: &[&Finding]) {
    for finding in findings.iter().take(LISTED) {
        let _ = writeln!(text, "- {}", clean::indented(&finding.sentence()));
    }
    if let more @ 1.. = findings.len().saturating_sub(LISTED) {
        let _ = writeln!(text, "- and {more} more; `--output json` lists them all");
    }
}

/// Differences in the order in which they can be repaired. What is cut is counted at the end.
pub(crate) fn differences(differences: &[Difference]) -> String {
    let (mut text, mut lines, mut cut) = (String::new(), BTreeMap::new(), BTreeMap::new());
    for difference in differences {
        let kind = kind(difference);
        let line = clean::continued(&difference.to_string());
        let taken: &mut usize = lines.entry(kind).or_default();
        let more = line.lines().count();
        // A long one is shown all the same where it is the first.
        if *taken > 0 && *taken + more > LISTED {
            *taken = LISTED;
            *cut.entry(kind).or_insert(0) += 1;
        } else {
            *taken += more;
            let _ = writeln!(text, "- {line}");
        }
    }
    for ((object, what), count) in cut {
        let _ = writeln!(text, "- and {count} more of {object}-…-{what}; `--output json` lists them all");
    }
    text
}

/// What an id begins and ends with, which is the kind of object and what differs of it.
fn kind(difference: &Difference) -> (&str, &str) {
    let id = difference.id.as_str();
    (id.split('-').next().unwrap_or(id), id.rsplit('-').next().unwrap_or(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::FindingKind;

    fn finding(kind: FindingKind, file: usize, hint: &str) -> Finding {
        Finding::new(kind, "is wrong", hint).file(format!("{file}_m.sql"))
    }

    #[test]
    fn a_kind_has_one_hint_and_a_bounded_list() {
        use FindingKind::{Edited, Missing};
        let many = (1..=434).map(|file| finding(Edited, file, "restore it"));
        let text =
            findings(&[finding(Missing, 0, "bring it back")].into_iter().chain(many).collect::<Vec<_>>());
        assert_eq!(text.lines().count(), 2 + LISTED + 2, "{text}");
        assert!(
            text.starts_with("- `0_m.sql` is wrong\n  hint: bring it back\n- `1_m.sql` is wrong\n"),
            "{text}"
        );
        assert!(
            text.ends_with(
                "- `20_m.sql` is wrong\n- and 414 more; `--output json` lists them all\n  hint: restore it\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn few_hints_of_a_kind_are_all_shown_and_of_many_the_first() {
        let of = |hints: &[&str]| {
            let each = |(at, hint): (usize, &&str)| finding(FindingKind::InvalidIndex, at, hint);
            findings(&hints.iter().enumerate().map(each).collect::<Vec<_>>())
        };
        assert_eq!(
            of(&["reindex", "drop", "reindex"]),
            "- `0_m.sql` is wrong\n- `2_m.sql` is wrong\n  hint: reindex\n- `1_m.sql` is wrong\n  hint: drop\n"
        );
        let many = of(&["a", "b", "c", "d"]);
        assert_eq!(many.matches("hint:").count(), 1, "{many}");
        assert!(
            many.ends_with("- `3_m.sql` is wrong\n  hint: of the first, and so of the others: a\n"),
            "{many}"
        );
    }

    #[test]
    fn differences_are_cut_by_kind_and_keep_their_order() {
        let difference = |id: String, sql: &str| Difference {
            id,
            object: String::new(),
            message: "m".into(),
            sql: sql.into(),
            created_by: None,
        };
        let mut all = vec![difference("column-public.a.b-type".into(), "ALTER")];
        all.extend((0..50).map(|n| difference(format!("table-public.t{n}-missing"), "CREATE\n  a\n  b\n);")));
        all.push(difference("table-public.x-extra".into(), "DROP"));
        let text = differences(&all);
        assert!(
            text.starts_with("- column-public.a.b-type: m: ALTER\n- table-public.t0-missing: m: CREATE\n"),
            "{text}"
        );
        assert!(text.contains("- table-public.x-extra: m: DROP\n"), "{text}");
        assert!(
            text.ends_with("- and 45 more of table-…-missing; `--output json` lists them all\n"),
            "{text}"
        );
        assert!(text.lines().count() < 2 + LISTED + 2, "{text}");
    }
}

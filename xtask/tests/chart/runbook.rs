//! The runbook says what the chart's notes say.

use super::*;

/// One that has drifted would delete too little, or too much.
#[test]
fn the_command_that_cleans_up_is_that_of_the_notes() {
    let runbook = std::fs::read_to_string(xtask::project::root().join("docs/runbook.md")).unwrap();
    let (is_rendered, notes) = refusals::answer_for("corveil", &["install", "--dry-run=client"], &[]);
    assert!(is_rendered, "{notes}");
    let notes = notes.replace("--namespace default ", "--namespace corveil ");
    let commands = |text: &str| {
        let lines = text.lines().map(str::trim);
        let commands = lines.filter(|line| line.starts_with("kubectl --namespace corveil delete job,"));
        commands.map(str::to_owned).collect::<Vec<_>>()
    };
    let said = commands(&notes);
    assert_eq!(said.len(), 1, "{notes}");
    assert_eq!(commands(&runbook), said);
}

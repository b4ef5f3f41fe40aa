//! Checks that GitHub accepts the workflows of `.github`, and that they run what contributors run.

use std::fs;

use xshell::{Shell, cmd};

use crate::tools::{self, Tool};

const FOLDER: &str = ".github/workflows";

#[test]
fn actionlint_finds_nothing() {
    let sh = Shell::new().expect("a working folder");
    sh.change_dir(crate::project::root());
    let actionlint = tools::path(&sh, Tool::Actionlint).unwrap_or_else(|error| panic!("{error}"));
    let files = sh.read_dir(FOLDER).expect("a folder");
    assert!(!files.is_empty());
    // Without shellcheck and pyflakes, which actionlint runs where they are installed: the result would differ between
    // machines.
    cmd!(sh, "{actionlint} -no-color -shellcheck= -pyflakes= {files...}").quiet().run().expect("no finding");
}

/// The workflow builds the tag again, and compares: so it has to run in the container in which the release was made.
#[test]
fn releases_are_made_in_the_container_that_compares_them() {
    let read = |path: &str| fs::read_to_string(crate::project::root().join(path)).expect(path);
    let workflow = read(".github/workflows/release.yaml");
    let container = workflow.lines().find_map(|line| line.trim().strip_prefix("container: "));
    let container = container.expect("a container");
    assert!(read("CONTRIBUTING.md").contains(&format!("`{container}`")), "{container}");
}

/// A change is checked in the same way on every machine: what `.ci/run` has, one of the workflows has too.
#[test]
fn the_workflows_run_what_a_contributor_runs() {
    let [check, ci, e2e] = [".ci/run", ".github/workflows/ci.yaml", ".github/workflows/e2e.yaml"]
        .map(|path| fs::read_to_string(crate::project::root().join(path)).expect(path));
    let parts: Vec<_> =
        check.lines().filter_map(|line| line.strip_prefix("part ")?.split_once(' ')).collect();
    assert_eq!(parts.last(), Some(&("tests", "cargo xtask test")));
    for (name, command) in parts {
        match name {
            // Kind provides the node, and a test builds the other tools that it runs.
            "tools" | "migrators" | "image" => {}
            // `.ci/run` runs all engines at once, the workflow one in each job, and every scenario once the change is on the
            // branch.
            "rollouts" => {
                let core = "${{ github.event_name == 'pull_request' && '--core' || '' }}";
                assert_eq!(command, "cargo xtask e2e --core");
                assert!(e2e.contains(&format!("run: cargo xtask e2e {core} --engine ")));
            }
            _ => assert!(ci.contains(&format!("- run: {command}\n")), "`{command}`"),
        }
    }
    let denies_warnings = |text: &str| {
        text.lines()
            .any(|line| line.contains("RUSTC_WORKSPACE_WRAPPER") && line.contains("/.ci/deny-warnings"))
    };
    assert!(denies_warnings(&check) && denies_warnings(&ci));
}

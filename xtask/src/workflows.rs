//! The workflows of `.github`: GitHub would read them as they are meant.

use std::fs;

use xshell::{Shell, cmd};

use crate::tools::{self, Tool};

const FOLDER: &str = ".github/workflows";

#[test]
fn actionlint_finds_nothing() {
    let sh = Shell::new().expect("a working folder");
    sh.change_dir(crate::root());
    let actionlint = tools::path(&sh, Tool::Actionlint).unwrap_or_else(|error| panic!("{error}"));
    let files = sh.read_dir(FOLDER).expect("a folder");
    assert!(!files.is_empty());
    // What else it runs where that is installed would make the answer another one on each machine.
    cmd!(sh, "{actionlint} -no-color -shellcheck= -pyflakes= {files...}").quiet().run().expect("no finding");
}

/// The workflow builds the tag again, and compares: it has to be where the release was made.
#[test]
fn releases_are_made_in_the_container_that_compares_them() {
    let read = |path: &str| fs::read_to_string(crate::root().join(path)).expect(path);
    let workflow = read(".github/workflows/release.yaml");
    let container = workflow.lines().find_map(|line| line.trim().strip_prefix("container: "));
    let container = container.expect("a container");
    assert!(read("CONTRIBUTING.md").contains(&format!("`{container}`")), "{container}");
}

//! Checks that released migrations stay unchanged: databases have recorded their checksums.

use std::path::Path;

use anyhow::{Result, ensure};
use xshell::{Shell, cmd};

/// Fails if a migration of the newest tag was edited or removed since.
pub(super) fn expect_kept(sh: &Shell) -> Result<()> {
    // Before the first release there is no tag.
    let tags = cmd!(sh, "git tag --merged HEAD --list v[0-9]* --sort=-version:refname").read()?;
    let Some(tag) = tags.lines().next() else { return Ok(()) };
    let changes = cmd!(sh, "git diff --name-status --no-renames {tag} HEAD -- migrations").read()?;
    let broken = broken(&changes);
    ensure!(
        broken.is_empty(),
        "migrations of {tag} were changed:\n{}\nhint: restore them, and add a file that corrects them",
        broken.join("\n")
    );
    Ok(())
}

/// Reads the output of `git diff --name-status`: `M\tmigrations/0001_a.sql`. Only an added file leaves the old ones
/// unchanged.
fn broken(changes: &str) -> Vec<String> {
    let changes = changes.lines().filter_map(|line| line.split_once('\t'));
    let broken = changes.filter(|(status, path)| *status != "A" && is_sql(path));
    broken
        .map(|(status, path)| match status {
            "D" => format!("  `{path}` was removed"),
            _ => format!("  `{path}` was edited"),
        })
        .collect()
}

fn is_sql(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|ending| ending == "sql")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_files_are_fine_and_changes_of_old_ones_are_not() {
        let changes = "A\tmigrations/0011_b.sql\nM\tmigrations/README.md\nM\tmigrations/0001_a.sql\n\
                       D\tmigrations/0002_b.sql\nT\tmigrations/0003_c.sql\n";
        assert_eq!(
            broken(changes),
            [
                "  `migrations/0001_a.sql` was edited",
                "  `migrations/0002_b.sql` was removed",
                "  `migrations/0003_c.sql` was edited"
            ]
        );
        assert!(broken("").is_empty());
    }
}

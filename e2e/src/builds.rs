//! The builds of the app that are rolled out: the same program with different migrations. Each is a separate image, as in
//! production. A new one needs no compiler.

use std::fs;

use anyhow::{Context, Result};

/// One image: the project's migrations and, in most builds, one more file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// The stand-in for the app of chart 1.0.0. It answers `/health` in any state of the database.
    Former,
    /// The migrations of this checkout, as the program carries them.
    First,
    /// One more migration.
    Next,
    /// The same file with a statement that can never succeed, after one that can.
    Broken,
    /// The same file, and it takes longer than any deadline here.
    Endless,
    /// The same file, and it takes long enough to be interrupted.
    Slow,
}

/// The migration that the later builds add.
pub(crate) const ADDED: &str = "0011_add_users_locale.sql";

/// The server's error for the broken build.
pub(crate) const CAUSE: &str = "function no_such_function() does not exist";

/// The number of migrations of the first build. Later builds have one more.
pub(crate) const FIRST: usize = 10;

impl Build {
    pub(crate) const ALL: [Self; 6] =
        [Self::Former, Self::First, Self::Next, Self::Broken, Self::Endless, Self::Slow];

    /// The image's tag.
    pub(crate) const fn tag(self) -> &'static str {
        match self {
            Self::Former => "e2e-former",
            Self::First => "e2e-first",
            Self::Next => "e2e-next",
            Self::Broken => "e2e-broken",
            Self::Endless => "e2e-endless",
            Self::Slow => "e2e-slow",
        }
    }

    fn added(self) -> Option<&'static str> {
        match self {
            Self::Former | Self::First => None,
            Self::Next => Some("ALTER TABLE users ADD COLUMN locale text;\n"),
            Self::Broken => Some("ALTER TABLE users ADD COLUMN locale text;\nSELECT no_such_function();\n"),
            Self::Endless => Some("ALTER TABLE users ADD COLUMN locale text;\nSELECT pg_sleep(600);\n"),
            Self::Slow => Some("SELECT pg_sleep(12);\nALTER TABLE users ADD COLUMN locale text;\n"),
        }
    }

    /// The build's migrations, by name.
    pub(crate) fn migrations(self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(xtask::project::root().join("migrations"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "sql") {
                let name = path.file_name().and_then(|name| name.to_str()).context("a UTF-8 name")?;
                files.push((name.to_owned(), fs::read(&path)?));
            }
        }
        files.sort();
        files.extend(self.added().map(|text| (ADDED.to_owned(), text.as_bytes().to_vec())));
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_added_migration_follows_those_of_the_checkout() {
        let first = Build::First.migrations().expect("a folder");
        assert_eq!(first.len(), FIRST, "set `FIRST` to this number, and give `ADDED` the next version");
        assert!(first.iter().all(|(name, _)| name.as_str() < ADDED));
    }
}

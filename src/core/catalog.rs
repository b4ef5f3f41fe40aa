//! The set of migration files, read as sqlx reads them.
//!
//! Names, descriptions and checksums follow `sqlx-core` 0.9, `migrate/source.rs`, so that sqlx and corveil see the
//! same history. Content that cannot be applied is no error here: an applied file cannot be edited any more, so only
//! pending ones are refused (see [`crate::core::prepared`]).

use std::collections::BTreeSet;
use std::sync::OnceLock;

use sha2::{Digest, Sha384};

use crate::core::sql::create::{Created, created};
use crate::error::{Finding, FindingKind};

/// A migration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Its version, unique in the set.
    pub version: i64,
    /// The description in the name, with `_` as spaces.
    pub(crate) description: String,
    /// The file's name without its folder.
    pub file: String,
    /// SHA-384 of the content: 48 bytes.
    pub checksum: Vec<u8>,
    /// The SQL, or why there is none.
    pub(crate) content: Result<String, Unreadable>,
    /// What it creates, once that was read.
    created: OnceLock<Vec<Created>>,
}

impl Migration {
    /// What is wrong with the file or its rows.
    pub(crate) fn finding(
        &self,
        kind: FindingKind,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Finding {
        Finding::new(kind, message, hint).file(self.file.clone()).version(self.version)
    }

    /// What it creates without IF NOT EXISTS. It is read for that where it was not yet.
    fn created(&self) -> &[Created] {
        self.created.get_or_init(|| self.content.as_deref().map(created).unwrap_or_default())
    }

    /// Stores what it creates, for a caller that has read the file for another purpose.
    pub(crate) fn keep_created(&self, created: Vec<Created>) {
        // What was read before stays.
        let _ = self.created.set(created);
    }
}

/// Why a file has no SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The bytes are not UTF-8 from this offset on.
    NotUtf8 {
        /// Offset in bytes.
        offset: usize,
    },
    /// The bytes are UTF-16, by the name that `iconv` has for it.
    Utf16(&'static str),
    Io(String),
}

/// The migrations in order of their versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    migrations: Vec<Migration>,
    /// Names of `.sql` files that are no migrations, as sqlx ignores them.
    pub(crate) ignored: Vec<String>,
    /// Their folder, as it was given; none for those that are built into the program.
    pub(crate) folder: Option<String>,
    /// Versions whose files run whole although they have another tool's marks of a way up or down.
    pub(crate) run_whole: BTreeSet<i64>,
}

impl Catalog {
    /// Sorts files, given as name and content, into a set.
    ///
    /// # Errors
    /// A `.sql` name whose prefix is no integer, and two files of one version.
    pub fn from_files(
        files: impl IntoIterator<Item = (String, Result<Vec<u8>, String>)>,
    ) -> Result<Self, Vec<Finding>> {
        let mut catalog = Self::default();
        let mut findings = Vec::new();
        for (name, bytes) in files {
            match parse_name(&name) {
                Name::Migration { version, description } => {
                    catalog.migrations.push(migration(version, description, name, bytes));
                }
                Name::Down | Name::Other => {}
                Name::OtherSql => catalog.ignored.push(name),
                Name::Misnamed => findings.push(misnamed(name)),
            }
        }
        catalog.migrations.sort_by(|a, b| (a.version, &a.file).cmp(&(b.version, &b.file)));
        catalog.ignored.sort();
        findings
            .extend(catalog.migrations.windows(2).filter(|w| w[0].version == w[1].version).map(duplicate));
        if findings.is_empty() { Ok(catalog) } else { Err(findings) }
    }

    /// The migrations, oldest first.
    pub fn migrations(&self) -> &[Migration] {
        &self.migrations
    }

    /// The migration of a version.
    pub(crate) fn get(&self, version: i64) -> Option<&Migration> {
        self.migrations.binary_search_by_key(&version, |m| m.version).ok().map(|i| &self.migrations[i])
    }

    /// What the files create without IF NOT EXISTS. All files are read for that, once.
    pub(crate) fn created(&self) -> impl Iterator<Item = (&Migration, &Created)> {
        self.migrations.iter().flat_map(|file| file.created().iter().map(move |object| (file, object)))
    }

    /// The newest version; none in an empty set.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.migrations.last().map(|m| m.version)
    }
}

/// How the name of a migration ends. sqlx minds the case.
const SUFFIX: &str = ".sql";

enum Name {
    Migration { version: i64, description: String },
    Down,
    Misnamed,
    OtherSql,
    Other,
}

/// Takes a file name apart the way sqlx does, `trim_end_matches` included.
fn parse_name(name: &str) -> Name {
    let Some((prefix, rest)) = name.split_once('_').filter(|(_, rest)| rest.ends_with(SUFFIX)) else {
        let is_sql = name.rsplit_once('.').is_some_and(|(_, ending)| ending.eq_ignore_ascii_case("sql"));
        return if is_sql { Name::OtherSql } else { Name::Other };
    };
    let Ok(version) = prefix.parse() else { return Name::Misnamed };
    if rest.ends_with(".down.sql") {
        return Name::Down;
    }
    let suffix = if rest.ends_with(".up.sql") { ".up.sql" } else { SUFFIX };
    Name::Migration { version, description: rest.trim_end_matches(suffix).replace('_', " ") }
}

fn migration(version: i64, description: String, file: String, bytes: Result<Vec<u8>, String>) -> Migration {
    let checksum = Sha384::digest(bytes.as_deref().unwrap_or_default()).to_vec();
    let content = bytes.map_err(Unreadable::Io).and_then(|bytes| {
        if let Some(name) = utf16(&bytes) {
            return Err(Unreadable::Utf16(name));
        }
        String::from_utf8(bytes).map_err(|e| Unreadable::NotUtf8 { offset: e.utf8_error().valid_up_to() })
    });
    Migration { version, description, file, checksum, content, created: OnceLock::new() }
}

/// Recognises UTF-16 by its byte order mark, or by its first characters: SQL starts with those of ASCII, of which one byte is 0.
fn utf16(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("utf-16"),
        [a, 0, b, 0, ..] if *a != 0 && *b != 0 => Some("utf-16le"),
        [0, a, 0, b, ..] if *a != 0 && *b != 0 => Some("utf-16be"),
        _ => None,
    }
}

fn misnamed(name: String) -> Finding {
    Finding::new(
        FindingKind::Misnamed,
        "has a name that starts with no version number",
        format!(
            "name it like `0001_create_users.sql`, or rename it to `{name}.txt` if it is no \
            migration"
        ),
    )
    .file(name)
}

fn duplicate(pair: &[Migration]) -> Finding {
    Finding::new(
        FindingKind::Duplicate,
        format!("has the same version {} as `{}`", pair[1].version, pair[0].file),
        "give the one that is not applied anywhere yet a higher version",
    )
    .file(pair[1].file.clone())
    .version(pair[1].version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(names: &[&str]) -> Result<Catalog, Vec<Finding>> {
        Catalog::from_files(names.iter().map(|n| ((*n).to_owned(), Ok(b"SELECT 1".to_vec()))))
    }

    #[test]
    fn names_are_read_as_sqlx_reads_them() {
        for (name, version, description) in [
            ("0001_create_users.sql", 1, "create users"),
            ("20240102030405_a.up.sql", 20_240_102_030_405, "a"),
            ("+7_plus.sql", 7, "plus"),
            ("-3_minus.sql", -3, "minus"),
            ("1_twice.sql.sql", 1, "twice"),
            ("2_.sql", 2, ""),
        ] {
            let catalog = catalog(&[name]).unwrap();
            let found = &catalog.migrations()[0];
            assert_eq!((found.version, found.description.as_str()), (version, description), "{name}");
        }
    }

    #[test]
    fn files_that_sqlx_ignores_are_ignored_and_sql_ones_are_named() {
        let catalog =
            catalog(&["README.md", "seed.sql", "20240101-foo.sql", "1_a.down.sql", "2_A.SQL"]).unwrap();
        assert!(catalog.migrations().is_empty());
        assert_eq!(catalog.ignored, ["20240101-foo.sql", "2_A.SQL", "seed.sql"]);
    }

    #[test]
    fn a_prefix_that_is_no_integer_is_refused() {
        let findings = catalog(&["v1_a.sql", "20240101-a_b.sql"]).unwrap_err();
        assert!(findings.iter().all(|f| f.kind == FindingKind::Misnamed));
        assert_eq!(findings.len(), 2);
    }

    #[test]
    fn two_files_of_one_version_are_refused_also_when_written_differently() {
        let findings = catalog(&["1_a.sql", "0001_b.up.sql"]).unwrap_err();
        assert_eq!(findings[0].kind, FindingKind::Duplicate);
    }

    #[test]
    fn checksums_are_sqlx_s() {
        let catalog = catalog(&["1_a.sql"]).unwrap();
        let sum = &catalog.migrations()[0].checksum;
        assert_eq!(sum.len(), 48);
        assert_eq!(sum[..6], [0xa8, 0x7b, 0xe5, 0xea, 0x59, 0xa5], "as `sha384sum` prints it");
    }

    #[test]
    fn content_that_is_not_utf8_is_kept_for_when_it_is_pending() {
        let catalog = Catalog::from_files([("1_a.sql".into(), Ok(b"ab\xff".to_vec()))]).unwrap();
        assert_eq!(catalog.migrations()[0].content, Err(Unreadable::NotUtf8 { offset: 2 }));
    }

    #[test]
    fn utf16_is_told_by_its_mark_or_its_zeros() {
        for (bytes, name) in [
            (&b"\xff\xfeS\0E\0"[..], Some("utf-16")),
            (b"\xfe\xff\0S\0E", Some("utf-16")),
            (b"S\0E\0L\0", Some("utf-16le")),
            (b"\0S\0E\0L", Some("utf-16be")),
            (b"SELECT '\0'", None),
            (b"", None),
        ] {
            assert_eq!(utf16(bytes), name, "{bytes:?}");
        }
    }
}

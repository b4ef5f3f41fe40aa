//! The schemas that this build's migrations make, from its embedded snapshots: what each migration changes.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::core::batch::hex;
use crate::core::catalog::Catalog;
use crate::core::schema::quoting::quoted;
use crate::core::schema::{Schema, changes};
use crate::error::{Error, Result};

include!(concat!(env!("OUT_DIR"), "/embedded_snapshots.rs"));

/// The schema in which the snapshots were made.
const HOME: &str = "public";

/// One file of `migrations/schema/`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Names the generator of the file.
    pub generated: String,
    /// The checksum of the migration, in hexadecimal, as the history has it.
    pub checksum: String,
    /// What the migration changes.
    pub changes: Value,
}

/// The schema after all migrations of the program up to this version, `home` being the schema that takes what they create
/// unqualified.
///
/// # Errors
/// [`Error::Config`] when an embedded migration has no snapshot, which is a mistake in the build.
pub(crate) fn schema_at(catalog: &Catalog, version: i64, home: &str) -> Result<Schema> {
    let mut schema = Value::Object(Map::new());
    for migration in catalog.migrations().iter().filter(|migration| migration.version <= version) {
        let stem = migration.file.strip_suffix(".sql").unwrap_or(&migration.file);
        let snapshot = SNAPSHOTS
            .iter()
            .find(|(name, _)| *name == stem)
            .and_then(|(_, text)| serde_json::from_str::<Snapshot>(text).ok())
            .filter(|snapshot| snapshot.checksum == hex(&migration.checksum));
        let Some(snapshot) = snapshot else { return Err(missing(migration.version)) };
        changes::apply(&mut schema, &snapshot.changes);
    }
    let home = quoted(home);
    if home != HOME {
        rename(&mut schema, &home);
    }
    let mut schema: Schema = serde_json::from_value(schema).map_err(|_| missing(version))?;
    schema.schemas.insert(home);
    Ok(schema)
}

fn missing(version: i64) -> Error {
    Error::config(
        format!("this build has no snapshot of the schema at version {version}"),
        "run `cargo xtask gen` and build it again",
    )
}

/// Puts everything into another schema.
fn rename(value: &mut Value, home: &str) {
    match value {
        Value::String(text) if text == HOME => home.clone_into(text),
        Value::String(text) => *text = requalified(text, home),
        Value::Array(values) => values.iter_mut().for_each(|value| rename(value, home)),
        Value::Object(fields) => {
            *fields = std::mem::take(fields)
                .into_iter()
                .map(|(key, mut value)| {
                    rename(&mut value, home);
                    (requalified(&key, home), value)
                })
                .collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Every name in the snapshots is qualified, and `public.` occurs in them only as a schema.
fn requalified(text: &str, home: &str) -> String {
    let mut moved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("public.") {
        let is_word = rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '"');
        moved += &rest[..at];
        moved += if is_word { HOME } else { home };
        moved.push('.');
        rest = &rest[at + "public.".len()..];
    }
    moved + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source;

    #[test]
    fn every_migration_of_the_program_has_its_snapshot() {
        let catalog = source::load(None).unwrap();
        let newest = schema_at(&catalog, i64::MAX, "public").expect("`cargo xtask gen` writes them");
        assert!(newest.tables.contains_key("public.users"));
        assert_eq!(SNAPSHOTS.len(), catalog.migrations().len(), "a snapshot of no migration is left");
        assert!(schema_at(&catalog, 0, "public").unwrap().tables.is_empty());
    }

    #[test]
    fn snapshots_hold_in_another_schema() {
        let catalog = source::load(None).unwrap();
        let moved = schema_at(&catalog, i64::MAX, "My app").unwrap();
        assert!(moved.tables.contains_key("\"My app\".users") && moved.schemas.contains("\"My app\""));
        let text = serde_json::to_string(&moved).unwrap();
        assert!(!text.contains("public."), "{text}");
    }

    #[test]
    fn only_the_schema_itself_is_renamed() {
        assert_eq!(
            requalified("nextval('public.a'::x) my_public.b", "app"),
            "nextval('app.a'::x) my_public.b"
        );
    }
}

//! Reads the rows of a history table.

use serde_json::{Map, Value};

use crate::core::other_tool::{Dirty, Recorded, Tool};

/// A row by the names of its columns, in lower case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row(Map<String, Value>);

impl Row {
    /// Reads a row as `row_to_json` writes it; what is no such row has no columns.
    pub(crate) fn from_json(text: &str) -> Self {
        let row: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
        Self(row.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect())
    }

    /// A value as text; none for NULL and for a column that is not there.
    fn text(&self, column: &str) -> Option<String> {
        match self.0.get(column)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    fn number(&self, column: &str) -> i64 {
        self.0.get(column).and_then(Value::as_i64).unwrap_or_default()
    }

    /// A boolean; some tools have a number for it.
    fn is(&self, column: &str, wanted: bool) -> bool {
        match self.0.get(column) {
            Some(Value::Bool(value)) => *value == wanted,
            Some(Value::Number(number)) => (number.as_i64() != Some(0)) == wanted,
            _ => false,
        }
    }
}

/// The applied versions, or why they are unknown, and what is half done.
pub(crate) type State = (Result<Vec<Recorded>, String>, Option<Dirty>);

/// Reads a tool's rows. `second` are those of its second table: Liquibase's lock.
pub(crate) fn read(tool: Tool, mut rows: Vec<Row>, second: &[Row]) -> State {
    let (applied, dirty) = match tool {
        Tool::GolangMigrate => golang_migrate(&rows),
        Tool::Goose => goose(&mut rows),
        Tool::Tern => (current(&rows, "version"), None),
        Tool::Dbmate | Tool::Rails | Tool::Diesel | Tool::Refinery => (each(&rows, "version"), None),
        Tool::Flyway => flyway(&mut rows),
        Tool::Liquibase => liquibase(&mut rows, second),
        Tool::Alembic => (current(&rows, "version_num"), None),
        Tool::Prisma => prisma(&mut rows),
        Tool::SchemaMigrations => return unknown(&rows),
        Tool::Other(name) => return (Err(format!("the history of {name} is not read")), None),
    };
    (Ok(applied), dirty)
}

type Applied = (Vec<Recorded>, Option<Dirty>);

/// Every row is a version that is applied.
fn each(rows: &[Row], column: &str) -> Vec<Recorded> {
    let mut versions: Vec<_> = rows.iter().filter_map(|row| row.text(column)).collect();
    versions.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    versions.into_iter().map(Recorded::One).collect()
}

/// The only row is the version that the schema is at.
fn current(rows: &[Row], column: &str) -> Vec<Recorded> {
    rows.iter().filter_map(|row| row.text(column)).map(Recorded::UpTo).collect()
}

fn golang_migrate(rows: &[Row]) -> Applied {
    let dirty = rows.iter().find(|row| row.is("dirty", true)).map(|row| {
        let version = row.text("version").unwrap_or_default();
        Dirty {
            reason: format!("version {version} is marked dirty: it failed, or is being applied now"),
            hint: format!(
                "check how much of version {version} is in the schema, complete or undo it by hand, and record that with \
                 `migrate force VERSION`"
            ),
        }
    });
    (current(rows, "version"), dirty)
}

/// The last row of each version shows whether it is applied. The first row of all, version 0, marks a new table.
fn goose(rows: &mut [Row]) -> Applied {
    rows.sort_by_key(|row| row.number("id"));
    let mut applied: Vec<String> = Vec::new();
    for row in rows {
        let Some(version) = row.text("version_id").filter(|version| version != "0") else { continue };
        applied.retain(|earlier| *earlier != version);
        if row.is("is_applied", true) {
            applied.push(version);
        }
    }
    (applied.into_iter().map(Recorded::One).collect(), None)
}

/// A protocol: later rows undo or replace earlier ones. Rows without a version are repeatable migrations, and the
/// creation of a schema.
fn flyway(rows: &mut [Row]) -> Applied {
    rows.sort_by_key(|row| row.number("installed_rank"));
    let mut applied: Vec<Recorded> = Vec::new();
    let mut failed: Option<(String, String)> = None;
    for row in rows {
        let version = row.text("version");
        let kind = row.text("type").unwrap_or_default();
        let script = row.text("script").unwrap_or_default();
        // A migration that failed before has succeeded now.
        failed = failed.filter(|(earlier, _)| *earlier != script);
        if row.is("success", false) {
            let version = version.map_or_else(|| "a repeatable migration".into(), |v| format!("version {v}"));
            failed = Some((script, version));
            continue;
        }
        let Some(version) = version else { continue };
        applied.retain(|earlier| earlier.version() != version);
        if kind.ends_with("BASELINE") || kind == "INIT" {
            applied.push(Recorded::UpTo(version));
        } else if kind != "DELETE" && !kind.starts_with("UNDO") {
            applied.push(Recorded::One(version));
        }
    }
    let dirty = failed.map(|(script, version)| Dirty {
        reason: format!("{version}, `{script}`, failed"),
        hint: format!(
            "check how much of `{script}` is in the schema, complete or undo it by hand, and run `flyway repair`"
        ),
    });
    (applied, dirty)
}

/// A change set is known by file, number and author. Written as Liquibase writes it in its messages.
fn liquibase(rows: &mut [Row], lock: &[Row]) -> Applied {
    rows.sort_by_key(|row| row.number("orderexecuted"));
    let change_set = |row: &Row| {
        let part = |column| row.text(column).unwrap_or_default();
        format!("{}::{}::{}", part("filename"), part("id"), part("author"))
    };
    let is_failed = |row: &&Row| matches!(row.text("exectype").as_deref(), Some("FAILED" | "SKIPPED"));
    let held = lock.iter().find(|row| row.is("locked", true)).map(|row| {
        let by = row.text("lockedby").unwrap_or_else(|| "an unknown host".into());
        let since = row.text("lockgranted").unwrap_or_else(|| "an unknown time".into());
        Dirty {
            reason: format!("its lock is held by {by} since {since}: Liquibase is at work, or was killed"),
            hint: "wait until Liquibase ends; if it was killed, run `liquibase release-locks` and then `liquibase update`"
                .into(),
        }
    });
    let dirty = held.or_else(|| {
        rows.iter().find(is_failed).map(|row| Dirty {
            reason: format!("change set {} failed", change_set(row)),
            hint: "let `liquibase update` succeed first".into(),
        })
    });
    (rows.iter().filter(|row| !is_failed(row)).map(change_set).map(Recorded::One).collect(), dirty)
}

/// A row that neither ended nor was rolled back is a migration that failed.
fn prisma(rows: &mut [Row]) -> Applied {
    rows.sort_by_key(|row| row.text("started_at"));
    let name = |row: &Row| row.text("migration_name").unwrap_or_default();
    let mut rows: Vec<_> = rows.iter().filter(|row| row.text("rolled_back_at").is_none()).collect();
    // Prisma counts applied steps as they are done; `resolve --applied` leaves the time alone.
    let failed = rows.iter().find(|row| row.text("finished_at").is_none()).map(|row| name(row));
    rows.retain(|row| row.text("finished_at").is_some());
    let dirty = failed.map(|name| Dirty {
        reason: format!("migration `{name}` was started and did not end"),
        hint: format!(
            "check how much of it is in the schema, complete or undo it by hand, and record that with \
             `prisma migrate resolve --applied {name}` or `--rolled-back {name}`"
        ),
    });
    (rows.into_iter().map(name).map(Recorded::One).collect(), dirty)
}

/// Where apps that migrate themselves write the version, the likeliest first.
const VERSIONS: [&str; 9] = [
    "version",
    "version_id",
    "migration",
    "migration_id",
    "migration_name",
    "name",
    "filename",
    "file",
    "id",
];

/// A table of which only the name is known.
fn unknown(rows: &[Row]) -> State {
    let Some(first) = rows.first() else { return (Ok(Vec::new()), None) };
    let Some(column) = VERSIONS.into_iter().find(|column| first.text(column).is_some()) else {
        let columns: Vec<_> = first.0.keys().map(String::as_str).collect();
        return (Err(format!("none of its columns ({}) is known to be a version", columns.join(", "))), None);
    };
    let failed = |row: &&Row| row.is("dirty", true) || row.is("success", false);
    let dirty = rows.iter().find(failed).map(|row| Dirty {
        reason: format!("version {} is marked as failed", row.text(column).unwrap_or_default()),
        hint: "check how much of it is in the schema, complete or undo it by hand, and correct the mark"
            .into(),
    });
    let undone = |row: &&Row| row.is("applied", false) || row.is("is_applied", false);
    let rows: Vec<_> = rows.iter().filter(|row| !undone(row)).cloned().collect();
    // One row is either the first version or the one that the schema is at, which is the same in the first case.
    (Ok(if rows.len() == 1 { current(&rows, column) } else { each(&rows, column) }), dirty)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows_of(tool: Tool, rows: &[&str]) -> (Vec<String>, Option<String>) {
        let (applied, dirty) = read(tool, rows.iter().map(|row| Row::from_json(row)).collect(), &[]);
        let applied = applied.unwrap().iter().map(|recorded| recorded.version().to_owned()).collect();
        (applied, dirty.map(|dirty| dirty.reason))
    }

    #[test]
    fn goose_goes_by_the_last_row_of_a_version() {
        let (applied, _) = rows_of(
            Tool::Goose,
            &[
                r#"{"id": 4, "version_id": 2, "is_applied": false}"#,
                r#"{"id": 1, "version_id": 0, "is_applied": true}"#,
                r#"{"id": 2, "version_id": 1, "is_applied": true}"#,
                r#"{"id": 3, "version_id": 2, "is_applied": true}"#,
            ],
        );
        assert_eq!(applied, ["1"]);
    }

    #[test]
    fn flyway_goes_by_what_was_undone_deleted_and_repeated() {
        let row = |rank: i32, version: &str, kind: &str| {
            format!(
                r#"{{"installed_rank": {rank}, "version": {version}, "type": "{kind}", "script": "", "success": true}}"#
            )
        };
        let rows = [
            row(1, "null", "SCHEMA"),
            row(2, r#""1""#, "SQL"),
            row(3, r#""2""#, "SQL"),
            row(4, r#""2""#, "UNDO_SQL"),
            row(5, r#""3""#, "SQL"),
            row(6, r#""3""#, "DELETE"),
            row(7, "null", "SQL"),
        ];
        let (applied, failed) = rows_of(Tool::Flyway, &rows.each_ref().map(String::as_str));
        assert_eq!((applied, failed), (vec!["1".to_owned()], None));
    }

    #[test]
    fn flyway_forgives_a_failure_that_went_well_later() {
        let failed = r#"{"installed_rank": 1, "version": null, "type": "SQL", "script": "R__a.sql", "success": false}"#;
        let well =
            r#"{"installed_rank": 2, "version": null, "type": "SQL", "script": "R__a.sql", "success": true}"#;
        assert!(
            rows_of(Tool::Flyway, &[failed])
                .1
                .unwrap()
                .contains("a repeatable migration, `R__a.sql`, failed")
        );
        assert_eq!(rows_of(Tool::Flyway, &[failed, well]).1, None);
    }

    #[test]
    fn prisma_forgets_what_was_rolled_back() {
        let row = |name: &str, finished: &str, rolled_back: &str| {
            format!(
                r#"{{"migration_name": "{name}", "started_at": "{name}", "finished_at": {finished}, "rolled_back_at": {rolled_back}}}"#
            )
        };
        let rows =
            [row("2_b", "null", r#""now""#), row("3_b", r#""now""#, "null"), row("1_a", r#""now""#, "null")];
        let (applied, failed) = rows_of(Tool::Prisma, &rows.each_ref().map(String::as_str));
        assert_eq!((applied, failed), (vec!["1_a".to_owned(), "3_b".to_owned()], None));
    }

    #[test]
    fn a_table_of_which_only_the_name_is_known_may_mark_failures() {
        let (applied, failed) = rows_of(
            Tool::SchemaMigrations,
            &[r#"{"version": "2", "success": false}"#, r#"{"version": "1", "success": true}"#],
        );
        assert_eq!(applied, ["1", "2"]);
        assert_eq!(failed.as_deref(), Some("version 2 is marked as failed"));
    }
}

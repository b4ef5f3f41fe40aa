//! A database's schema as text, to compare two of them.

use std::process::Command;

use crate::support::Database;
use crate::support::programs::Programs;

/// The schema by `pg_dump` where there is one that can read the server, otherwise from the catalog.
pub(crate) async fn dump(database: &Database) -> String {
    match Programs::pg_dump(Programs::server().major()) {
        Some(pg_dump) => by_pg_dump(&pg_dump, database),
        None => from_catalog(database).await,
    }
}

fn by_pg_dump(pg_dump: &std::path::Path, database: &Database) -> String {
    let output = Command::new(pg_dump)
        .arg("--schema-only")
        .arg("--dbname")
        .arg(database.url().to_string())
        .output()
        .expect("start pg_dump");
    assert!(output.status.success(), "pg_dump: {}", String::from_utf8_lossy(&output.stderr));
    let dump = String::from_utf8(output.stdout).expect("a dump in UTF-8");
    // The keys of these two are random, so that no two dumps would be equal.
    let lines =
        dump.lines().filter(|line| !line.starts_with(r"\restrict") && !line.starts_with(r"\unrestrict"));
    lines.map(|line| line.to_owned() + "\n").collect()
}

/// The same question to the catalog: one sorted line for each column, constraint, index, type, function and so on.
pub(crate) async fn from_catalog(database: &Database) -> String {
    let lines: Vec<String> = database.values(include_str!("schema.sql")).await;
    lines.into_iter().map(|line| line + "\n").collect()
}

//! `migrations/schema/`: what each migration changes in the schema, read from a real server.
//!
//! The program carries them, so that it can compare a live schema without a database to try the files in.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use corveil::schema::{Expected, Schema, Snapshot, changes};
use corveil::{Catalog, Database, Stop, hex, source};
use xshell::Shell;

use super::{Files, HEADER};
use crate::postgres;
use crate::postgres::server::Server;

/// Where they are.
pub(crate) const FOLDER: &str = "migrations/schema";

/// The version that prints them. The others print the same, which the scenarios prove.
const MAJOR: u32 = 18;

/// The schema in which the files create what they do not qualify.
const HOME: &str = "public";

/// A file for each migration. Wants the server programs, and fetches them where they are missing.
pub(crate) fn files(sh: &Shell) -> Result<Files> {
    let programs = match std::env::var_os("CORVEIL_TEST_POSTGRES_BIN") {
        Some(bin) => PathBuf::from(bin),
        None => postgres::programs(sh, MAJOR)?,
    };
    let server = Server::start(programs, "gen")?;
    let database = Database::from_url("the server of this task", &Server::url(server.port(), "postgres"))?;
    let catalog = source::load(Some(&crate::project::root().join("migrations")))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(replay(&catalog, database))
}

async fn replay(catalog: &Catalog, database: Database) -> Result<Files> {
    let stop = Stop::listen(Instant::now(), None)?;
    let mut expected = Expected::on(database, catalog, HOME, &stop);
    let mut files = Files::new();
    let mut before = Schema::default();
    for migration in catalog.migrations() {
        let after = expected.at(migration.version).await;
        let after = match after {
            Ok(after) => after,
            Err(error) => {
                expected.close().await;
                return Err(error).with_context(|| format!("`{}` has no schema", migration.file));
            }
        };
        let snapshot = Snapshot {
            generated: HEADER.into(),
            checksum: hex(&migration.checksum),
            changes: changes::between(&before, &after),
        };
        let name = PathBuf::from(&migration.file).with_extension("json");
        files.push((PathBuf::from(FOLDER).join(name), serde_json::to_string_pretty(&snapshot)? + "\n"));
        before = after;
    }
    expected.close().await;
    Ok(files)
}

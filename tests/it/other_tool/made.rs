//! Histories made by the tools themselves: what Corveil reads in them, and which of its versions they match.

use std::process::Stdio;

use corveil::Catalog;
use corveil::other_tool::{Mapping, Tool, ToolHistory, histories, map};

use crate::support::{Corveil, Database, Migrator, SOON, Step, schema, wait_until};

/// Corveil's files as the mapping sees them: names and versions.
fn catalog(steps: &[Step]) -> Catalog {
    let file = |step: &Step| (format!("{}.sql", step.name), Ok(step.sql.clone().into_bytes()));
    Catalog::from_files(steps.iter().map(file)).expect("files that are migrations")
}

async fn only(database: &Database) -> ToolHistory {
    let mut histories = histories(&mut database.connect().await, &["public".into()], None).await.unwrap();
    assert_eq!(histories.len(), 1, "{histories:?}");
    histories.remove(0)
}

#[track_caller]
fn expect_mapped(history: &ToolHistory, steps: &[Step], version: i64) {
    history.expect_clean().unwrap();
    match map(history, &catalog(steps)) {
        Mapping::To { version: mapped, how } => {
            assert_eq!(mapped, version, "{how}");
            assert!(how.contains(&steps[usize::try_from(version).unwrap() - 1].name), "{how}");
        }
        Mapping::Unknown { why } => panic!("{why}"),
    }
}

/// The tool applies Corveil's migrations: its history maps to them, and its schema is the same.
async fn is_read_and_mapped(tool: Tool) {
    let (ours, theirs, steps) = (Database::fresh().await, Database::fresh().await, Step::product());
    Migrator::new(tool, &steps).migrate(&theirs).await;
    let history = only(&theirs).await;
    assert_eq!(history.tool, tool);
    expect_mapped(&history, &steps, 10);

    let explicit = histories(&mut theirs.connect().await, &["public".into()], Some(tool)).await.unwrap();
    assert_eq!(explicit, std::slice::from_ref(&history));
    let mapped = map(&history, &catalog(&steps[..9]));
    assert!(
        matches!(&mapped, Mapping::Unknown { why } if why.contains("the version of no migration file")),
        "{mapped:?}"
    );

    Corveil::new("migrate").url(&ours.url()).run().await.expect_code(0);
    ours.execute("DROP TABLE _sqlx_migrations, _corveil_runs, _corveil_statements").await;
    theirs
        .execute(&format!("DROP TABLE {}; DROP TABLE IF EXISTS databasechangeloglock", history.table))
        .await;
    assert_eq!(schema::dump(&theirs).await, schema::dump(&ours).await);
}

/// Two migrations, and a third that fails in the middle.
fn broken(sql: &str) -> [Step; 3] {
    [
        Step::new("0001_a", "CREATE TABLE a (id int);"),
        Step::new("0002_b", "CREATE TABLE b (id int);"),
        Step::new("0003_c", sql),
    ]
}

/// A tool whose migrations are transactions: what failed is not there, and the history is the one before.
async fn forgets_what_failed(tool: Tool) {
    let (database, steps) = (Database::fresh().await, broken("CREATE TABLE c (); SELECT 1 / 0;"));
    Migrator::new(tool, &steps).fail(&database).await;
    expect_mapped(&only(&database).await, &steps, 2);
    assert!(!database.has("c").await);
}

/// A tool that remembers the failure.
async fn remembers_what_failed(tool: Tool, sql: &str, reason: &str, hint: &str) {
    let (database, steps) = (Database::fresh().await, broken(sql));
    Migrator::new(tool, &steps).fail(&database).await;
    expect_refused(&only(&database).await, reason, hint);
}

#[track_caller]
fn expect_refused(history: &ToolHistory, reason: &str, hint: &str) {
    let error = history.expect_clean().unwrap_err();
    assert_eq!(error.exit_code().code(), 4);
    let finding = &error.findings()[0];
    assert!(finding.message.contains(reason), "{finding}");
    assert!(finding.hint.contains(hint), "{finding}");
}

#[tokio::test]
async fn golang_migrates_is_read_and_mapped() {
    is_read_and_mapped(Tool::GolangMigrate).await;
}

#[tokio::test]
async fn gooses_is_read_and_mapped() {
    is_read_and_mapped(Tool::Goose).await;
}

#[tokio::test]
async fn terns_is_read_and_mapped() {
    is_read_and_mapped(Tool::Tern).await;
}

#[tokio::test]
async fn flyways_is_read_and_mapped() {
    is_read_and_mapped(Tool::Flyway).await;
}

#[tokio::test]
async fn liquibases_is_read_and_mapped() {
    is_read_and_mapped(Tool::Liquibase).await;
}

#[tokio::test]
async fn refinerys_is_read_and_mapped() {
    is_read_and_mapped(Tool::Refinery).await;
}

#[tokio::test]
async fn diesels_is_read_and_mapped() {
    is_read_and_mapped(Tool::Diesel).await;
}

#[tokio::test]
async fn alembics_is_read_and_mapped_where_its_revisions_are_numbers() {
    is_read_and_mapped(Tool::Alembic).await;
}

#[tokio::test]
async fn prismas_is_read_and_mapped() {
    is_read_and_mapped(Tool::Prisma).await;
}

#[tokio::test]
async fn what_failed_in_a_transaction_is_not_in_the_history() {
    for tool in [Tool::Goose, Tool::Tern, Tool::Refinery, Tool::Diesel, Tool::Alembic] {
        forgets_what_failed(tool).await;
    }
}

#[tokio::test]
async fn what_golang_migrate_left_dirty_is_refused() {
    let sql = "CREATE TABLE c (); SELECT 1 / 0;";
    remembers_what_failed(Tool::GolangMigrate, sql, "version 3 is marked dirty", "migrate force VERSION")
        .await;
}

#[tokio::test]
async fn what_failed_under_prisma_is_refused() {
    let sql = "CREATE TABLE c (); SELECT 1 / 0;";
    let hint = "prisma migrate resolve --applied 0003_c";
    remembers_what_failed(Tool::Prisma, sql, "migration `0003_c` was started and did not end", hint).await;
}

#[tokio::test]
async fn what_failed_outside_a_transaction_of_flyway_is_refused() {
    let sql = "CREATE INDEX CONCURRENTLY c ON missing (id);";
    remembers_what_failed(Tool::Flyway, sql, "version 0003, `V0003__c.sql`, failed", "flyway repair").await;
}

#[tokio::test]
async fn the_lock_of_a_liquibase_that_was_killed_is_refused() {
    let database = Database::fresh().await;
    let steps = broken("SELECT pg_sleep(600);");
    let liquibase = Migrator::new(Tool::Liquibase, &steps);
    let mut command = liquibase.command(&database);
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start Liquibase");
    wait_until("Liquibase sleeps", 3 * SOON, async || {
        let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        database.value::<i64>(&format!("{sleeping} AND datname = current_database()")).await == 1
    })
    .await;
    run.kill().await.expect("kill Liquibase");
    expect_refused(&only(&database).await, "its lock is held by", "liquibase release-locks");
}

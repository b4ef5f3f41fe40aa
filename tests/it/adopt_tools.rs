//! Databases that other tools migrated, by their own programs or in tables as they document them, are adopted.

use corveil::other_tool::Tool;

use crate::support::{Corveil, Database, Migrator, Step};

/// How many of the product's migrations the tool has applied. No other version has this schema.
const APPLIED: usize = 6;

/// Tables as they are documented, of tools that cannot be installed here.
const DOCUMENTED: [(Tool, &str); 3] = [
    (Tool::Dbmate, "CREATE TABLE schema_migrations (version varchar(128) PRIMARY KEY);"),
    (
        Tool::Rails,
        "CREATE TABLE schema_migrations (version varchar NOT NULL PRIMARY KEY);
         CREATE TABLE ar_internal_metadata (key varchar NOT NULL PRIMARY KEY, value varchar,
           created_at timestamp(6) NOT NULL, updated_at timestamp(6) NOT NULL);",
    ),
    // Of an older Corveil: its other contents are unknown.
    (
        Tool::SchemaMigrations,
        "CREATE TABLE schema_migrations (version text, at timestamptz DEFAULT now(), by text);",
    ),
];

async fn is_adopted(tool: Tool, theirs: &Database) {
    let corveil = |command: &str| Corveil::new(command).url(&theirs.url());
    let name = tool.name().unwrap();
    let adopt = format!("corveil adopt --from {name} --dry-run");
    corveil("migrate").run().await.expect_code(4).expect_stderr(&adopt);
    corveil("adopt").args(["--from", name, "--dry-run"]).run().await.expect_code(0);
    assert!(!theirs.is_touched().await);

    let run = corveil("adopt").run().await.expect_code(0);
    run.expect_stderr(&format!("the migration history of {tool}"))
        .expect_stdout("the schema is at version 6");
    corveil("migrate").run().await.expect_code(0).expect_stdout("applied 4 migrations ");
    assert_eq!(theirs.applied().await, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    for command in ["migrate", "status", "verify", "wait"] {
        corveil(command).run().await.expect_code(0);
    }
}

/// With the tool's program.
async fn made_is_adopted(tool: Tool) {
    let theirs = Database::fresh().await;
    Migrator::new(tool, &Step::product()[..APPLIED]).migrate(&theirs).await;
    is_adopted(tool, &theirs).await;

    // With all of them there is nothing left to do, and one run finds that out.
    let theirs = Database::fresh().await;
    Migrator::new(tool, &Step::product()).migrate(&theirs).await;
    let run = Corveil::new("migrate").url(&theirs.url()).arg("--adopt").run().await.expect_code(0);
    run.expect_stdout("recorded 10 migrations, none of which was run\nnothing to do");
}

#[tokio::test]
async fn golang_migrates_is_adopted() {
    made_is_adopted(Tool::GolangMigrate).await;
}

#[tokio::test]
async fn gooses_is_adopted() {
    made_is_adopted(Tool::Goose).await;
}

#[tokio::test]
async fn terns_is_adopted() {
    made_is_adopted(Tool::Tern).await;
}

#[tokio::test]
async fn flyways_is_adopted() {
    made_is_adopted(Tool::Flyway).await;
}

#[tokio::test]
async fn liquibases_is_adopted() {
    made_is_adopted(Tool::Liquibase).await;
}

#[tokio::test]
async fn refinerys_is_adopted() {
    made_is_adopted(Tool::Refinery).await;
}

#[tokio::test]
async fn diesels_is_adopted() {
    made_is_adopted(Tool::Diesel).await;
}

#[tokio::test]
async fn alembics_is_adopted() {
    made_is_adopted(Tool::Alembic).await;
}

#[tokio::test]
async fn prismas_is_adopted() {
    made_is_adopted(Tool::Prisma).await;
}

#[tokio::test]
async fn documented_tables_are_adopted() {
    for (tool, table) in DOCUMENTED {
        let theirs = Database::fresh().await;
        for step in &Step::product()[..APPLIED] {
            theirs.execute(&step.sql).await;
            theirs
                .execute(&format!(
                    "SET client_min_messages = error; {}",
                    table.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS")
                ))
                .await;
            let version = step.name.split_once('_').unwrap().0;
            theirs.execute(&format!("INSERT INTO schema_migrations (version) VALUES ('{version}')")).await;
        }
        is_adopted(tool, &theirs).await;
    }
}

#[tokio::test]
async fn a_history_that_is_not_read_is_passed_over_for_the_schema() {
    let theirs = Database::fresh().await;
    for step in &Step::product()[..APPLIED] {
        theirs.execute(&step.sql).await;
    }
    theirs
        .execute("CREATE TABLE knex_migrations (id serial PRIMARY KEY, name text); CREATE TABLE knex_migrations_lock (i int)")
        .await;
    let corveil = |command: &str| Corveil::new(command).url(&theirs.url());
    corveil("migrate").run().await.expect_code(4).expect_stderr("`corveil adopt --dry-run`");
    let run = corveil("adopt").run().await.expect_code(0);
    run.expect_stderr("the schema matches `0006_add_api_keys_name.sql` and no other version");
}

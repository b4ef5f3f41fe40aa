//! Databases that belong to another tool, or hold what the files would create.

mod documented;
mod made;

use crate::support::{Corveil, Database, Folder};

const TOOLS: [(&str, &str); 15] = [
    ("schema_migrations", "an app that migrates itself"),
    ("goose_db_version", "goose"),
    ("schema_version", "tern"),
    ("flyway_schema_history", "Flyway"),
    ("databasechangelog", "Liquibase"),
    ("refinery_schema_history", "refinery"),
    ("__diesel_schema_migrations", "Diesel"),
    ("alembic_version", "Alembic"),
    ("_prisma_migrations", "Prisma"),
    ("atlas_schema_revisions.atlas_schema_revisions", "Atlas"),
    ("knex_migrations", "Knex"),
    ("gorp_migrations", "sql-migrate"),
    ("django_migrations", "Django"),
    ("\"__EFMigrationsHistory\"", "Entity Framework"),
    ("drizzle.__drizzle_migrations", "Drizzle"),
];

/// The history as `sqlx migrate info` leaves it in a database that has none.
const EMPTY_HISTORY: &str = "CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY, description text NOT NULL, \
    installed_on timestamptz NOT NULL DEFAULT now(), success boolean NOT NULL, checksum bytea NOT NULL, \
    execution_time bigint NOT NULL)";

fn files() -> Folder {
    Folder::new().file("1_ours.sql", "CREATE TABLE ours ()")
}

async fn expect_refused(database: &Database, folder: &Folder, expected: &str) {
    let run = Corveil::migrate(database, folder).run().await;
    assert_eq!(run.code, Some(4), "{expected}: {run}");
    run.expect_stderr(expected).expect_stderr("hint: ");
}

#[tokio::test]
async fn another_tools_history_is_named_and_left_alone() {
    let database = Database::fresh().await;
    database.execute("CREATE SCHEMA atlas_schema_revisions; CREATE SCHEMA drizzle").await;
    for (table, tool) in TOOLS {
        database.execute(&format!("CREATE TABLE {table} ()")).await;
        expect_refused(&database, &files(), &format!("is the migration history of {tool}")).await;
        database.execute(&format!("DROP TABLE {table}")).await;
    }
    assert!(!database.is_touched().await && !database.has("ours").await);
}

#[tokio::test]
async fn an_empty_history_does_not_make_the_database_corveil_s() {
    let database = Database::fresh().await;
    database.execute(&format!("{EMPTY_HISTORY}; CREATE TABLE goose_db_version ()")).await;
    expect_refused(&database, &files(), "goose").await;
    database.execute("DROP TABLE goose_db_version; CREATE TABLE ours ()").await;
    expect_refused(&database, &files(), "would create table public.ours").await;
    assert!(!database.has("_corveil_runs").await);
    assert!(database.applied().await.is_empty());

    database.execute("DROP TABLE ours").await;
    Corveil::migrate(&database, &files()).run().await.expect_code(0);
}

#[tokio::test]
async fn a_corveil_history_makes_the_database_corveil_s_whatever_else_is_there() {
    let database = Database::fresh().await;
    Corveil::migrate(&database, &files()).run().await.expect_code(0);
    database.execute("CREATE TABLE schema_migrations (); CREATE TABLE more ()").await;
    let folder = files().file("2_more.sql", "CREATE TABLE IF NOT EXISTS more ()");
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
}

#[tokio::test]
async fn objects_that_our_files_would_create_are_named_and_left_alone() {
    let database = Database::fresh().await;
    for (there, sql, object) in [
        ("CREATE TABLE x ()", "CREATE TABLE x ()", "table public.x"),
        ("CREATE TABLE x ()", "CREATE UNLOGGED TABLE public.x (a int)", "table public.x"),
        ("CREATE TABLE \"X\" ()", "CREATE TABLE \"X\" AS SELECT 1", "table public.\"X\""),
        ("CREATE VIEW x AS SELECT 1", "CREATE TABLE x ()", "table public.x"),
        ("CREATE TABLE t (a int); CREATE INDEX x ON t (a)", "CREATE INDEX x ON u (a)", "index public.x"),
        ("CREATE TYPE x AS ENUM ()", "CREATE TYPE x AS (a int)", "type public.x"),
        ("CREATE DOMAIN x AS int", "CREATE DOMAIN x AS text", "type public.x"),
        (
            "CREATE FUNCTION x() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "CREATE OR REPLACE FUNCTION x(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "routine public.x",
        ),
        ("CREATE PROCEDURE x() LANGUAGE sql AS ''", "CREATE PROCEDURE x() LANGUAGE sql AS ''", "public.x"),
        ("CREATE SCHEMA x", "CREATE SCHEMA x", "schema x"),
        ("CREATE VIEW x AS SELECT 1", "CREATE OR REPLACE VIEW x AS SELECT 2", "view public.x"),
        (
            "CREATE MATERIALIZED VIEW x AS SELECT 1",
            "CREATE MATERIALIZED VIEW x AS SELECT 2",
            "materialized view public.x",
        ),
        ("CREATE SEQUENCE x", "CREATE SEQUENCE x", "sequence public.x"),
        ("CREATE SCHEMA s; CREATE TABLE s.x ()", "SET search_path = s; CREATE TABLE x ()", "table s.x"),
        (
            "CREATE SCHEMA s; CREATE TABLE s.x ()",
            "SELECT pg_catalog.set_config('search_path', '', false); CREATE TABLE s.x ()",
            "table s.x",
        ),
    ] {
        database.clear().await;
        database.execute(there).await;
        let folder = Folder::new().file("1_good.sql", "CREATE TABLE good ()").file("2_x.sql", sql);
        expect_refused(&database, &folder, &format!("{object}, which exists already")).await;
        assert!(!database.is_touched().await && !database.has("good").await, "{sql}");
    }
}

#[tokio::test]
async fn what_our_files_do_not_create_is_no_hindrance() {
    let database = Database::fresh().await;
    database
        .execute(
            "CREATE TABLE unrelated (); CREATE SCHEMA s; CREATE TABLE s.x (); CREATE TABLE there (); \
             CREATE FUNCTION x() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE EXTENSION IF NOT EXISTS plpgsql",
        )
        .await;
    let folder = Folder::new().file(
        "1_a.sql",
        "CREATE EXTENSION IF NOT EXISTS plpgsql; CREATE TABLE IF NOT EXISTS there (); CREATE SCHEMA IF NOT EXISTS s;
         CREATE TABLE x (); CREATE TEMP TABLE unrelated (); DROP TABLE s.x; CREATE INDEX IF NOT EXISTS i ON x ((1));",
    );
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
}

#[tokio::test]
async fn the_schema_that_every_database_has_makes_none_anothers() {
    let database = Database::fresh().await;
    let folder =
        Folder::new().file("1_a.sql", "DROP SCHEMA IF EXISTS app; CREATE SCHEMA public; CREATE TABLE a ()");
    let run = Corveil::migrate(&database, &folder).run().await.expect_code(3);
    run.expect_stderr("schema \"public\" already exists (SQLSTATE 42P06)");
    database.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA app").await;
    database.execute(&format!("ALTER DATABASE {} SET search_path = app", database.name())).await;
    folder.put("1_a.sql", "CREATE SCHEMA public; CREATE TABLE a ()");
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
}

#[tokio::test]
async fn a_finished_database_is_known_though_the_first_file_would_apply_again() {
    let database = Database::fresh().await;
    let folder = Folder::new()
        .file("1_tolerant.sql", "CREATE TABLE IF NOT EXISTS a (); CREATE INDEX IF NOT EXISTS i ON a ((1))")
        .file("2_strict.sql", "CREATE TABLE b ()");
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    database.execute("DROP TABLE _sqlx_migrations, _corveil_runs, _corveil_statements").await;

    expect_refused(&database, &folder, "`2_strict.sql` would create table public.b").await;
    assert!(!database.is_touched().await);
    // The reading commands report the same, and change as little.
    Corveil::with("status", &database, &folder)
        .run()
        .await
        .expect_code(4)
        .expect_stdout("would create table public.b");
    Corveil::migrate(&database, &folder).arg("--dry-run").run().await.expect_code(4);
    assert!(!database.is_touched().await);
}

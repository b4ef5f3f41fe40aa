//! Two roles: one that may change the schema, and the app's, which may only read.

use crate::support::{Corveil, Database, Folder};

fn folder() -> Folder {
    Folder::new()
        .file("0001_a.sql", "CREATE TABLE a ()")
        .file("0002_b.sql", "-- no-transaction\nCREATE TABLE b (id int);\nCREATE INDEX b_id ON b (id);")
}

/// A database with a role that owns its schema and one that owns nothing.
async fn with_roles() -> (Database, String, String) {
    let database = Database::fresh().await;
    let (ddl, app) = (database.create_role("").await, database.create_role("").await);
    database.execute(&format!("GRANT ALL ON SCHEMA public TO {ddl}")).await;
    (database, ddl, app)
}

fn as_two(subcommand: &str, database: &Database, folder: &Folder, ddl: &str, app: &str) -> Corveil {
    Corveil::with(subcommand, database, folder)
        .url(&database.url_as(app))
        .env("MIGRATE_DATABASE_URL", database.url_as(ddl).to_string())
}

#[tokio::test]
async fn the_app_s_role_sees_what_the_other_one_did() {
    let ((database, ddl, app), folder) = (with_roles().await, folder());
    // The pod that waits is there first, and knows the app's role alone.
    let as_app = |subcommand| Corveil::with(subcommand, &database, &folder).url(&database.url_as(&app));
    let wait = as_app("wait").spawn();
    wait.until_it_logs("waiting: 2 migrations").await;

    as_two("migrate", &database, &folder, &ddl, &app).run().await.expect_code(0);
    wait.wait().await.expect_code(0);
    as_app("status").run().await.expect_code(0).expect_stdout("applied   2  b");
    as_app("verify").run().await.expect_code(0);
    as_app("wait").run().await.expect_code(0);
    as_two("status", &database, &folder, &ddl, &app).run().await.expect_code(0);
    let owner = "SELECT tableowner::text FROM pg_tables WHERE tablename = 'a'";
    assert_eq!(database.value::<String>(owner).await, ddl);
    let may = "SELECT coalesce(string_agg(DISTINCT privilege_type::text, ' '), '')
               FROM information_schema.role_table_grants WHERE grantee = ";
    assert_eq!(database.value::<String>(&format!("{may}'{app}'")).await, "SELECT");
}

#[tokio::test]
async fn the_app_s_role_is_let_in_also_when_it_comes_later() {
    let ((database, ddl, app), folder) = (with_roles().await, folder());
    Corveil::migrate(&database, &folder).url(&database.url_as(&ddl)).run().await.expect_code(0);
    let as_app = |subcommand| Corveil::with(subcommand, &database, &folder).url(&database.url_as(&app));
    let refused = as_app("status").run().await.expect_code(2);
    refused
        .expect_stderr("permission denied for table")
        .expect_stderr("hint: use the role that owns the schema");

    // A pod that waits stays: the right may be on its way.
    let wait = as_app("wait").spawn();
    wait.until_it_logs("waiting: the history may not be read yet").await;

    // Nothing is pending, and yet there is something to do.
    as_two("migrate", &database, &folder, &ddl, &app).run().await.expect_code(0);
    wait.wait().await.expect_code(0);
    as_app("status").run().await.expect_code(0);
}

#[tokio::test]
async fn the_app_s_role_is_let_into_a_schema_of_its_own() {
    let ((database, ddl, app), folder) = (with_roles().await, folder());
    database.execute(&format!("CREATE SCHEMA AUTHORIZATION {ddl}")).await;
    database.execute(&format!("ALTER ROLE {app} SET search_path = {ddl}")).await;

    as_two("migrate", &database, &folder, &ddl, &app).run().await.expect_code(0);
    let status = Corveil::with("status", &database, &folder).url(&database.url_as(&app)).run().await;
    status.expect_code(0).expect_stdout("applied   2  b");
}

#[tokio::test]
async fn a_role_that_may_not_create_is_the_configurations_fault() {
    let ((database, _, app), folder) = (with_roles().await, folder());
    database.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC").await;
    let run = Corveil::migrate(&database, &folder).url(&database.url_as(&app)).run().await.expect_code(2);
    let run = run.expect_stderr("permission denied for schema public (SQLSTATE 42501)");
    run.expect_stderr("hint: use the role that owns the schema in `MIGRATE_DATABASE_URL`");
    assert!(database.applied().await.is_empty() && database.is_unlocked().await);
}

#[tokio::test]
async fn settings_of_a_role_do_not_disturb_a_run() {
    for settings in [
        &[
            "statement_timeout = '200ms'",
            "lock_timeout = '1ms'",
            "idle_in_transaction_session_timeout = '1ms'",
            "default_transaction_isolation = 'serializable'",
        ][..],
        &[
            "standard_conforming_strings = off",
            "bytea_output = 'escape'",
            "IntervalStyle = 'sql_standard'",
            "DateStyle = 'German'",
            "client_min_messages = 'error'",
            "quote_all_identifiers = on",
        ],
    ] {
        let (database, ddl, app) = with_roles().await;
        for setting in settings {
            database.execute(&format!("ALTER ROLE {ddl} SET {setting}")).await;
        }
        let folder = Folder::new()
            .file("0001_slow.sql", "CREATE TABLE a (); SELECT pg_sleep(0.3);")
            .file("0002_slow.sql", "-- no-transaction\nSELECT pg_sleep(0.3);\nCREATE TABLE b (id int);")
            .file("0003_index.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY b_id ON b (id);");
        let run = as_two("migrate", &database, &folder, &ddl, &app).run().await;
        assert_eq!(run.code, Some(0), "{settings:?}: {run}");
        assert!(!run.stderr.contains("; retry "), "{settings:?}: {run}");
        assert_eq!(database.applied().await, [1, 2, 3]);
        as_two("migrate", &database, &folder, &ddl, &app).run().await.expect_code(0);
    }
}

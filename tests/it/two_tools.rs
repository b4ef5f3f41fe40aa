//! Another tool that takes no lock, as sqlx-cli, applies a file while Corveil applies it.

use sha2::{Digest, Sha384};
use sqlx::Executor;
use sqlx::postgres::PgConnection;

use crate::support::corveil::Running;
use crate::support::{Corveil, Database, Folder};

/// Applies the file as the other tool does, while Corveil's run is held up in it by `gate`.
async fn overtake(database: &Database, gate: &mut PgConnection, sql: &str, content: &str) {
    database.runner("wait_event_type = 'Lock'").await;
    let checksum = Sha384::digest(content);
    database
        .execute(&format!(
            "{sql}; INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (2, 'b', true, decode('{checksum:x}', 'hex'), 1)"
        ))
        .await;
    gate.execute("COMMIT").await.unwrap();
}

async fn start(content: &str) -> (Database, PgConnection, Folder, Running) {
    let database = Database::fresh().await;
    database.execute("CREATE TABLE gate ()").await;
    let gate = database.begin("LOCK TABLE gate").await;
    let folder = Folder::new()
        .file("0001_a.sql", "CREATE TABLE a ()")
        .file("0002_b.sql", content)
        .file("0003_c.sql", "CREATE TABLE c ()");
    let run = Corveil::migrate(&database, &folder).args(["--lock-timeout", "none"]).spawn();
    (database, gate, folder, run)
}

#[tokio::test]
async fn a_file_that_another_tool_records_first_is_rolled_back_and_the_run_continues() {
    let content = "LOCK TABLE gate; CREATE TABLE IF NOT EXISTS b (); CREATE TABLE ours ();";
    let (database, mut gate, _folder, run) = start(content).await;
    overtake(&database, &mut gate, "CREATE TABLE b ()", content).await;

    let run = run.wait().await.expect_code(0);
    run.expect_stderr("`0002_b.sql` was applied by another tool in the meantime");
    assert_eq!(database.applied().await, [1, 2, 3]);
    assert!(!database.has("ours").await, "Corveil's half of the file was kept");
}

#[tokio::test]
async fn a_file_that_fails_because_another_tool_applied_it_is_no_failure() {
    let content = "LOCK TABLE gate; CREATE TABLE b ();";
    let (database, mut gate, _folder, run) = start(content).await;
    overtake(&database, &mut gate, "CREATE TABLE b ()", content).await;

    run.wait().await.expect_code(0);
    assert_eq!(database.applied().await, [1, 2, 3]);
}

#[tokio::test]
async fn a_file_without_a_transaction_may_be_overtaken_too() {
    for content in [
        "-- no-transaction\nINSERT INTO gate DEFAULT VALUES; CREATE TABLE b ();",
        "-- no-transaction\nINSERT INTO gate DEFAULT VALUES; CREATE TABLE IF NOT EXISTS b ();",
    ] {
        let (database, mut gate, _folder, run) = start(content).await;
        overtake(&database, &mut gate, "CREATE TABLE b ()", content).await;

        run.wait().await.expect_code(0).expect_stderr("was applied by another tool in the meantime");
        assert_eq!(database.applied().await, [1, 2, 3]);
        assert_eq!(database.value::<i64>("SELECT count(*) FROM _corveil_statements").await, 0);
    }
}

#[tokio::test]
async fn another_file_of_the_same_version_is_a_mismatch() {
    for content in [
        "LOCK TABLE gate; CREATE TABLE b ();",
        "-- no-transaction\nINSERT INTO gate DEFAULT VALUES; SELECT 1;",
    ] {
        let (database, mut gate, folder, run) = start(content).await;
        overtake(&database, &mut gate, "SELECT 1", "CREATE TABLE something_else ()").await;

        let run = run.wait().await.expect_code(4);
        run.expect_stderr("`0002_b.sql` was applied by another tool in the meantime, with other content");
        assert!(!database.has("b").await && !database.has("c").await);
        let run = Corveil::migrate(&database, &folder).run().await;
        run.expect_code(4).expect_stderr("`0002_b.sql` was edited");
    }
}

/// sqlx's statement (`sqlx-postgres` 0.9, `migrate.rs`).
const HISTORY: &str =
    "CREATE TABLE IF NOT EXISTS _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,
    installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, checksum BYTEA NOT NULL,
    execution_time BIGINT NOT NULL)";

#[tokio::test]
async fn a_history_that_another_tool_makes_at_the_same_moment_is_used() {
    let (database, folder) = (Database::fresh().await, Folder::new().file("1_a.sql", "CREATE TABLE a ()"));
    let mut rival = database.begin(HISTORY).await;
    let run = Corveil::migrate(&database, &folder).spawn();
    database.runner("wait_event_type = 'Lock'").await;
    rival.execute("COMMIT").await.unwrap();
    run.wait().await.expect_code(0).expect_stdout("applied 1 migration");
    assert_eq!(database.applied().await, [1]);
}

#[tokio::test]
async fn tables_are_made_again_whichever_error_shows_that_another_process_makes_them() {
    // The moment between two checks of the server cannot be hit from outside, so an event trigger raises the server's error.
    for code in ["42P07", "42710", "23505"] {
        let (database, folder) =
            (Database::fresh().await, Folder::new().file("1_a.sql", "CREATE TABLE a ()"));
        database
            .execute(&format!(
                "CREATE SEQUENCE tries;
                 CREATE FUNCTION rival() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
                   IF pg_catalog.nextval('public.tries') = 1 THEN RAISE 'it exists' USING ERRCODE = '{code}'; END IF;
                 END $$;
                 CREATE EVENT TRIGGER rival ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION rival()"
            ))
            .await;
        Corveil::migrate(&database, &folder).run().await.expect_code(0);
        assert_eq!(database.applied().await, [1], "{code}");
    }
}

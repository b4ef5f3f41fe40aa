//! CREATE INDEX CONCURRENTLY that fails, is repeated, is left INVALID, and waits for readers.

use std::time::Duration;

use serde_json::json;
use sqlx::Executor;

use crate::support::corveil::Outcome;
use crate::support::{Corveil, Database, Folder, wait_until};

const FIRST: &str =
    "CREATE TABLE t (a int, b int); CREATE TABLE other (a int); INSERT INTO t VALUES (1, 1), (1, 2)";

fn folder(second: &str) -> Folder {
    Folder::new().file("1_first.sql", FIRST).file("2_index.sql", format!("-- no-transaction\n{second}"))
}

async fn migrate(database: &Database, folder: &Folder) -> Outcome {
    Corveil::migrate(database, folder).run().await
}

/// The validity of each index of `t`.
async fn validity(database: &Database) -> Vec<bool> {
    database.values("SELECT indisvalid FROM pg_index WHERE indrelid = 't'::regclass ORDER BY 1").await
}

/// A database whose migrations are applied and whose index `i` became INVALID afterwards.
async fn spoilt(folder: &Folder) -> Database {
    let database = Database::fresh().await;
    migrate(&database, folder).await.expect_code(0);
    database.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'i'::regclass").await;
    database
}

#[tokio::test]
async fn an_index_that_failed_is_built_again_once_its_data_allow_it() {
    for statement in [
        "CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)",
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)",
        "CREATE UNIQUE INDEX CONCURRENTLY ON t (a)",
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS \"I\" ON public.\"t\" (a);\nCREATE INDEX CONCURRENTLY ON t (b)",
    ] {
        let (database, folder) = (Database::fresh().await, folder(statement));
        let run = migrate(&database, &folder).await.expect_code(3);
        run.expect_stderr("(SQLSTATE 23505)").expect_stderr("2_index.sql:2:1");
        assert_eq!(validity(&database).await, [false], "{statement}");
        // Not even a second failure leaves a second index.
        migrate(&database, &folder).await.expect_code(3);
        assert_eq!(validity(&database).await, [false], "{statement}");

        database.execute("DELETE FROM t WHERE b = 2").await;
        let run = migrate(&database, &folder).await.expect_code(0);
        run.expect_stderr("dropping INVALID index \"public\".");
        assert!(validity(&database).await.iter().all(|valid| *valid), "{statement}");
        assert_eq!(database.applied().await, [1, 2]);
    }
}

#[tokio::test]
async fn the_statement_of_a_failed_index_may_be_changed() {
    let (database, folder) = (Database::fresh().await, folder("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)"));
    migrate(&database, &folder).await.expect_code(3);
    folder.put(
        "2_index.sql",
        "-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a, b)",
    );
    migrate(&database, &folder).await.expect_code(0);
    assert_eq!(validity(&database).await, [true]);
}

#[tokio::test]
async fn a_valid_index_is_never_dropped() {
    let database = Database::fresh().await;
    let folder = folder("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)");
    Corveil::migrate(&database, &folder).args(["--target", "1"]).run().await.expect_code(0);
    database.execute("CREATE INDEX i ON t (a)").await;
    let oid = "SELECT 'i'::regclass::oid::int8";
    let before: i64 = database.value(oid).await;
    migrate(&database, &folder).await.expect_code(0);
    assert_eq!(database.value::<i64>(oid).await, before);
}

#[tokio::test]
async fn an_invalid_index_with_nothing_pending_fails_with_the_command_that_mends_it() {
    let folder = folder("CREATE INDEX CONCURRENTLY i ON t (a)");
    let database = spoilt(&folder).await;
    let run = Corveil::migrate(&database, &folder).args(["--output", "json"]).run().await.expect_code(4);
    let finding = &run.json()["error"]["findings"][0];
    assert_eq!(finding["kind"], json!("invalid_index"));
    let hint = finding["hint"].as_str().unwrap();
    assert_eq!(hint, "`psql -c 'REINDEX INDEX CONCURRENTLY \"public\".\"i\"'`");

    database.execute(hint.split('\'').nth(1).unwrap()).await;
    migrate(&database, &folder).await.expect_code(0);
}

#[tokio::test]
async fn a_run_does_not_end_well_while_an_older_index_of_ours_is_invalid() {
    let folder = folder("CREATE INDEX CONCURRENTLY i ON t (a)");
    let database = spoilt(&folder).await;
    folder.put("3_more.sql", "CREATE TABLE more ()");
    migrate(&database, &folder)
        .await
        .expect_code(4)
        .expect_stderr("index \"public\".\"i\" on table \"t\" is INVALID");
    assert_eq!(database.applied().await, [1, 2, 3]);
}

#[tokio::test]
async fn an_index_without_concurrently_that_became_invalid_is_ours_too() {
    let folder = Folder::new().file("1_first.sql", format!("{FIRST}; CREATE INDEX i ON t (a)"));
    let database = spoilt(&folder).await;
    migrate(&database, &folder).await.expect_code(4);
}

#[tokio::test]
async fn an_invalid_index_of_somebody_else_concerns_verify_alone() {
    let folder = folder("CREATE INDEX CONCURRENTLY j ON t (a)");
    let database = Database::fresh().await;
    migrate(&database, &folder).await.expect_code(0);
    database.execute("CREATE INDEX i ON t (b)").await;
    database.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'i'::regclass").await;
    migrate(&database, &folder).await.expect_code(0);

    let run = Corveil::with("verify", &database, &folder).run().await.expect_code(4);
    run.expect_stdout("index \"public\".\"i\" on table \"t\" is INVALID")
        .expect_stdout("REINDEX INDEX CONCURRENTLY \"public\".\"i\"");
}

#[tokio::test]
async fn an_index_on_only_the_parent_is_invalid_by_design() {
    let database = Database::fresh().await;
    let folder = Folder::new()
        .file("1_a.sql", "CREATE TABLE t (a int) PARTITION BY RANGE (a); CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (9)")
        .file("2_b.sql", "CREATE INDEX i ON ONLY t (a)")
        .file("3_c.sql", "-- no-transaction\nCREATE INDEX IF NOT EXISTS i ON ONLY t (a)");
    migrate(&database, &folder).await.expect_code(0);
    assert_eq!(validity(&database).await, [false]);
    migrate(&database, &folder).await.expect_code(0);
    Corveil::with("verify", &database, &folder).run().await.expect_code(0);

    folder.put(
        "4_d.sql",
        "-- no-transaction\nCREATE INDEX CONCURRENTLY i1 ON t1 (a); ALTER INDEX i ATTACH PARTITION i1",
    );
    migrate(&database, &folder).await.expect_code(0);
    assert_eq!(validity(&database).await, [true]);
}

#[tokio::test]
async fn a_concurrent_build_waits_longer_than_the_lock_timeout_for_a_reader_of_another_table() {
    let database = Database::fresh().await;
    let folder = folder(
        "CREATE INDEX CONCURRENTLY i ON t (a);\nDROP INDEX CONCURRENTLY i;\nCREATE INDEX CONCURRENTLY i ON t (b);",
    );
    Corveil::migrate(&database, &folder).args(["--target", "1"]).run().await.expect_code(0);
    let mut reader = database.connect().await;
    reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM other").await.unwrap();

    let run = Corveil::migrate(&database, &folder).args(["--lock-timeout", "50ms", "--retries", "0"]).spawn();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
                 AND query LIKE 'CREATE INDEX%' AND clock_timestamp() - query_start > interval '200 ms'";
    wait_until("the build has waited for long", Duration::from_secs(20), async || {
        database.value::<i64>(waits).await == 1
    })
    .await;
    reader.execute("COMMIT").await.unwrap();
    run.wait().await.expect_code(0).expect_no_stderr("retry");
    assert_eq!(validity(&database).await, [true]);
}

#[tokio::test]
async fn a_concurrent_build_has_a_lock_timeout_when_the_file_asks_for_one() {
    let database = Database::fresh().await;
    for own in [
        "-- corveil:lock-timeout 50ms\n",
        "SET lock_timeout = '50ms';\n",
        "SET SESSION lock_timeout TO 50;\n",
    ] {
        database.clear().await;
        let folder = folder(&format!("{own}CREATE INDEX CONCURRENTLY i ON t (a)"));
        Corveil::migrate(&database, &folder).args(["--target", "1"]).run().await.expect_code(0);
        let mut reader = database.connect().await;
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM other").await.unwrap();

        let run = Corveil::migrate(&database, &folder).args(["--retries", "0"]).run().await.expect_code(75);
        run.expect_stderr("(SQLSTATE 55P03)");
        assert_eq!(validity(&database).await, [false]);
        // The INVALID index is dropped under the same timeout.
        reader.execute("COMMIT").await.unwrap();
        migrate(&database, &folder).await.expect_code(0);
        assert_eq!(validity(&database).await, [true]);
    }
}

#[tokio::test]
async fn an_ordinary_statement_after_a_concurrent_one_has_its_lock_timeout_again() {
    let database = Database::fresh().await;
    let folder = folder(
        "CREATE INDEX CONCURRENTLY i ON t (a);\nCREATE TABLE seen AS SELECT current_setting('lock_timeout') AS value",
    );
    migrate(&database, &folder).await.expect_code(0);
    assert_eq!(database.value::<String>("SELECT value FROM seen").await, "2s");
}

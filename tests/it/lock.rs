//! The migration lock: one run at a time, Corveil's or sqlx's, and no session left that holds it.

use std::time::Duration;

use sqlx::migrate::Migrate;
use sqlx::{Connection, Executor};

use crate::support::inspect::backend;
use crate::support::{Corveil, Database, Folder, SOON};

#[tokio::test]
async fn eight_runs_at_once_apply_each_file_once_and_all_pass() {
    let database = Database::fresh().await;
    let folder = Folder::new()
        .file("0001_log.sql", "CREATE TABLE log (version int); INSERT INTO log VALUES (1)")
        .file("0002_a.sql", "CREATE TABLE a (id int); INSERT INTO log VALUES (2)")
        .file("0003_index.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY a_id ON a (id);")
        .file("0004_units.sql", "-- no-transaction\nBEGIN; INSERT INTO log VALUES (4); COMMIT;\nSELECT 1;")
        .file("0005_b.sql", "CREATE TABLE b (id int); INSERT INTO log VALUES (5)");

    let runs: Vec<_> = (0..8).map(|_| Corveil::migrate(&database, &folder).spawn()).collect();
    for run in runs {
        run.wait().await.expect_code(0);
    }

    assert_eq!(database.applied().await, [1, 2, 3, 4, 5]);
    assert_eq!(database.values::<i32>("SELECT version FROM log ORDER BY 1").await, [1, 2, 4, 5]);
    assert!(
        database.value::<bool>("SELECT indisvalid FROM pg_index WHERE indexrelid = 'a_id'::regclass").await
    );
    // Only the one that had something to do leaves a row.
    assert_eq!(database.values::<String>("SELECT outcome FROM _corveil_runs").await, ["succeeded"]);
}

#[tokio::test]
async fn an_index_is_built_concurrently_while_other_runs_wait_for_the_lock() {
    let database = Database::fresh().await;
    database.execute("CREATE TABLE t (id int)").await;
    let folder = Folder::new()
        .file("0001_index.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY t_id ON t (id);")
        .file("0002_a.sql", "CREATE TABLE a ()");
    // The build waits for this transaction, long enough for the others to come.
    let writer = database.begin("LOCK TABLE t IN ROW EXCLUSIVE MODE").await;

    let first = Corveil::migrate(&database, &folder).spawn();
    database.runner("query LIKE 'CREATE INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'").await;
    let others: Vec<_> = (0..3).map(|_| Corveil::migrate(&database, &folder).spawn()).collect();
    for other in &others {
        other.until_it_logs("waiting for the migration lock").await;
    }
    writer.close().await.unwrap();

    first.wait().await.expect_code(0);
    for other in others {
        other.wait().await.expect_code(0).expect_stderr("CREATE INDEX CONCURRENTLY");
    }
    assert_eq!(database.applied().await, [1, 2]);
    let invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
    assert_eq!(database.value::<i64>(invalid).await, 0);
}

#[tokio::test]
async fn a_run_waits_for_sqlx_and_names_its_session() {
    let database = Database::fresh().await;
    let folder = Folder::new().file("0001_a.sql", "CREATE TABLE a ()");
    let mut sqlx = database.connect().await;
    sqlx.execute("SET application_name = 'the other tool'").await.unwrap();
    sqlx.lock().await.unwrap();

    let run = Corveil::migrate(&database, &folder).spawn();
    run.until_it_logs("waiting for the migration lock").await;
    assert!(!database.has("a").await);
    sqlx.unlock().await.unwrap();

    let pid = backend(&mut sqlx).await;
    run.wait().await.expect_code(0).expect_stderr(&format!("pid {pid} (the other tool, 127.0.0.1, idle"));
    assert_eq!(database.applied().await, [1]);
}

#[tokio::test]
async fn a_run_that_does_not_get_the_lock_in_time_names_the_holder() {
    let database = Database::fresh().await;
    let folder = Folder::new().file("0001_a.sql", "CREATE TABLE a ()");
    let mut sqlx = database.connect().await;
    sqlx.lock().await.unwrap();
    let pid = backend(&mut sqlx).await;

    let outcome = Corveil::migrate(&database, &folder).args(["--lock-wait", "300ms"]).run().await;
    let outcome = outcome.expect_code(75).expect_stderr("not obtained within 300ms: it is held by pid");
    assert!(outcome.termination_log.contains(&format!("pid {pid} (it, ")), "{outcome}");
    assert!(database.applied().await.is_empty());
}

#[tokio::test]
async fn a_run_with_nothing_to_do_needs_no_lock() {
    let database = Database::fresh().await;
    let folder = Folder::new().file("0001_a.sql", "CREATE TABLE a ()");
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    let mut sqlx = database.connect().await;
    sqlx.lock().await.unwrap();

    let run = Corveil::migrate(&database, &folder).args(["--lock-wait", "0s"]).run().await;
    run.expect_code(0).expect_stdout("nothing to do");
}

#[tokio::test]
async fn sqlx_waits_for_a_run() {
    let database = Database::fresh().await;
    let folder = Folder::new().file("0001_gate.sql", "LOCK TABLE gate");
    database.execute("CREATE TABLE gate ()").await;
    let gate = database.begin("LOCK TABLE gate").await;
    let run = Corveil::migrate(&database, &folder).args(["--lock-timeout", "none"]).spawn();
    database.runner("query LIKE '%LOCK TABLE gate%' AND wait_event_type = 'Lock'").await;

    let mut sqlx = database.connect().await;
    let mut lock = sqlx.lock();
    let early = tokio::time::timeout(Duration::from_millis(200), &mut lock).await;
    assert!(early.is_err(), "sqlx took the lock of a run at work");

    gate.close().await.unwrap();
    run.wait().await.expect_code(0);
    tokio::time::timeout(SOON, lock).await.expect("the lock is free").unwrap();
}

#[tokio::test]
async fn a_file_that_frees_the_lock_ends_the_run_before_the_next_one() {
    for first_line in ["", "-- no-transaction\n"] {
        let database = Database::fresh().await;
        let folder = Folder::new()
            .file(
                "0001_free.sql",
                format!("{first_line}CREATE TABLE a ();\nSELECT pg_advisory_unlock_all();"),
            )
            .file("0002_b.sql", "CREATE TABLE b ()");

        let run = Corveil::migrate(&database, &folder).run().await.expect_code(75);
        let run =
            run.expect_stderr("the migration lock was lost while `0001_free.sql` ran; the file is applied");
        run.expect_stderr("leave the file as it is, since it is applied");
        assert_eq!(database.applied().await, [1]);
        assert!(!database.has("b").await);

        Corveil::migrate(&database, &folder).run().await.expect_code(0);
        assert_eq!(database.applied().await, [1, 2]);
    }
}

#[tokio::test]
async fn the_lock_is_free_when_a_run_has_ended_well_or_badly() {
    let good = Folder::new().file("0001_a.sql", "CREATE TABLE a ()");
    let bad = Folder::new().file("0001_a.sql", "CREATE TABLE a (nothing)");
    let half = Folder::new().file("0001_a.sql", "-- no-transaction\nCREATE TABLE a (); SELECT 1/0;");
    for (before, folder, code) in
        [("", &good, 0), ("", &bad, 3), ("", &half, 3), ("CREATE TABLE a ()", &good, 4)]
    {
        let database = Database::fresh().await;
        database.execute(before).await;
        Corveil::migrate(&database, folder).run().await.expect_code(code);
        assert!(database.is_unlocked().await, "after exit code {code}");
    }
}

#[tokio::test]
async fn the_server_knows_what_a_run_is_doing_and_watches_its_connection() {
    let database = Database::fresh().await;
    let seen = "SELECT current_setting('application_name') || ', ' ||
                current_setting('client_connection_check_interval')";
    let folder = Folder::new()
        .file("0001_one.sql", format!("CREATE TABLE one AS {seen} AS seen"))
        .file("0002_two.sql", format!("-- no-transaction\nCREATE TABLE two AS {seen} AS seen"))
        .file("0003_three.sql", format!("CREATE TABLE three AS {seen} AS seen"));

    Corveil::migrate(&database, &folder).env("HOSTNAME", "pod-7").run().await.expect_code(0);
    for (table, file) in [("one", "0001_one.sql"), ("two", "0002_two.sql"), ("three", "0003_three.sql")] {
        assert_eq!(
            database.value::<String>(&format!("TABLE {table}")).await,
            format!("corveil/{} pod-7 {file}, 1s", env!("CARGO_PKG_VERSION"))
        );
    }
}

#[tokio::test]
async fn other_databases_have_locks_of_their_own() {
    let (one, other) = (Database::fresh().await, Database::fresh().await);
    let mut sqlx = one.connect().await;
    sqlx.lock().await.unwrap();

    let folder = Folder::new().file("0001_a.sql", "CREATE TABLE a ()");
    Corveil::migrate(&other, &folder).args(["--lock-wait", "0s"]).run().await.expect_code(0);
    assert!(!one.is_unlocked().await);
}

//! Locks and timeouts: a blocked file gives up its lock after a moment, tries again, and names the blockers.

use std::time::{Duration, Instant};

use sqlx::migrate::Migrate;
use sqlx::{Connection, Executor};

use crate::support::inspect::{SOON, ask, backend};
use crate::support::{Corveil, Database, Folder, wait_until};

fn alter() -> Folder {
    Folder::new().file("0001_alter.sql", "ALTER TABLE t ADD COLUMN a int")
}

async fn with_table() -> Database {
    let database = Database::fresh().await;
    database.execute("CREATE TABLE t (id int)").await;
    database
}

#[tokio::test]
async fn readers_queued_after_a_blocked_alter_wait_no_longer_than_lock_timeout() {
    const LOCK_TIMEOUT: Duration = Duration::from_millis(400);
    let (database, folder) = (with_table().await, alter());
    let mut reader = database.begin("SELECT FROM t").await;
    let run = Corveil::migrate(&database, &folder).args(["--lock-timeout", "400ms"]).spawn();

    // Others read on, again and again, while the first one stays.
    let mut other = database.connect().await;
    let mut longest = Duration::ZERO;
    wait_until("the file was tried three times", SOON, async || {
        let start = Instant::now();
        other.execute("SELECT FROM t").await.unwrap();
        longest = longest.max(start.elapsed());
        run.stderr().contains("retry 2 of 10")
    })
    .await;
    assert!(longest > LOCK_TIMEOUT / 4, "no reader was ever queued after the file: {longest:?}");
    assert!(longest < LOCK_TIMEOUT + Duration::from_secs(1), "{longest:?}");

    let pid = backend(&mut reader).await;
    reader.close().await.unwrap();
    let outcome = run.wait().await.expect_code(0).expect_stderr("(SQLSTATE 55P03); retry 1 of 10 in 0.");
    outcome.expect_stderr(&format!("blocked by pid {pid} (it, 127.0.0.1, idle in transaction"));
    assert_eq!(database.applied().await, [1]);
}

#[tokio::test]
async fn a_file_that_stays_blocked_ends_with_the_names_of_its_blockers() {
    let (database, folder) = (with_table().await, alter());
    let (mut one, mut other) = (database.begin("SELECT FROM t").await, database.begin("TABLE t").await);
    let pids = [backend(&mut one).await, backend(&mut other).await];

    for (retries, tries) in [("0", 1), ("1", 2)] {
        let run = Corveil::migrate(&database, &folder);
        let outcome = run.args(["--lock-timeout", "200ms", "--retries", retries]).run().await;
        let outcome = outcome.expect_code(75).expect_stderr("SQLSTATE 55P03").expect_stderr("hint: let the ");
        for pid in pids {
            assert!(outcome.stderr.contains(&format!("  blocked by: pid {pid} (it, ")), "{outcome}");
            assert!(outcome.termination_log.contains(&format!("\"pid {pid} (it, ")), "{outcome}");
        }
        assert_eq!(outcome.stderr.matches("; retry ").count(), tries - 1, "{outcome}");
        assert!(outcome.termination_log.contains(&format!("\"attempts\":{tries}")), "{outcome}");
    }
    assert!(database.applied().await.is_empty());
    assert!(database.is_unlocked().await);
}

#[tokio::test]
async fn a_statement_outside_a_transaction_is_tried_again_too() {
    let database = with_table().await;
    let reader = database.begin("SELECT FROM t").await;
    let content = "-- no-transaction\nCREATE TABLE b ();\nALTER TABLE t ADD COLUMN a int;";
    let folder = Folder::new().file("0001_alter.sql", content);
    let run = Corveil::migrate(&database, &folder).args(["--lock-timeout", "100ms"]).spawn();
    run.until_it_logs("retry 1 of 10").await;
    reader.close().await.unwrap();

    run.wait().await.expect_code(0);
    assert_eq!(database.applied().await, [1]);
}

#[tokio::test]
async fn a_deadlock_is_tried_again() {
    let database = Database::fresh().await;
    database.execute("CREATE TABLE a (); CREATE TABLE b ()").await;
    let folder = Folder::new().file("0001_lock.sql", "LOCK TABLE a; LOCK TABLE b;");
    // The server cancels the session that checks for the deadlock first: this session never does.
    let mut other = database.begin("SET deadlock_timeout = '1h'; LOCK TABLE b").await;
    let run = Corveil::migrate(&database, &folder).args(["--lock-timeout", "none"]).spawn();
    database.runner("query LIKE '%LOCK TABLE b%' AND wait_event_type = 'Lock'").await;
    other.execute("LOCK TABLE a; COMMIT").await.unwrap();

    let run = run.wait().await.expect_code(0).expect_stderr("(SQLSTATE 40P01) [Process ");
    run.expect_stderr("; retry 1 of 10 in 0.");
    assert_eq!(database.applied().await, [1]);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_tried_again_and_then_given_up() {
    for first_line in ["", "-- no-transaction\n"] {
        let database = Database::fresh().await;
        let folder = Folder::new().file("0001_sleep.sql", format!("{first_line}SELECT pg_sleep(60);"));
        let run =
            Corveil::migrate(&database, &folder).args(["--statement-timeout", "200ms", "--retries", "1"]);
        let outcome = run.run().await.expect_code(75).expect_stderr("(SQLSTATE 57014); retry 1 of 1");
        outcome.expect_stderr("  tries: 2\n");
        assert!(database.applied().await.is_empty());
    }
}

#[tokio::test]
async fn a_cancellation_by_an_administrator_is_not_a_timeout() {
    let database = Database::fresh().await;
    let folder = Folder::new().file("0001_sleep.sql", "SELECT pg_sleep(60)");
    for timeout in ["none", "30s"] {
        let run = Corveil::migrate(&database, &folder).args(["--statement-timeout", timeout]).spawn();
        let pid = database.sleeper("0001_sleep.sql").await;
        assert!(database.value::<bool>(&format!("SELECT pg_cancel_backend({pid})")).await);

        // An administrator cancelled it, so it is not retried.
        let outcome = run.wait().await.expect_code(75).expect_stderr("SQLSTATE 57014");
        assert!(!outcome.stderr.contains("; retry "), "{outcome}");
        assert!(database.applied().await.is_empty());
    }
}

#[tokio::test]
async fn a_concurrent_build_outlasts_the_lock_timeout() {
    let database = with_table().await;
    let content = "-- no-transaction\nCREATE INDEX CONCURRENTLY t_id ON t (id);";
    let folder = Folder::new().file("0001_i.sql", content);
    // A reader of another table, whose snapshot the build waits for.
    let mut reader = database.connect().await;
    reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_class LIMIT 1").await.unwrap();
    let run = Corveil::migrate(&database, &folder).args(["--lock-timeout", "10ms", "--retries", "0"]).spawn();
    let blocked = "query LIKE 'CREATE INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'
                   AND query_start < clock_timestamp() - interval '200 ms'";
    database.runner(blocked).await;
    reader.close().await.unwrap();

    run.wait().await.expect_code(0);
    assert!(
        database.value::<bool>("SELECT indisvalid FROM pg_index WHERE indexrelid = 't_id'::regclass").await
    );
}

#[tokio::test]
async fn a_concurrent_build_that_sqlx_deadlocks_is_built_again() {
    let database = with_table().await;
    let content = "-- no-transaction\nCREATE INDEX CONCURRENTLY t_id ON t (id);";
    let folder = Folder::new().file("0001_i.sql", content);
    let writer = database.begin("LOCK TABLE t IN ROW EXCLUSIVE MODE").await;
    let run = Corveil::migrate(&database, &folder).spawn();
    database.runner("query LIKE 'CREATE INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'").await;

    // sqlx blocks in the lock call, with a snapshot for which the build waits: it waits for itself.
    let mut sqlx = database.connect().await;
    let pid = backend(&mut sqlx).await;
    sqlx.execute("SET deadlock_timeout = '1h'").await.unwrap();
    let mut waiting = tokio::spawn(async move { sqlx.lock().await });
    let mut watch = database.connect().await;
    let is_waiting = format!("SELECT wait_event = 'advisory' FROM pg_stat_activity WHERE pid = {pid}");
    wait_until("sqlx waits", SOON, async || {
        ask::<Option<bool>>(&mut watch, &is_waiting).await == [Some(true)]
    })
    .await;
    writer.close().await.unwrap();

    run.until_it_logs("; retry 1 of 10").await;
    assert!(database.value::<bool>(&format!("SELECT pg_terminate_backend({pid})")).await);
    assert!((&mut waiting).await.unwrap().is_err());
    let run = run.wait().await.expect_code(0).expect_stderr(&format!("blocked by process {pid}."));
    run.expect_stderr("dropping INVALID index \"public\".\"t_id\"");
    assert!(
        database.value::<bool>("SELECT indisvalid FROM pg_index WHERE indexrelid = 't_id'::regclass").await
    );
}

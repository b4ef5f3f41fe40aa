//! Ended from outside, by a signal or by its deadline: promptly, in order, and with nothing left at work on the server.

use std::time::{Duration, Instant};

use sqlx::Connection;
use sqlx::migrate::Migrate;

use crate::support::corveil::{Outcome, Running};
use crate::support::{Corveil, Database, Folder, Proxy, Server};

/// Kubernetes and people are promised that it takes no longer.
const PROMISE: Duration = Duration::from_secs(5);

/// A server sees within a second that its client is gone; the rest is for a busy machine.
const SOON_GONE: Duration = Duration::from_secs(5);

async fn stop(run: Running, signal: &str) -> Outcome {
    let start = Instant::now();
    run.signal(signal).await;
    let outcome = run.wait().await.expect_code(75).expect_stderr(&format!("stopped by SIG{signal}"));
    assert!(start.elapsed() < PROMISE, "it took {:?}: {outcome}", start.elapsed());
    assert!(outcome.termination_log.starts_with(&format!("stopped by SIG{signal}")), "{outcome}");
    outcome
}

#[tokio::test]
async fn a_signal_cancels_a_statement_and_rolls_its_file_back() {
    for signal in ["TERM", "INT"] {
        let database = Database::fresh().await;
        let folder = Folder::new()
            .file("0001_a.sql", "CREATE TABLE a ()")
            .file("0002_b.sql", "CREATE TABLE b (); SELECT pg_sleep(60);")
            .file("0003_c.sql", "CREATE TABLE c ()");
        let run = Corveil::migrate(&database, &folder).spawn();
        database.sleeper("0002_b.sql").await;

        stop(run, signal).await.expect_stderr("in `0002_b.sql`, which was rolled back whole");
        assert!(database.is_unlocked().await);
        database.wait_until_left(SOON_GONE).await;
        assert_eq!(database.applied().await, [1]);
        assert!(!database.has("b").await);
        let outcome = "SELECT outcome || ' ' || exit_code || ' ' || to_version FROM _corveil_runs";
        assert_eq!(database.value::<String>(outcome).await, "failed 75 1");
    }
}

#[tokio::test]
async fn a_signal_cancels_a_statement_outside_a_transaction_and_the_next_run_resumes_there() {
    for signal in ["TERM", "INT"] {
        let database = Database::fresh().await;
        let begin = "-- no-transaction\nCREATE TABLE a ();\n";
        let folder = Folder::new().file("0001_a.sql", format!("{begin}SELECT pg_sleep(60);"));
        let run = Corveil::migrate(&database, &folder).spawn();
        database.sleeper("0001_a.sql").await;

        stop(run, signal).await.expect_stderr("in `0001_a.sql`; 1 of its 2 statements are done");
        assert!(database.is_unlocked().await);
        database.wait_until_left(SOON_GONE).await;
        assert!(database.applied().await.is_empty());

        // CREATE TABLE would fail if it ran a second time.
        folder.put("0001_a.sql", format!("{begin}SELECT 1;"));
        Corveil::migrate(&database, &folder).run().await.expect_code(0);
        assert_eq!(database.applied().await, [1]);
    }
}

#[tokio::test]
async fn a_signal_during_a_concurrent_build_leaves_work_that_the_next_run_does() {
    let database = Database::fresh().await;
    database.execute("CREATE TABLE t (id int)").await;
    let folder =
        Folder::new().file("0001_i.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY t_id ON t (id);");
    let writer = database.begin("LOCK TABLE t IN ROW EXCLUSIVE MODE").await;
    let run = Corveil::migrate(&database, &folder).spawn();
    database.runner("query LIKE 'CREATE INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'").await;

    stop(run, "TERM").await;
    writer.close().await.unwrap();
    let valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_id'::regclass";
    assert!(!database.value::<bool>(valid).await);
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    assert!(database.value::<bool>(valid).await);
}

#[tokio::test]
async fn a_statement_that_swallows_its_cancellation_ends_with_its_session() {
    let database = Database::fresh().await;
    let folder = Folder::new().file(
        "0001_deaf.sql",
        "DO $$ BEGIN
           LOOP BEGIN PERFORM pg_sleep(1); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP;
         END $$",
    );
    let run = Corveil::migrate(&database, &folder).spawn();
    database.sleeper("0001_deaf.sql").await;

    stop(run, "TERM").await;
    database.wait_until_left(SOON_GONE).await;
    assert!(database.applied().await.is_empty());
}

#[tokio::test]
async fn a_signal_is_never_a_success_even_if_the_last_file_took_no_notice() {
    let database = Database::fresh().await;
    let shrug =
        "DO $$ BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN CREATE TABLE a (); END $$";
    let folder = Folder::new().file("0001_a.sql", shrug);
    let run = Corveil::migrate(&database, &folder).spawn();
    database.sleeper("0001_a.sql").await;

    stop(run, "TERM").await;
    assert!(database.is_unlocked().await);
    assert_eq!(database.applied().await, [1]);
    Corveil::migrate(&database, &folder).run().await.expect_code(0).expect_stdout("nothing to do");
}

#[tokio::test]
async fn a_signal_ends_every_kind_of_waiting() {
    let folder = Folder::new().file("0001_a.sql", "ALTER TABLE t ADD COLUMN a int");
    for signal in ["TERM", "INT"] {
        let database = Database::fresh().await;
        database.execute("CREATE TABLE t ()").await;

        let mut sqlx = database.connect().await;
        sqlx.lock().await.unwrap();
        let run = Corveil::migrate(&database, &folder).spawn();
        run.until_it_logs("waiting for the migration lock").await;
        stop(run, signal).await;
        sqlx.close().await.unwrap();

        let proxy = Proxy::before(Server::shared().port());
        proxy.refuse(true);
        let run = Corveil::migrate(&database, &folder).url(&proxy.url(&database)).spawn();
        run.until_it_logs("waiting for postgres://").await;
        stop(run, signal).await;

        let reader = database.begin("SELECT FROM t").await;
        let run = Corveil::migrate(&database, &folder).args(["--lock-timeout", "50ms"]).spawn();
        run.until_it_logs("retry 2 of 10").await;
        stop(run, signal).await;
        reader.close().await.unwrap();

        database.wait_until_left(SOON_GONE).await;
        assert!(database.applied().await.is_empty());
    }
}

#[tokio::test]
async fn a_killed_run_leaves_neither_lock_nor_statement() {
    let sleep = "SELECT pg_sleep(60);";
    for content in [sleep.to_owned(), format!("-- no-transaction\n{sleep}")] {
        let database = Database::fresh().await;
        let folder = Folder::new().file("0001_a.sql", content);
        let run = Corveil::migrate(&database, &folder).spawn();
        database.sleeper("0001_a.sql").await;
        run.kill().await;

        database.wait_until_left(SOON_GONE).await;
        assert!(database.applied().await.is_empty());
    }
}

#[tokio::test]
async fn a_deadline_cancels_and_is_named() {
    let database = Database::fresh().await;
    let folder = Folder::new().file("0001_a.sql", "CREATE TABLE a (); SELECT pg_sleep(60);");
    let start = Instant::now();
    let run = Corveil::migrate(&database, &folder).args(["--deadline", "1s"]).spawn();
    database.sleeper("0001_a.sql").await;

    let sentence = "stopped by its deadline of 1s in `0001_a.sql`, which was rolled back whole";
    let outcome = run.wait().await.expect_code(75).expect_stderr(sentence).expect_stderr("hint: ");
    let took = start.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(1) + PROMISE).contains(&took), "{took:?}");
    assert!(outcome.termination_log.starts_with(sentence), "{outcome}");
    assert!(database.is_unlocked().await);
    database.wait_until_left(SOON_GONE).await;
    assert!(database.applied().await.is_empty());
}

#[tokio::test]
async fn a_deadline_counts_while_waiting_too() {
    let database = Database::fresh().await;
    let folder = Folder::new().file("0001_a.sql", "CREATE TABLE a ()");
    let mut sqlx = database.connect().await;
    sqlx.lock().await.unwrap();
    let proxy = Proxy::before(Server::shared().port());
    proxy.refuse(true);

    for url in [database.url(), proxy.url(&database)] {
        let run = Corveil::migrate(&database, &folder).url(&url).args(["--deadline", "500ms"]);
        let outcome = run.run().await.expect_code(75).expect_stderr("stopped by its deadline of 500ms");
        assert!(outcome.termination_log.starts_with("stopped by its deadline"), "{outcome}");
    }
}

#[tokio::test]
async fn a_deadline_that_is_not_reached_changes_nothing() {
    let database = Database::fresh().await;
    let folder = Folder::new().file("0001_a.sql", "CREATE TABLE a ()");
    Corveil::migrate(&database, &folder).args(["--deadline", "1h"]).run().await.expect_code(0);
}

#[tokio::test]
async fn a_run_that_cannot_reach_the_server_any_more_still_ends_in_time() {
    let database = Database::fresh().await;
    let folder = Folder::new().file("0001_a.sql", "SELECT pg_sleep(60)");
    let proxy = Proxy::before(Server::shared().port());
    let run = Corveil::migrate(&database, &folder).url(&proxy.url(&database)).spawn();
    database.sleeper("0001_a.sql").await;
    // Packets take so long from now on that no cancellation gets through.
    proxy.slow_down(Duration::from_mins(1));

    stop(run, "TERM").await;
    drop(proxy);
    database.wait_until_left(SOON_GONE).await;
}

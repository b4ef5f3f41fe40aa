//! The connection lost in the middle of a run: what was committed is read from the history, never guessed.

use sqlx::Connection;

use crate::support::inspect::SOON;
use crate::support::{Corveil, Database, Folder, Moment, Proxy, Server, wait_until};

/// A mark in a file, for the proxy to see.
const MARK: &str = "/* here */";

/// Files of which the second sleeps as long as the table of the first has it.
fn sleepy() -> Folder {
    Folder::new()
        .file("0001_knob.sql", "CREATE TABLE knob AS SELECT 60::float8 AS seconds")
        .file("0002_sleep.sql", "CREATE TABLE b (); SELECT pg_sleep(seconds) FROM knob;")
        .file("0003_c.sql", "CREATE TABLE c ()")
}

/// The run after the disturbed one, with nothing to sleep for.
async fn complete(database: &Database, folder: &Folder) {
    database.execute("UPDATE knob SET seconds = 0").await;
    Corveil::migrate(database, folder).run().await.expect_code(0);
    assert_eq!(database.applied().await, [1, 2, 3]);
    assert!(database.has("b").await && database.has("c").await);
}

#[tokio::test]
async fn a_server_that_restarts_or_crashes_costs_the_run_and_nothing_else() {
    let server = Server::private();
    for disturb in [Server::restart, |server: &Server| {
        server.crash();
        server.start();
    }] {
        let (database, folder) = (Database::on(&server).await, sleepy());
        let run = Corveil::migrate(&database, &folder).spawn();
        database.sleeper("0002_sleep.sql").await;
        disturb(&server);

        let outcome = run.wait().await.expect_code(75);
        let outcome = outcome.expect_stderr("connecting again to read what was committed");
        outcome.expect_stderr("everything before `0002_sleep.sql` is applied, and 2 files are pending");
        assert_eq!(database.applied().await, [1]);
        complete(&database, &folder).await;
        // The run that was disturbed records it, with the exit code that its caller gets.
        let outcomes = "SELECT outcome || ' ' || exit_code FROM _corveil_runs ORDER BY id";
        assert_eq!(database.values::<String>(outcomes).await, ["failed 75", "succeeded 0"]);
    }
}

#[tokio::test]
async fn a_server_that_does_not_come_back_is_left_for_the_next_run() {
    let (database, folder) = (Database::fresh().await, sleepy());
    let proxy = Proxy::before(Server::shared().port());
    let run = Corveil::migrate(&database, &folder).url(&proxy.url(&database));
    let run = run.args(["--wait-for-db", "300ms"]).spawn();
    database.sleeper("0002_sleep.sql").await;
    proxy.refuse(true);
    proxy.cut();

    run.wait().await.expect_code(75).expect_stderr("the database did not come back");
    // Only the server is left to record it, which notices within a second.
    database.wait_until_left(SOON).await;
    complete(&database, &folder).await;
}

#[tokio::test]
async fn a_session_that_an_administrator_ends_is_a_lost_connection() {
    let (database, folder) = (Database::fresh().await, sleepy());
    let run = Corveil::migrate(&database, &folder).spawn();
    let pid = database.sleeper("0002_sleep.sql").await;
    assert!(database.value::<bool>(&format!("SELECT pg_terminate_backend({pid})")).await);

    run.wait().await.expect_code(75).expect_stderr("SQLSTATE 57P01");
    complete(&database, &folder).await;
}

#[tokio::test]
async fn a_commit_that_the_server_never_got_is_not_counted() {
    for last in [true, false] {
        let (database, proxy) = (Database::fresh().await, Proxy::before(Server::shared().port()));
        let folder = cut_folder(last);
        proxy.cut_at(Moment::BeforeServerGets(MARK.into()));

        let run = Corveil::migrate(&database, &folder).url(&proxy.url(&database)).run().await;
        run.expect_code(75).expect_stderr("everything before `0002_cut.sql` is applied");
        assert!(proxy.has_cut());
        assert_eq!(database.applied().await, [1]);
        assert!(!database.has("b").await);
        finish(&database, &folder, last).await;
    }
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_counted() {
    let (database, proxy) = (Database::fresh().await, Proxy::before(Server::shared().port()));
    let folder = cut_folder(true);
    proxy.cut_at(Moment::AfterServerGot(MARK.into()));

    // It was the last file, so the schema is as it should be.
    let run = Corveil::migrate(&database, &folder).url(&proxy.url(&database)).run().await;
    let run = run.expect_code(0).expect_stdout("applied 2 migrations");
    run.expect_stderr("everything had been committed before the connection broke");
    assert!(proxy.has_cut());
    assert_eq!(database.applied().await, [1, 2]);
    assert_eq!(database.values::<String>("SELECT outcome FROM _corveil_runs").await, ["succeeded"]);
    assert!(database.is_unlocked().await);
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_with_more_to_do_ends_the_run() {
    let (database, proxy) = (Database::fresh().await, Proxy::before(Server::shared().port()));
    let folder = cut_folder(false);
    proxy.cut_at(Moment::AfterServerGot(MARK.into()));

    let run = Corveil::migrate(&database, &folder).url(&proxy.url(&database)).run().await;
    run.expect_code(75).expect_stderr("everything before `0003_c.sql` is applied, and 1 files are pending");
    assert_eq!(database.applied().await, [1, 2]);
    assert!(!database.has("c").await);
    finish(&database, &folder, false).await;
}

fn cut_folder(last: bool) -> Folder {
    let folder = Folder::new()
        .file("0001_a.sql", "CREATE TABLE a ()")
        .file("0002_cut.sql", format!("CREATE TABLE b (); {MARK}"));
    if last { folder } else { folder.file("0003_c.sql", "CREATE TABLE c ()") }
}

async fn finish(database: &Database, folder: &Folder, last: bool) {
    Corveil::migrate(database, folder).run().await.expect_code(0);
    assert_eq!(database.applied().await, if last { vec![1, 2] } else { vec![1, 2, 3] });
    assert!(database.has("b").await);
}

#[tokio::test]
async fn a_statement_that_outlives_its_client_is_waited_for_before_the_history_is_read() {
    let (database, proxy) = (Database::fresh().await, Proxy::before(Server::shared().port()));
    // The server is not to notice that the client is gone, as on a platform where it cannot.
    let sleep = "SET client_connection_check_interval = 0; SELECT pg_sleep(1.5); CREATE TABLE a ();";
    let folder = Folder::new().file("0001_a.sql", sleep);
    let run = Corveil::migrate(&database, &folder).url(&proxy.url(&database)).spawn();
    let old = database.sleeper("0001_a.sql").await;
    proxy.cut();

    // It commits after the run has connected again: a session that reads the history at once sees nothing of it.
    let run = run.wait().await.expect_code(0).expect_stdout("applied 1 migration");
    run.expect_stderr(&format!("waiting for the migration lock: it is held by pid {old}"));
    assert_eq!(database.applied().await, [1]);
    assert!(database.has("a").await);
}

#[tokio::test]
async fn a_connection_cut_in_a_file_without_a_transaction_is_completed_by_the_next_run() {
    let content = format!(
        "-- no-transaction\nBEGIN; CREATE TABLE a (id int); COMMIT;\nBEGIN; CREATE TABLE b (); {MARK} COMMIT;\n\
         CREATE INDEX CONCURRENTLY a_id ON a (id);"
    );
    for moment in [Moment::BeforeServerGets(MARK.into()), Moment::AfterServerGot(MARK.into())] {
        let (database, proxy) = (Database::fresh().await, Proxy::before(Server::shared().port()));
        let folder = Folder::new().file("0001_a.sql", &content);
        proxy.cut_at(moment);

        let run = Corveil::migrate(&database, &folder).url(&proxy.url(&database)).run().await;
        run.expect_code(75).expect_stderr("`0001_a.sql`");
        Corveil::migrate(&database, &folder).run().await.expect_code(0);
        assert_eq!(database.applied().await, [1]);
        assert!(database.has("b").await && database.has("a_id").await);
    }
}

#[tokio::test]
async fn a_concurrent_build_that_was_cut_is_built_or_found_by_the_next_run() {
    for (moment, name) in [
        (Moment::BeforeServerGets(MARK.into()), "never started"),
        (Moment::AfterServerGot(MARK.into()), "built to its end"),
    ] {
        let (database, proxy) = (Database::fresh().await, Proxy::before(Server::shared().port()));
        database.execute("CREATE TABLE t (id int)").await;
        let content = format!("-- no-transaction\nCREATE INDEX CONCURRENTLY t_id ON t {MARK} (id);");
        let folder = Folder::new().file("0001_i.sql", content);
        proxy.cut_at(moment);

        Corveil::migrate(&database, &folder).url(&proxy.url(&database)).run().await.expect_code(75);
        Corveil::migrate(&database, &folder).run().await.expect_code(0);
        let valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_id'::regclass";
        assert!(database.value::<bool>(valid).await, "{name}");
    }
}

#[tokio::test]
async fn a_connection_lost_while_waiting_for_the_lock_is_for_the_next_run() {
    use sqlx::migrate::Migrate;
    let (database, proxy) = (Database::fresh().await, Proxy::before(Server::shared().port()));
    let folder = Folder::new().file("0001_a.sql", "CREATE TABLE a ()");
    let mut sqlx = database.connect().await;
    sqlx.lock().await.unwrap();
    let run = Corveil::migrate(&database, &folder).url(&proxy.url(&database)).spawn();
    run.until_it_logs("waiting for the migration lock").await;
    proxy.cut();

    run.wait().await.expect_code(75);
    sqlx.close().await.unwrap();
    wait_until("the lock is free", SOON, async || database.is_unlocked().await).await;
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
}

//! A way to the server that loses packets silently, and a server that answers late: nothing waits forever.

use std::time::Duration;

use crate::support::inspect::{SOON, backend};
use crate::support::{Corveil, Database, Folder, Moment, Proxy, Server, wait_until};

/// A mark in a file, for the proxy to see.
const MARK: &str = "/* here */";

/// What every command sends first, once it is connected.
const FIRST_QUESTION: &str = "corveil.path";

fn folder() -> Folder {
    Folder::new().file("0001_a.sql", "CREATE TABLE a ()")
}

/// Every command that asks a database, as users type it.
const COMMANDS: [(&str, &[&str]); 5] = [
    ("migrate", &[]),
    ("migrate", &["--dry-run"]),
    ("status", &[]),
    ("verify", &[]),
    ("adopt", &["--dry-run"]),
];

#[tokio::test]
async fn a_first_answer_that_never_comes_is_not_waited_for_without_end() {
    let (database, folder) = (Database::fresh().await, folder());
    let runs = COMMANDS.map(|(command, flags)| {
        let proxy = Proxy::before(Server::shared().port());
        proxy.cut_at(Moment::Silence(FIRST_QUESTION.into()));
        let run = Corveil::with(command, &database, &folder).url(&proxy.url(&database)).args(flags);
        (proxy, run.args(["--wait-for-db", "1s"]).spawn())
    });
    for (proxy, run) in runs {
        run.wait().await.expect_code(75).expect_stderr("no answer within 15 s");
        assert!(proxy.has_cut());
    }
}

#[tokio::test]
async fn a_history_that_another_session_has_locked_is_named_with_that_session() {
    let (database, folder) = (Database::fresh().await, folder());
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    let mut holder = database.begin("LOCK TABLE _sqlx_migrations IN ACCESS EXCLUSIVE MODE").await;
    let pid = backend(&mut holder).await;
    let runs = COMMANDS.map(|(command, flags)| {
        let run = Corveil::with(command, &database, &folder).args(flags);
        run.args(["--wait-for-db", "1s"]).spawn()
    });
    for run in runs {
        let run = run.wait().await.expect_code(75);
        run.expect_stderr(&format!("another session has locked the migration history: pid {pid}"));
    }
    // None of their sessions is left in the queue behind the lock.
    database.wait_until_left(SOON).await;
}

#[tokio::test]
async fn a_network_that_falls_silent_in_a_statement_is_a_lost_connection() {
    let (database, proxy) = (Database::fresh().await, Proxy::before(Server::shared().port()));
    let folder = Folder::new().file("0001_a.sql", "CREATE TABLE a (); SELECT pg_sleep(600);");
    let run = Corveil::migrate(&database, &folder).url(&proxy.url(&database));
    let run = run.args(["--wait-for-db", "1s"]).spawn();
    database.sleeper("0001_a.sql").await;
    proxy.silence();

    let run = run.wait().await.expect_code(75);
    run.expect_stderr("the server answered none of")
        .expect_stderr("connecting again to read what was committed");
}

#[tokio::test]
async fn an_answer_that_is_lost_while_the_server_is_in_reach_is_read_from_the_history() {
    let first = || Folder::new().file("0001_a.sql", "CREATE TABLE a (id int)");
    let folders = [
        first().file("0002_b.sql", format!("CREATE TABLE b (); {MARK}")),
        first()
            .file("0002_b.sql", format!("-- no-transaction\nCREATE INDEX CONCURRENTLY b ON a {MARK} (id);")),
    ];
    // The record of the statement has its text, so there the mark comes with one of Corveil's own queries.
    let expected = [(0, "its session is no longer at work"), (75, "no answer within 15 s")];
    let mut runs = Vec::new();
    for (folder, expected) in folders.iter().zip(expected) {
        let (database, proxy) = (Database::fresh().await, Proxy::before(Server::shared().port()));
        proxy.cut_at(Moment::Deafness(MARK.into()));
        let run = Corveil::migrate(&database, folder).url(&proxy.url(&database)).spawn();
        runs.push((folder, expected, database, proxy, run));
    }
    for (folder, (code, expected), database, _proxy, run) in runs {
        let run = run.wait().await.expect_code(code).expect_stderr(expected);
        run.expect_stderr("connecting again to read what was committed");
        assert!(database.is_unlocked().await);
        Corveil::migrate(&database, folder).run().await.expect_code(0);
        assert_eq!(database.applied().await, [1, 2]);
    }
}

#[tokio::test]
async fn a_lock_whose_answer_or_return_is_lost_is_not_held_for_long() {
    // Corveil's second connection ends the session: nothing else would, as no packet reaches the server.
    let folder = folder();
    let mut runs = Vec::new();
    for question in [
        "pg_try_advisory_lock",
        "SET LOCAL client_min_messages = error; SELECT pg_catalog.pg_advisory_unlock",
    ] {
        let (database, proxy) = (Database::fresh().await, Proxy::before(Server::shared().port()));
        proxy.cut_at(Moment::Deafness(question.into()));
        let run = Corveil::migrate(&database, &folder).url(&proxy.url(&database)).spawn();
        runs.push((database, proxy, run));
    }
    for (database, proxy, run) in runs {
        run.wait().await;
        assert!(proxy.has_cut());
        wait_until("the lock is free", SOON, async || database.is_unlocked().await).await;
        Corveil::migrate(&database, &folder).run().await.expect_code(0);
    }
}

#[tokio::test]
async fn a_machine_that_vanishes_keeps_the_lock_for_twenty_seconds() {
    let database = Database::fresh().await;
    let folder = Folder::new().file("0001_a.sql", "RESET ALL").file(
        "0002_b.sql",
        "CREATE TABLE settings AS SELECT current_setting('tcp_user_timeout') AS user_timeout",
    );
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    assert_eq!(database.value::<String>("SELECT user_timeout FROM settings").await, "20000");
}

#[tokio::test]
async fn a_synchronous_standby_that_is_away_ends_no_run_with_the_lock_held() {
    let server = Server::private();
    let (database, folder) = (Database::on(&server).await, folder());
    database.execute("ALTER SYSTEM SET synchronous_standby_names = 'away'").await;
    database.execute("SELECT pg_reload_conf()").await;
    let run = Corveil::migrate(&database, &folder).args(["--deadline", "3s"]).run().await;
    run.expect_code(75).expect_stderr("stopped by its deadline of 3s");
    wait_until("the lock is free", Duration::from_secs(2), async || database.is_unlocked().await).await;
    database.wait_until_left(SOON).await;
}

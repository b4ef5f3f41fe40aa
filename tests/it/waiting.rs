//! `corveil wait`: for the database, and for the schema that another process makes.

use std::time::{Duration, Instant};

use sqlx::migrate::Migrate;

use crate::support::{Corveil, Database, Folder, Proxy, SOON, Server, Url, wait_until};

fn two() -> Folder {
    Folder::new().file("0001_a.sql", "CREATE TABLE a ()").file("0002_b.sql", "CREATE TABLE b ()")
}

fn wait_for_schema(database: &Database, folder: &Folder) -> Corveil {
    Corveil::with("wait", database, folder)
}

#[tokio::test]
async fn the_database_is_waited_for_until_it_answers() {
    let database = Database::fresh().await;
    let proxy = Proxy::before(Server::shared().port());
    let wait = || Corveil::new("wait").args(["--for", "db"]).url(&proxy.url(&database));
    wait().run().await.expect_code(0).expect_stdout("the database answers\n");

    proxy.refuse(true);
    let run = wait().spawn();
    run.until_it_logs("waiting: postgres://").await;
    proxy.refuse(false);
    run.wait().await.expect_code(0);

    proxy.refuse(true);
    let start = Instant::now();
    let run = wait().args(["--timeout", "400ms"]).run().await.expect_code(75);
    let run = run.expect_stderr("still waiting after 400ms: postgres://").expect_stderr("hint: ");
    assert!(run.termination_log.starts_with("still waiting after 400ms"), "{run}");
    assert!(start.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn the_database_answers_only_to_the_right_credentials() {
    let database = Database::fresh().await;
    let url = Url { password: "wrong".into(), ..database.url() };
    let run = Corveil::new("wait").args(["--for", "db", "--timeout", "300ms"]).url(&url).run().await;
    run.expect_code(75).expect_stderr("28P01");
}

#[tokio::test]
async fn the_schema_is_waited_for_while_another_process_migrates() {
    let (database, folder) = (Database::fresh().await, two());
    let waits: Vec<_> = (0..2).map(|_| wait_for_schema(&database, &folder).spawn()).collect();
    for wait in &waits {
        wait.until_it_logs("waiting: 2 migrations are not applied, `0001_a.sql` to `0002_b.sql`").await;
    }
    assert!(!database.has("_sqlx_migrations").await, "waiting wrote something");

    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    for wait in waits {
        wait.wait().await.expect_code(0).expect_stdout("every migration of this build is applied\n");
    }
}

#[tokio::test]
async fn a_schema_that_never_comes_is_named_when_the_time_is_up() {
    let (database, folder) = (Database::fresh().await, two());
    Corveil::migrate(&database, &folder).args(["--target", "1"]).run().await.expect_code(0);
    let run = wait_for_schema(&database, &folder).args(["--timeout", "300ms"]).run().await.expect_code(75);
    let run = run.expect_stderr("waiting: migration `0002_b.sql` is not applied");
    run.expect_stderr("still waiting after 300ms: migration `0002_b.sql` is not applied");
}

#[tokio::test]
async fn what_is_missing_is_shown_by_one_restart_and_no_second() {
    let (database, folder) = (Database::fresh().await, two());
    let marker = folder.path().join("restarted");
    let marker = marker.to_str().unwrap();
    let wait = || {
        let restart = ["--restart-after", "300ms", "--restart-marker", marker];
        wait_for_schema(&database, &folder).args(restart)
    };
    let first = wait().run().await.expect_code(75);
    assert!(
        first.termination_log.contains("migrations are not applied, `0001_a.sql` to `0002_b.sql`"),
        "{first}"
    );
    let first =
        first.expect_stderr("hint: run `corveil migrate` with this build; the wait goes on after this");
    assert!(!first.stderr.contains("--timeout"), "{first}");

    let second = wait().args(["--timeout", "2s"]).run().await.expect_code(75);
    second.expect_stderr("still waiting after 2s");
    let third = wait().spawn();
    third.until_it_logs("waiting: 2 migrations").await;
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    third.wait().await.expect_code(0);
}

#[tokio::test]
async fn a_restart_that_cannot_be_remembered_does_not_happen() {
    let (database, folder) = (Database::fresh().await, two());
    let restart = ["--restart-after", "50ms", "--restart-marker", "/nowhere/restarted", "--timeout", "1s"];
    let run = wait_for_schema(&database, &folder).args(restart).run().await.expect_code(75);
    let run = run.expect_stderr("still waiting after 1s");
    let warnings = run.stderr.matches("`--restart-marker /nowhere/restarted` cannot be written").count();
    assert_eq!(warnings, 1, "{run}");
}

#[tokio::test]
async fn a_newer_schema_is_fine() {
    let (database, folder) = (Database::fresh().await, two());
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    folder.remove("0002_b.sql");
    wait_for_schema(&database, &folder).args(["--timeout", "20s"]).run().await.expect_code(0);
}

#[tokio::test]
async fn a_wait_ends_early_when_the_last_run_failed_for_good() {
    let (database, folder) = (Database::fresh().await, two());
    folder.put("0002_b.sql", "CREATE TABLE b (c nothing)");
    let wait = wait_for_schema(&database, &folder).spawn();
    wait.until_it_logs("waiting: ").await;
    Corveil::migrate(&database, &folder).run().await.expect_code(3);

    let outcome = wait.wait().await.expect_code(3).expect_stderr("type \"nothing\" does not exist");
    let sentence =
        "the last run failed on a migration that this build requires: migration `0002_b.sql:1:19` failed";
    assert!(outcome.termination_log.starts_with(sentence), "{outcome}");
}

#[tokio::test]
async fn a_wait_does_not_end_for_what_may_pass_or_was_fixed() {
    let (database, folder) = (Database::fresh().await, two());
    let timeout = ["--timeout", "700ms"];

    // It may pass.
    database.execute("CREATE TABLE t ()").await;
    let reader = database.begin("SELECT FROM t").await;
    folder.put("0002_b.sql", "ALTER TABLE t ADD COLUMN a int");
    let run = Corveil::migrate(&database, &folder).args(["--lock-timeout", "50ms", "--retries", "0"]).run();
    run.await.expect_code(75);
    wait_for_schema(&database, &folder).args(timeout).run().await.expect_code(75);
    drop(reader);

    // A run is under way, which may be one of a fixed build, or one that will report the same by itself.
    folder.put("0002_b.sql", "CREATE TABLE b (c nothing)");
    Corveil::migrate(&database, &folder).run().await.expect_code(3);
    let mut sqlx = database.connect().await;
    sqlx.lock().await.unwrap();
    wait_for_schema(&database, &folder).args(timeout).run().await.expect_code(75);
    sqlx.unlock().await.unwrap();
    wait_for_schema(&database, &folder).args(timeout).run().await.expect_code(3);

    // This build has the file fixed: the failure is another build's.
    folder.put("0002_b.sql", "CREATE TABLE b ()");
    let wait = wait_for_schema(&database, &folder).spawn();
    wait.until_it_logs("waiting: migration `0002_b.sql` is not applied").await;
    wait_for_schema(&database, &folder).args(timeout).run().await.expect_code(75);
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    wait.wait().await.expect_code(0);
}

#[tokio::test]
async fn a_wait_survives_a_server_that_goes_away_and_comes_back() {
    let (database, folder) = (Database::fresh().await, two());
    let proxy = Proxy::before(Server::shared().port());
    let wait = wait_for_schema(&database, &folder).url(&proxy.url(&database)).spawn();
    wait.until_it_logs("waiting: 2 migrations").await;
    proxy.cut();
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    wait.wait().await.expect_code(0);
}

/// Sessions of the program in this database of which `condition` holds.
async fn sessions(database: &Database, condition: &str) -> i64 {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE 'corveil/%' AND {condition}"
    );
    database.value(&sql).await
}

#[tokio::test]
async fn a_waiting_pod_holds_no_connection_between_two_checks() {
    let (database, folder) = (Database::fresh().await, two());
    let wait = wait_for_schema(&database, &folder).spawn();
    wait.until_it_logs("waiting: 2 migrations").await;
    wait_until("it has closed its connection", SOON, async || sessions(&database, "true").await == 0).await;
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    wait.wait().await.expect_code(0);
}

#[tokio::test]
async fn a_check_behind_a_lock_is_ended_by_the_server_and_not_by_its_client() {
    let (database, folder) = (Database::fresh().await, two());
    Corveil::migrate(&database, &folder).args(["--target", "1"]).run().await.expect_code(0);
    let lock = database.begin("LOCK TABLE _sqlx_migrations").await;
    let wait = wait_for_schema(&database, &folder).spawn();
    wait.until_it_logs("waiting: another session has locked the migration history").await;
    let blocked = "wait_event_type = 'Lock'";
    database.runner(blocked).await;
    // Who is stopped can cancel nothing.
    wait.signal("STOP").await;
    wait_until("no session waits for the lock", SOON, async || sessions(&database, blocked).await == 0).await;
    drop(lock);
    wait.signal("CONT").await;
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    wait.wait().await.expect_code(0);
}

#[tokio::test]
async fn many_waiting_pods_leave_a_run_the_connections_that_it_needs() {
    let (database, folder) = (Database::fresh().await, two());
    // A run needs two.
    let role = database.create_role("CONNECTION LIMIT 3").await;
    database.execute(&format!("GRANT ALL ON SCHEMA public TO {role}")).await;
    let url = database.url_as(&role);
    let waits: Vec<_> = (0..15).map(|_| wait_for_schema(&database, &folder).url(&url).spawn()).collect();
    let full = async || waits.iter().any(|wait| wait.stderr().contains("too many connections for role"));
    wait_until("some were refused", SOON, full).await;
    Corveil::migrate(&database, &folder).url(&url).run().await.expect_code(0);
    for wait in waits {
        wait.wait().await.expect_code(0);
    }
}

//! `status`, `verify` and `wait`: what they report, and that they only read.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Connection;
use sqlx::migrate::Migrate;

use crate::support::corveil::Outcome;
use crate::support::{Corveil, Database, Folder, wait_until};

fn three_files() -> Folder {
    Folder::new()
        .file("1_one.sql", "CREATE TABLE one ()")
        .file("2_two.sql", "CREATE TABLE two ()")
        .file("3_three.sql", "CREATE TABLE three ()")
}

async fn applied() -> (Database, Folder) {
    let (database, folder) = (Database::fresh().await, three_files());
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    (database, folder)
}

async fn read(command: &str, database: &Database, folder: &Folder) -> Outcome {
    Corveil::with(command, database, folder).run().await
}

async fn status(database: &Database, folder: &Folder, code: i32) -> Value {
    Corveil::with("status", database, folder).args(["--output", "json"]).run().await.expect_code(code).json()
}

fn states(status: &Value) -> Vec<(u64, &str)> {
    let versions = status["versions"].as_array().unwrap();
    versions.iter().map(|v| (v["version"].as_u64().unwrap(), v["state"].as_str().unwrap())).collect()
}

async fn wait(database: &Database, folder: &Folder) -> Outcome {
    Corveil::with("wait", database, folder).args(["--timeout", "300ms"]).run().await
}

#[tokio::test]
async fn reading_an_empty_database_creates_nothing() {
    let (database, folder) = (Database::fresh().await, three_files());
    read("status", &database, &folder).await.expect_code(1).expect_stdout("pending   1  one");
    read("verify", &database, &folder).await.expect_code(0);
    wait(&database, &folder).await.expect_code(75);
    assert_eq!(
        database
            .value::<i64>("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")
            .await,
        0
    );
}

#[tokio::test]
async fn reading_commands_need_no_right_but_to_read_and_no_lock() {
    let (database, folder) = applied().await;
    let reader = database.create_role("").await;
    database.execute(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}")).await;
    let mut other = database.connect().await;
    other.lock().await.unwrap();
    for command in ["status", "verify", "wait"] {
        Corveil::with(command, &database, &folder).url(&database.url_as(&reader)).run().await.expect_code(0);
    }
}

#[tokio::test]
async fn reading_commands_do_not_need_the_rights_of_the_migrating_role() {
    let (database, folder) = applied().await;
    // The wrong password of the other role is not even tried.
    let wrong = database.url().to_string().replace("correcthorse", "wrong");
    for command in ["status", "verify", "wait"] {
        Corveil::with(command, &database, &folder)
            .env("MIGRATE_DATABASE_URL", &wrong)
            .run()
            .await
            .expect_code(0);
    }
}

#[tokio::test]
async fn status_shows_applied_versions_with_times_and_pending_ones() {
    let (database, folder) = applied().await;
    folder.put("4_four.sql", "SELECT 1");
    let seen = status(&database, &folder, 1).await;
    assert_eq!(states(&seen), [(1, "applied"), (2, "applied"), (3, "applied"), (4, "pending")]);
    assert!(seen["versions"][0]["applied_at"].as_str().unwrap().ends_with("+00"), "{seen:#}");
    assert!(seen["versions"][0]["duration_ms"].is_u64());

    let text = read("status", &database, &folder).await.expect_code(1).stdout;
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("applied   1  one  (2") && lines[0].ends_with(" ms)"), "{text}");
    assert_eq!(lines[3], "pending   4  four");
    assert!(text.contains("last runs:") && text.contains("succeeded, empty to 3"), "{text}");
}

#[tokio::test]
async fn status_shows_the_version_that_failed_and_why_until_it_is_applied() {
    let (database, folder) = applied().await;
    folder.put("4_four.sql", "SELECT missing");
    folder.put("5_five.sql", "-- no-transaction\nSELECT 1 / 0");
    Corveil::migrate(&database, &folder).run().await.expect_code(3);
    let seen = status(&database, &folder, 1).await;
    assert_eq!(states(&seen)[3..], [(4, "failed"), (5, "pending")]);
    assert!(
        seen["versions"][3]["error"].as_str().unwrap().contains("column \"missing\" does not exist"),
        "{seen:#}"
    );
    let run = &seen["runs"][0];
    assert_eq!(
        (&run["outcome"], &run["exit_code"], &run["failed_version"]),
        (&json!("failed"), &json!(3), &json!(4))
    );
    assert_eq!((&run["from_version"], &run["to_version"]), (&json!(3), &json!(3)));

    folder.put("4_four.sql", "SELECT 1");
    Corveil::migrate(&database, &folder).run().await.expect_code(3);
    assert_eq!(states(&status(&database, &folder, 1).await)[3..], [(4, "applied"), (5, "failed")]);
    folder.put("5_five.sql", "-- no-transaction\nSELECT 1");
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    assert_eq!(states(&status(&database, &folder, 0).await)[3..], [(4, "applied"), (5, "applied")]);
}

#[tokio::test]
async fn status_distinguishes_newer_versions_from_a_mismatch() {
    let (database, folder) = applied().await;
    folder.remove("3_three.sql");
    assert_eq!(
        states(&status(&database, &folder, 0).await),
        [(1, "applied"), (2, "applied"), (3, "unknown")]
    );

    folder.put("2_two.sql", "edited");
    folder.put("4_four.sql", "");
    let seen = status(&database, &folder, 4).await;
    assert_eq!(states(&seen), [(1, "applied"), (2, "mismatch"), (3, "mismatch"), (4, "pending")]);
    assert_eq!(
        (&seen["findings"][0]["kind"], &seen["findings"][1]["kind"]),
        (&json!("edited"), &json!("missing"))
    );
    read("status", &database, &folder)
        .await
        .expect_code(4)
        .expect_stdout("mismatch  2  two")
        .expect_stdout("hint: ");
}

#[tokio::test]
async fn status_counts_a_version_out_of_order_as_a_mismatch_of_the_whole() {
    let (database, folder) = applied().await;
    database.execute("DELETE FROM _sqlx_migrations WHERE version = 2").await;
    let seen = status(&database, &folder, 4).await;
    assert_eq!(states(&seen), [(1, "applied"), (2, "pending"), (3, "applied")]);
    assert_eq!(seen["findings"][0]["kind"], json!("out_of_order"));
}

#[tokio::test]
async fn status_shows_the_last_runs_and_those_that_died() {
    let (database, folder) = applied().await;
    database
        .execute("INSERT INTO _corveil_runs (from_version, build, host, backend) VALUES (3, '9.9.9', 'the-pod', 1)")
        .await;
    let seen = status(&database, &folder, 0).await;
    let outcomes: Vec<_> = seen["runs"].as_array().unwrap().iter().map(|run| &run["outcome"]).collect();
    assert_eq!(outcomes, ["died", "succeeded"]);
    let text = read("status", &database, &folder).await.stdout;
    assert!(text.contains("9.9.9 on the-pod: ended without recording a result (killed?)"), "{text}");
}

#[tokio::test]
async fn status_shows_a_run_that_is_at_work() {
    let (database, folder) = applied().await;
    let mut gate = database.connect().await;
    sqlx::query("SELECT pg_advisory_lock(42)").execute(&mut gate).await.unwrap();
    folder.put("4_four.sql", "-- corveil:lock-timeout none\nSELECT pg_advisory_xact_lock(42)");
    let run = Corveil::migrate(&database, &folder).env("HOSTNAME", "the-pod").spawn();
    wait_until("the run is at work", Duration::from_secs(20), async || {
        database.value::<i64>("SELECT count(*) FROM _corveil_runs WHERE ended_at IS NULL").await == 1
    })
    .await;
    assert_eq!(status(&database, &folder, 1).await["runs"][0]["outcome"], json!("running"));
    read("status", &database, &folder).await.expect_stdout("on the-pod: is running");
    gate.close().await.unwrap();
    run.wait().await.expect_code(0);
}

#[tokio::test]
async fn verify_is_content_with_a_schema_as_it_should_be() {
    let (database, folder) = applied().await;
    // It does not report pending and newer versions.
    folder.remove("3_three.sql");
    read("verify", &database, &folder).await.expect_code(0).expect_stdout("files, history and indexes match");
    folder.put("3_three.sql", "CREATE TABLE three ()");
    folder.put("4_four.sql", "");
    read("verify", &database, &folder).await.expect_code(0);
}

#[tokio::test]
async fn verify_lists_every_kind_of_finding_with_the_command_that_fixes_it() {
    let (database, folder) = applied().await;
    folder.put("4_four.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY i ON one ((1)); CREATE UNIQUE INDEX CONCURRENTLY u ON pg_am (amname)");
    database.execute("CREATE INDEX spoilt ON one ((1)); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'spoilt'::regclass").await;
    Corveil::migrate(&database, &folder).run().await.expect_code(3);
    folder.put("1_one.sql", "edited");
    folder.remove("2_two.sql");
    database.execute("UPDATE _sqlx_migrations SET success = false WHERE version = 3").await;

    let run =
        Corveil::with("verify", &database, &folder).args(["--output", "json"]).run().await.expect_code(4);
    let json = run.json();
    let findings = json["findings"].as_array().unwrap();
    let kinds: Vec<_> = findings.iter().map(|finding| finding["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["edited", "missing", "dirty", "unfinished", "invalid_index"], "{run}");
    for (finding, command) in
        findings.iter().zip(["`git checkout", "`git log", "`UPDATE", "`corveil migrate`", "`psql -c"])
    {
        assert!(finding["hint"].as_str().unwrap().contains(command), "{finding:#}");
    }
    assert!(findings[3]["message"].as_str().unwrap().contains("its statement 2 failed"), "{run}");

    let text = read("verify", &database, &folder).await.expect_code(4).stdout;
    assert_eq!(text.matches("hint: ").count(), 5, "{text}");
}

#[tokio::test]
async fn wait_ends_when_the_schema_is_as_required_or_newer() {
    let (database, folder) = applied().await;
    wait(&database, &folder).await.expect_code(0).expect_stdout("every migration of this build is applied");
    folder.remove("3_three.sql");
    wait(&database, &folder).await.expect_code(0);

    folder.put("4_four.sql", "");
    wait(&database, &folder).await.expect_code(75).expect_stderr("migration `4_four.sql` is not applied");
    folder.put("5_five.sql", "");
    let run = wait(&database, &folder).await.expect_code(75);
    run.expect_stderr("2 migrations are not applied, `4_four.sql` to `5_five.sql`").expect_stderr("hint: ");
}

#[tokio::test]
async fn wait_sees_a_migration_that_is_applied_while_it_waits() {
    let (database, folder) = (Database::fresh().await, three_files());
    let waiting = Corveil::with("wait", &database, &folder).args(["--timeout", "60s"]).spawn();
    wait_until("it logs what is missing", Duration::from_secs(20), async || {
        waiting.stderr().contains("3 migrations are not applied")
    })
    .await;
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    waiting.wait().await.expect_code(0);
}

#[tokio::test]
async fn wait_for_the_database_does_not_read_the_schema() {
    let database = Database::fresh().await;
    let run =
        Corveil::new("wait").url(&database.url()).args(["--for", "db", "--source", "/missing"]).run().await;
    run.expect_code(0).expect_stdout("the database answers");
}

#[tokio::test]
async fn wait_ends_early_when_the_last_run_failed_for_good_on_this_very_file() {
    let (database, folder) = applied().await;
    folder.put("4_four.sql", "SELECT missing");
    Corveil::migrate(&database, &folder).run().await.expect_code(3);
    let waiting = || Corveil::with("wait", &database, &folder).args(["--timeout", "60s"]);
    let run = waiting().run().await.expect_code(3);
    run.expect_stderr("column \"missing\" does not exist").expect_stderr("hint: ");

    // A fixed file must not fail with the old failure.
    folder.put("4_four.sql", "SELECT 1");
    wait(&database, &folder).await.expect_code(75);

    // And while another session holds the lock, the failure may be about to be fixed.
    folder.put("4_four.sql", "SELECT missing");
    let mut other = database.connect().await;
    other.lock().await.unwrap();
    wait(&database, &folder).await.expect_code(75);
    other.close().await.unwrap();
    waiting().run().await.expect_code(3);
}

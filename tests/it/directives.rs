//! Directives in a file's leading comments, against flags, variables and defaults.

use serde_json::json;
use sqlx::Executor;

use crate::support::{Corveil, Database, Folder};

/// What `setting` was while the only file of a folder ran.
async fn seen(
    database: &Database,
    setting: &str,
    directive: &str,
    run: impl Fn(Corveil) -> Corveil,
) -> String {
    database.clear().await;
    let sql = format!("{directive}\nCREATE TABLE seen AS SELECT current_setting('{setting}') AS value");
    run(Corveil::migrate(database, &Folder::new().file("1_see.sql", sql))).run().await.expect_code(0);
    database.value("SELECT value FROM seen").await
}

#[tokio::test]
async fn a_directive_beats_the_flag_the_flag_the_variable_the_variable_the_default() {
    let database = Database::fresh().await;
    for (setting, name, default) in
        [("lock_timeout", "lock-timeout", "2s"), ("statement_timeout", "statement-timeout", "0")]
    {
        let variable = format!("CORVEIL_{}", setting.to_uppercase());
        let flag = format!("--{name}");
        let directive = format!("-- corveil:{name} 50s");
        assert_eq!(seen(&database, setting, "", |run| run).await, default);
        assert_eq!(seen(&database, setting, "", |run| run.env(&variable, "30s")).await, "30s");
        let both = |run: Corveil| run.env(&variable, "30s").args([&flag, "40s"]);
        assert_eq!(seen(&database, setting, "", both).await, "40s");
        assert_eq!(seen(&database, setting, &directive, both).await, "50s");
        let without_transaction = format!("-- no-transaction\n{directive}");
        assert_eq!(seen(&database, setting, &without_transaction, both).await, "50s");
        let none = format!("-- corveil:{name} none");
        assert_eq!(seen(&database, setting, &none, both).await, "0");
    }
}

#[tokio::test]
async fn no_statement_timeout_beats_the_default_of_the_role() {
    let database = Database::fresh().await;
    let role = database.create_role("SUPERUSER").await;
    database
        .execute(&format!(
            "ALTER ROLE {role} SET statement_timeout = '5s'; ALTER ROLE {role} SET lock_timeout = '5s'"
        ))
        .await;
    let see = "CREATE TABLE seen_$ AS SELECT current_setting('statement_timeout') AS value";
    let folder = Folder::new()
        .file("1_in_a_transaction.sql", see.replace('$', "1"))
        .file("2_without.sql", format!("-- no-transaction\n{}", see.replace('$', "2")));
    Corveil::migrate(&database, &folder).url(&database.url_as(&role)).run().await.expect_code(0);
    assert_eq!(database.values::<String>("TABLE seen_1 UNION ALL TABLE seen_2").await, ["0", "0"]);
}

#[tokio::test]
async fn a_blocked_file_is_tried_as_often_as_its_directive_sets() {
    let database = Database::fresh().await;
    for (directive, attempts) in [("", 1), ("-- corveil:retries 1\n", 2)] {
        database.clear().await;
        database.execute("CREATE TABLE busy ()").await;
        let mut reader = database.connect().await;
        reader.execute("BEGIN; LOCK busy IN ACCESS SHARE MODE").await.unwrap();
        let sql = format!("-- corveil:lock-timeout 20ms\n{directive}ALTER TABLE busy ADD a int");

        let run = Corveil::migrate(&database, &Folder::new().file("1_a.sql", sql))
            .args(["--retries", "0", "--output", "json"])
            .run()
            .await
            .expect_code(75);
        let failure = &run.json()["error"]["failure"];
        assert_eq!(failure["sqlstate"], json!("55P03"), "{run}");
        assert_eq!(failure["attempts"], json!(attempts), "{run}");
    }
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_tried_again_and_ends_with_75() {
    let database = Database::fresh().await;
    let sql = "-- corveil:statement-timeout 20ms\n-- corveil:retries 1\nSELECT pg_sleep(60)";
    let folder = Folder::new().file("1_a.sql", sql);
    let run = Corveil::migrate(&database, &folder).args(["--output", "json"]).run().await.expect_code(75);
    let failure = &run.json()["error"]["failure"];
    assert_eq!((&failure["sqlstate"], &failure["attempts"]), (&json!("57014"), &json!(2)), "{run}");
}

#[tokio::test]
async fn a_cancelled_statement_is_not_taken_for_a_timeout() {
    let database = Database::fresh().await;
    // The file cancels itself long before its timeout.
    let sql = "-- corveil:statement-timeout 60s\nSELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(60)";
    let folder = Folder::new().file("1_a.sql", sql);
    let run = Corveil::migrate(&database, &folder).args(["--output", "json"]).run().await.expect_code(75);
    assert_eq!(run.json()["error"]["failure"]["attempts"], json!(1), "{run}");
}

#[tokio::test]
async fn no_transaction_runs_what_a_transaction_would_refuse() {
    let database = Database::fresh().await;
    let folder = Folder::new().file("1_a.sql", "-- no-transaction\nCREATE TABLE t (); VACUUM t");
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    assert!(database.has("t").await);
}

#[tokio::test]
async fn directives_that_would_be_overlooked_are_refused() {
    let database = Database::fresh().await;
    for (sql, line, reason) in [
        ("-- corveil:lock-timout 10s\nSELECT 1", 1, "there is no directive `corveil:lock-timout`"),
        ("-- Corveil: retries many\nSELECT 1", 1, "`corveil:retries many`"),
        ("-- corveil:lock-timeout 5\nSELECT 1", 1, "`corveil:lock-timeout 5`"),
        ("-- corveil:retries 1\n-- corveil:retries 2\nSELECT 1", 2, "it is given twice"),
        ("SELECT 1;\n\n-- corveil:retries 2\n", 3, "stands after the first statement"),
        ("-- why\n-- no-transaction\nVACUUM", 2, "counts only as the file's first bytes"),
        (" -- no-transaction\nVACUUM", 1, "counts only as the file's first bytes"),
        ("--no-transaction\nVACUUM", 1, "counts only as the file's first bytes"),
    ] {
        let folder = Folder::new().file("1_a.sql", "CREATE TABLE a ()").file("2_b.sql", sql);
        let run = Corveil::migrate(&database, &folder).run().await.expect_code(2);
        run.expect_stderr(&format!("`2_b.sql` line {line}")).expect_stderr(reason).expect_stderr("hint: ");
    }
    assert!(!database.is_touched().await && !database.has("a").await);
}

#[tokio::test]
async fn the_error_for_an_unknown_directive_lists_the_known_ones() {
    let database = Database::fresh().await;
    let folder = Folder::new().file("1_a.sql", "-- corveil:timeout 10s\nSELECT 1");
    let run = Corveil::migrate(&database, &folder).run().await.expect_code(2);
    run.expect_stderr("`-- corveil:lock-timeout 10s`").expect_stderr("`-- corveil:retries 20`");
}

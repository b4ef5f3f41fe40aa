//! What the program answers to programs: JSON with stable keys, and exit codes.

use serde_json::{Value, json};

use crate::support::{Corveil, Database, Folder};

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn two_files() -> Folder {
    Folder::new()
        .file("1_create_t.sql", "CREATE TABLE t (a int)")
        .file("2_vacuum.sql", "-- no-transaction\nVACUUM t; VACUUM t")
}

#[tokio::test]
async fn migrate_reports_what_it_applied() {
    let (database, folder) = (Database::fresh().await, two_files());
    let corveil = || Corveil::migrate(&database, &folder).args(["--output", "json"]);
    let mut report = corveil().run().await.expect_code(0).json();

    let all =
        ["applied", "duration_ms", "exit_code", "from_version", "newer", "outcome", "pending", "to_version"];
    assert_eq!(keys(&report), all);
    assert!(report["duration_ms"].is_u64());
    for file in report["applied"].as_array_mut().unwrap() {
        assert!(file["duration_ms"].take().is_u64());
    }
    assert_eq!(
        report["applied"],
        json!([
            {"version": 1, "description": "create t", "file": "1_create_t.sql", "duration_ms": null},
            {"version": 2, "description": "vacuum", "file": "2_vacuum.sql", "duration_ms": null},
        ])
    );
    assert_eq!((&report["outcome"], &report["exit_code"]), (&json!("applied"), &json!(0)));
    assert_eq!((&report["from_version"], &report["to_version"]), (&json!(null), &json!(2)));

    let report = corveil().run().await.expect_code(0).json();
    assert_eq!(keys(&report), all);
    assert_eq!((&report["outcome"], &report["from_version"]), (&json!("current"), &json!(2)));
}

#[tokio::test]
async fn a_dry_run_reports_what_is_pending() {
    let (database, folder) = (Database::fresh().await, two_files());
    let run = Corveil::migrate(&database, &folder).args(["--output=json", "--dry-run"]).run().await;
    let report = run.expect_code(0).json();
    assert_eq!(report["outcome"], json!("would_apply"));
    assert_eq!(
        report["pending"],
        json!([
            {"version": 1, "description": "create t", "file": "1_create_t.sql", "transaction": true, "statements": 1},
            {"version": 2, "description": "vacuum", "file": "2_vacuum.sql", "transaction": false, "statements": 2},
        ])
    );
}

#[tokio::test]
async fn newer_versions_of_the_database_are_reported() {
    let (database, folder) = (Database::fresh().await, two_files());
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    folder.remove("2_vacuum.sql");

    let run = Corveil::migrate(&database, &folder).env("CORVEIL_OUTPUT", "json").run().await.expect_code(0);
    assert_eq!(run.json()["newer"], json!([2]));
    assert_eq!(run.stderr.matches("WARN").count(), 1, "{run}");
    run.expect_stderr("does not know version 2");
}

#[tokio::test]
async fn a_failed_statement_is_reported_with_all_details() {
    let (database, folder) = (Database::fresh().await, two_files());
    folder.put(
        "3_fail.sql",
        "DO $$ BEGIN\n  RAISE 'no' USING DETAIL = 'd', HINT = 'h', ERRCODE = 'ABCDE';\nEND $$",
    );
    folder.put("4_after.sql", "SELECT 1");
    let run = Corveil::migrate(&database, &folder).args(["--output", "json"]).run().await.expect_code(3);

    let report = run.json();
    assert_eq!(keys(&report), ["error", "exit_code", "outcome"]);
    assert_eq!((&report["outcome"], &report["exit_code"]), (&json!("failed"), &json!(3)));
    assert_eq!(keys(&report["error"]), ["failure", "kind", "message", "next_step"]);
    assert_eq!(report["error"]["kind"], json!("migration"));
    assert_eq!(
        report["error"]["failure"],
        json!({
            "file": "3_fail.sql", "version": 3, "line": 1, "column": 1, "statement": "DO $$ BEGIN",
            "sqlstate": "ABCDE", "message": "no", "detail": "d", "hint": "h",
            "context": "PL/pgSQL function inline_code_block line 2 at RAISE",
            "attempts": 1, "try_again": false, "applied": [1, 2], "not_applied": [3, 4], "left": {"state": "nothing"},
        })
    );
}

#[tokio::test]
async fn refusals_and_mismatches_are_reported_as_findings() {
    let (database, folder) = (Database::fresh().await, two_files());
    folder.put("3_copy.sql", "SELECT 1;\nCOPY t FROM STDIN;");
    let corveil = |command| Corveil::with(command, &database, &folder).args(["--output", "json"]);
    let report = corveil("migrate").run().await.expect_code(2).json();
    assert_eq!(report["error"]["kind"], json!("refused"));
    let finding = &report["error"]["findings"][0];
    assert_eq!(keys(finding), ["file", "hint", "kind", "line", "message", "version"]);
    assert_eq!((&finding["kind"], &finding["line"]), (&json!("statement"), &json!(2)));

    folder.remove("3_copy.sql");
    corveil("migrate").run().await.expect_code(0);
    folder.put("1_create_t.sql", "CREATE TABLE edited ()");
    let report = corveil("migrate").run().await.expect_code(4).json();
    assert_eq!(report["error"]["kind"], json!("mismatch"));
    assert_eq!(report["error"]["findings"][0]["kind"], json!("edited"));
}

#[tokio::test]
async fn status_verify_and_wait_report_with_stable_keys() {
    let (database, folder) = (Database::fresh().await, two_files());
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    let corveil = |command| Corveil::with(command, &database, &folder).args(["--output", "json"]);

    let status = corveil("status").run().await.expect_code(0).json();
    assert_eq!(keys(&status), ["exit_code", "findings", "runs", "versions"]);
    assert_eq!(
        keys(&status["versions"][0]),
        ["applied_at", "description", "duration_ms", "state", "version"]
    );
    assert_eq!(
        keys(&status["runs"][0]),
        [
            "build",
            "ended_at",
            "error",
            "exit_code",
            "failed_checksum",
            "failed_version",
            "from_version",
            "host",
            "outcome",
            "started_at",
            "to_version",
        ]
    );
    assert_eq!(status["runs"][0]["outcome"], json!("succeeded"));

    let verify = corveil("verify").run().await.expect_code(0).json();
    assert_eq!(verify, json!({"exit_code": 0, "findings": []}));

    let wait =
        Corveil::new("wait").url(&database.url()).args(["--for", "db", "--output", "json"]).run().await;
    assert_eq!(keys(&wait.expect_code(0).json()), ["exit_code", "waited_ms"]);
}

#[tokio::test]
async fn the_log_can_be_json_while_stdout_stays_text() {
    let (database, folder) = (Database::fresh().await, two_files());
    folder.put("3_fail.sql", "SELECT missing");
    let run = Corveil::migrate(&database, &folder).args(["--log-format", "json"]).run().await.expect_code(3);
    let lines: Vec<Value> = run
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let errors: Vec<_> = lines.iter().filter(|line| line["level"] == json!("ERROR")).collect();
    assert_eq!(errors.len(), 1, "{run}");
    assert!(errors[0].to_string().contains("42703"), "{run}");
    assert_eq!(run.stdout, "");
}

#[tokio::test]
async fn wrong_usage_ends_with_2_before_anything_is_touched() {
    let (database, folder) = (Database::fresh().await, two_files());
    for wrong in [
        ["--unknown", "flag"],
        ["--target", "first"],
        ["--lock-wait", "5"],
        ["--lock-timeout", "soon"],
        ["--out-of-order", "maybe"],
        ["--output", "yaml"],
        ["--retries", "-1"],
    ] {
        Corveil::migrate(&database, &folder).args(wrong).run().await.expect_code(2);
    }
    for (variable, value) in [
        ("CORVEIL_RETRIES", "many"),
        ("CORVEIL_LOCK_TIMEOUT", "5"),
        ("DATABASE_URL", ""),
        ("DATABASE_URL", "x"),
    ] {
        let run = Corveil::migrate(&database, &folder).env(variable, value).run().await;
        assert_eq!(run.code, Some(2), "{variable}={value}: {run}");
    }
    assert!(!database.is_touched().await);
}

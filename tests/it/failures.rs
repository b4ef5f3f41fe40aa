//! The message of a failure, its line and column, and the part that the termination log has space for.

use serde_json::{Value, json};

use crate::support::{Corveil, Database, Folder, Server};

/// The failure of a folder with this file, as JSON.
async fn failure(database: &Database, sql: &str) -> Value {
    database.clear().await;
    let folder = Folder::new().file("1_a.sql", sql);
    let run = Corveil::migrate(database, &folder).args(["--output", "json"]).run().await.expect_code(3);
    assert!(database.applied().await.is_empty(), "{run}");
    run.json()["error"]["failure"].clone()
}

async fn expect(
    database: &Database,
    sql: &str,
    sqlstate: &str,
    place: Option<(usize, usize)>,
    statement: &str,
) {
    let failure = failure(database, sql).await;
    let (line, column) =
        place.map_or((json!(null), json!(null)), |(line, column)| (json!(line), json!(column)));
    let seen = (&failure["sqlstate"], &failure["line"], &failure["column"], &failure["statement"]);
    assert_eq!(seen, (&json!(sqlstate), &line, &column, &json!(statement)), "{sql}\n{failure:#}");
}

#[tokio::test]
async fn the_servers_position_is_the_place() {
    let database = Database::fresh().await;
    expect(&database, "CREATE TABLE a ();\n\nSELECT 1,\n  missing;\n", "42703", Some((4, 3)), "SELECT 1,")
        .await;
    expect(&database, "SELECT 'äöü€😀', missing", "42703", Some((1, 17)), "SELECT 'äöü€😀', missing").await;
    expect(
        &database,
        "-- äöü€😀\nSELECT '😀' AS \"ö\"; SELECT missing;",
        "42703",
        Some((2, 27)),
        "SELECT missing;",
    )
    .await;
    expect(&database, "SELECT 1;\r\n\tSELECT missing;\r\n", "42703", Some((2, 9)), "SELECT missing;").await;
}

#[tokio::test]
async fn a_failure_without_a_position_is_placed_at_its_statement() {
    let database = Database::fresh().await;
    expect(&database, "SELECT 1;\n  SELECT 1/0;\nSELECT 2;", "22012", Some((2, 3)), "SELECT 1/0;").await;
    expect(&database, "SELECT 1;; ;\n/* ; */ SELECT 1/0", "22012", Some((2, 9)), "SELECT 1/0").await;
    expect(
        &database,
        "SELECT 1; SELECT generate_series(1, 3); INSERT INTO missing_too SELECT 1;",
        "42P01",
        Some((1, 53)),
        "INSERT INTO missing_too SELECT 1;",
    )
    .await;
    expect(&database,
        "CREATE TABLE a (i int PRIMARY KEY);\nINSERT INTO a VALUES (1);\n\n-- again\nINSERT INTO a\nVALUES (1);",
        "23505",
        Some((5, 1)),
        "INSERT INTO a",
    )
    .await;
}

#[tokio::test]
async fn a_syntax_error_is_placed_where_it_is_though_nothing_ran() {
    let database = Database::fresh().await;
    expect(&database, "CREATE TABLE a ();\nSELECT 1;\n SELEC 2;", "42601", Some((3, 2)), "SELEC 2;").await;
    expect(
        &database,
        "CREATE TABLE a ();\nCREATE TABLE b (\n  i int,\n);\n",
        "42601",
        Some((4, 1)),
        "CREATE TABLE b (",
    )
    .await;
}

#[tokio::test]
async fn a_syntax_error_at_the_end_of_the_file_is_placed_at_its_last_statement() {
    let database = Database::fresh().await;
    expect(&database, "SELECT 1;\nCREATE TABLE a (i int", "42601", Some((2, 1)), "CREATE TABLE a (i int")
        .await;
    expect(&database, "SELECT 1;\nSELECT 2 +", "42601", Some((2, 1)), "SELECT 2 +").await;
}

#[tokio::test]
async fn a_failure_inside_a_function_is_placed_at_its_call_with_the_context() {
    let database = Database::fresh().await;
    let function = "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETURN (SELECT missing);\nEND $$;\n";
    let failure = failure(&database, &format!("{function}\nSELECT f();\n")).await;
    assert_eq!((&failure["line"], &failure["statement"]), (&json!(6), &json!("SELECT f();")), "{failure:#}");
    assert!(failure["context"].as_str().unwrap().contains("function f() line 3 at RETURN"), "{failure:#}");

    expect(
        &database,
        &format!("{}SELECT f();", function.replace("missing", "1/0")),
        "22012",
        Some((5, 1)),
        "SELECT f();",
    )
    .await;
}

#[tokio::test]
async fn a_failure_at_the_commit_has_no_place() {
    let database = Database::fresh().await;
    let sql =
        "CREATE TABLE a (i int UNIQUE DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO a VALUES (1), (1);\n";
    expect(&database, sql, "23505", None, "COMMIT with its history row").await;
    expect(&database, &format!("BEGIN;\n{sql}COMMIT;"), "23505", None, "COMMIT with its history row").await;
}

#[tokio::test]
async fn a_wrapped_file_keeps_its_places() {
    let database = Database::fresh().await;
    expect(
        &database,
        "BEGIN;\nCREATE TABLE ä ();\nSELECT missing;\nCOMMIT;\n",
        "42703",
        Some((3, 8)),
        "SELECT missing;",
    )
    .await;
    expect(
        &database,
        "-- ö\nBEGIN ISOLATION LEVEL SERIALIZABLE; SELECT missing; COMMIT",
        "42703",
        Some((2, 44)),
        "SELECT missing; COMMIT",
    )
    .await;
    expect(&database, "BEGIN;\nSELECT 1;\nSELECT 1/0;\nCOMMIT;\n", "22012", Some((3, 1)), "SELECT 1/0;")
        .await;
}

#[tokio::test]
async fn a_file_without_a_transaction_has_places_too() {
    let database = Database::fresh().await;
    expect(
        &database,
        "-- no-transaction\nSELECT 'ä'; SELECT 'ö', missing;",
        "42703",
        Some((2, 25)),
        "SELECT 'ö', missing;",
    )
    .await;
    expect(&database, "-- no-transaction\nSELECT 1;\nSELECT 1/0;", "22012", Some((3, 1)), "SELECT 1/0;")
        .await;
    expect(
        &database,
        "-- no-transaction\nSELECT 1;\nBEGIN;\nSELECT 2;\nSELECT 1/0;\nCOMMIT;",
        "22012",
        Some((5, 1)),
        "SELECT 1/0;",
    )
    .await;
    expect(
        &database,
        "-- no-transaction\nSELECT 1;\nBEGIN;\nSELECT 2;\nSELECT missing;\nCOMMIT;",
        "42703",
        Some((5, 8)),
        "SELECT missing;",
    )
    .await;
}

#[tokio::test]
async fn a_statement_that_needs_to_be_outside_a_transaction_is_named_with_the_way_there() {
    for (sql, sqlstate) in [
        ("DO $$ BEGIN COMMIT; END $$", "2D000"),
        ("CREATE SUBSCRIPTION s CONNECTION 'dbname=x' PUBLICATION p", "25001"),
    ] {
        let (database, folder) = (Database::fresh().await, Folder::new().file("7_t.sql", sql));
        let run = Corveil::migrate(&database, &folder).run().await.expect_code(3).expect_stderr(sqlstate);
        run.expect_stderr("begin `7_t.sql` with the line `-- no-transaction`");
    }
    let (database, folder) =
        (Database::fresh().await, Folder::new().file("7_t.sql", "DO $$ BEGIN COMMIT; END $$"));
    Corveil::migrate(&database, &folder).run().await.expect_stderr("corveil migrate --no-transaction 7");
    Corveil::migrate(&database, &folder).args(["--no-transaction", "7"]).run().await.expect_code(0);

    // The same SQLSTATE, but the hint would not help.
    for sql in
        ["SELECT 1; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "DO $$ BEGIN EXECUTE 'VACUUM'; END $$"]
    {
        let (database, folder) = (Database::fresh().await, Folder::new().file("7_t.sql", sql));
        let run = Corveil::migrate(&database, &folder).run().await.expect_code(3).expect_stderr("25001");
        run.expect_no_stderr("no-transaction");
    }
}

#[tokio::test]
async fn a_failure_is_printed_once_with_what_was_and_was_not_applied() {
    let (database, folder) = (Database::fresh().await, Folder::new());
    folder.put("1_a.sql", "CREATE TABLE a ()");
    folder.put("2_b.sql", "CREATE TABLE b ()");
    folder.put(
        "3_c.sql",
        "DO $$ BEGIN\n RAISE 'the message' USING DETAIL = 'the detail', HINT = 'the hint'; END $$;",
    );
    folder.put("4_d.sql", "CREATE TABLE d ()");
    let run = Corveil::migrate(&database, &folder).run().await.expect_code(3);

    let expected = "error: migration `3_c.sql:1:1` failed: the message (SQLSTATE P0001)\n  \
                    at: 3_c.sql:1:1\n  \
                    statement: DO $$ BEGIN\n  \
                    detail: the detail\n  \
                    server's hint: the hint\n  \
                    context: PL/pgSQL function inline_code_block line 2 at RAISE\n  \
                    applied in this run: 2 versions, 1 to 2\n  \
                    not applied: 2 versions, 3 to 4; the file was rolled back whole\n\
                    hint: fix `3_c.sql` and run `corveil migrate` again; `--dry-run` shows what would run\n";
    assert!(run.stderr.ends_with(expected), "{run}");
    assert_eq!(run.stderr.matches("the message").count(), 1, "{run}");
    assert_eq!(run.stdout, "");
}

#[tokio::test]
async fn a_row_is_not_quoted_where_it_is_not_to_be_shown() {
    let database = Database::fresh().await;
    database.execute("CREATE TABLE users (email text, age text)").await;
    database.execute("INSERT INTO users VALUES ('ada@example.org', 'x'), ('ada@example.org', 'y')").await;
    let raised = "DO $$ BEGIN RAISE 'no' USING DETAIL = (SELECT min(email) FROM users); END $$;";
    let copied = "COPY users FROM PROGRAM 'echo ada@example.org';";
    for sql in [
        "CREATE UNIQUE INDEX ON users (email);",
        "ALTER TABLE users ADD CHECK (email = '');\nINSERT INTO users VALUES ('ada' || '@example.org');",
        "CREATE TABLE a (b text CHECK (b = ''));\nINSERT INTO a VALUES ('ada' || '@example.org');",
        "-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY i ON users (email);",
        raised,
        copied,
    ] {
        let folder = Folder::new().file("1_a.sql", sql);
        let run = Corveil::migrate(&database, &folder).args(["--detail", "off"]).run().await.expect_code(3);
        for text in [&run.stderr, &run.termination_log] {
            assert!(!text.replace("'echo ada@example.org'", "").contains("ada@example.org"), "{sql}: {run}");
        }
        database.execute("DROP INDEX IF EXISTS i; DROP TABLE IF EXISTS _sqlx_migrations, _corveil_statements, _corveil_runs").await;
    }
    // The part that locates the error stays.
    let folder =
        Folder::new().file("1_a.sql", "CREATE VIEW v AS SELECT email FROM users;\nDROP TABLE users;");
    let run = Corveil::migrate(&database, &folder).env("CORVEIL_DETAIL", "off").run().await.expect_code(3);
    run.expect_stderr("detail: view v depends on table users");
    let folder = Folder::new().file("1_a.sql", "CREATE UNIQUE INDEX ON users (email);");
    let run = Corveil::migrate(&database, &folder).run().await.expect_code(3);
    run.expect_stderr("detail: Key (email)=(ada@example.org) is duplicated.");
}

#[tokio::test]
async fn the_termination_log_is_a_sentence_and_then_json() {
    let database = Database::fresh().await;
    let folder =
        Folder::new().file("1_a.sql", "CREATE TABLE a ()").file("2_b.sql", "SELECT 1;\nSELECT missing");
    let run = Corveil::migrate(&database, &folder).run().await.expect_code(3);

    let first = run.termination_log.lines().next().unwrap();
    assert_eq!(first, "migration `2_b.sql:2:8` failed: column \"missing\" does not exist (SQLSTATE 42703)");
    let json = run.termination_json();
    assert_eq!(json["exit_code"], json!(3));
    assert_eq!(json["error"]["failure"]["line"], json!(2));
    assert_eq!(json["error"]["failure"]["applied"], json!([1]));
    assert!(json["error"]["next_step"].as_str().unwrap().contains("2_b.sql"));
}

#[tokio::test]
async fn the_termination_log_is_short_enough_for_any_server_error() {
    let database = Database::fresh().await;
    let sql = "DO $$ BEGIN RAISE E'%\\n%', repeat('é ', 5000), 2 USING DETAIL = repeat('x', 9000), HINT = repeat('\"', 9000); END $$";
    let folder = Folder::new().file("1_a.sql", sql);
    for version in 2..1000 {
        folder.put(&format!("{version}_rest.sql"), "");
    }
    let run = Corveil::migrate(&database, &folder).run().await.expect_code(3);
    assert!(run.termination_log.len() <= 4096, "{} bytes", run.termination_log.len());
    assert!(
        run.termination_log.starts_with("migration `1_a.sql:1:1` failed: é é"),
        "{}",
        run.termination_log
    );
    assert_eq!(run.termination_json()["exit_code"], json!(3));
    assert_eq!(run.termination_log.lines().count(), 2);
}

#[tokio::test]
async fn the_termination_log_fits_many_findings() {
    let (database, folder) = (Database::fresh().await, Folder::new());
    for version in 1..=300 {
        folder.put(&format!("{version}_a.sql"), "COPY t FROM STDIN");
    }
    let run = Corveil::migrate(&database, &folder).run().await.expect_code(2);
    assert!(run.termination_log.len() <= 4096, "{} bytes", run.termination_log.len());
    assert!(
        run.termination_log
            .starts_with("the migration files are refused in 300 places; the first: `1_a.sql` line 1"),
        "{}",
        run.termination_log
    );
    assert_eq!(run.termination_json()["error"]["kind"], json!("refused"));
    // The text names twenty and has the hint once. The JSON has all of them.
    assert_eq!((run.stderr.matches("\n- `").count(), run.stderr.matches("hint: ").count()), (20, 1));
    run.expect_stderr("- and 280 more; `--output json` lists them all\n  hint: ");
    let run = Corveil::migrate(&database, &folder).args(["--output", "json"]).run().await.expect_code(2);
    assert_eq!(run.json()["error"]["findings"].as_array().map(Vec::len), Some(300));
}

#[tokio::test]
async fn the_termination_log_can_be_elsewhere_and_is_left_alone_by_success() {
    let (database, folder) = (Database::fresh().await, Folder::new().file("1_a.sql", "SELECT 1"));
    assert_eq!(Corveil::migrate(&database, &folder).run().await.expect_code(0).termination_log, "");

    folder.put("2_b.sql", "SELECT missing");
    let path = folder.path().join("elsewhere");
    let run =
        Corveil::migrate(&database, &folder).arg("--termination-log").arg(&path).run().await.expect_code(3);
    assert_eq!(run.termination_log, "");
    assert!(std::fs::read_to_string(path).unwrap().starts_with("migration `2_b.sql"));

    let nowhere = ["--termination-log", "/missing/folder/log"];
    let run = Corveil::migrate(&database, &folder).args(nowhere).run().await.expect_code(3);
    run.expect_stderr("the termination log `/missing/folder/log` cannot be written");
}

#[tokio::test]
async fn a_server_with_too_few_locks_is_a_configuration_error() {
    let server = Server::with_settings("max_locks_per_transaction = 10\nmax_connections = 20\n");
    let database = Database::on(&server).await;
    let many = "DO $$BEGIN FOR i IN 1..3000 LOOP EXECUTE format('CREATE TABLE t%s ()', i); END LOOP; END$$";
    for no_transaction in ["", "-- no-transaction\n"] {
        let folder = Folder::new().file("0001_many.sql", format!("{no_transaction}{many}"));
        let run = Corveil::migrate(&database, &folder).run().await.expect_code(2);
        run.expect_stderr("SQLSTATE 53200")
            .expect_stderr("hint: raise `max_locks_per_transaction` of the server");
    }
    let failed = "SELECT count(*) FROM _corveil_runs WHERE failed_version IS NOT NULL";
    assert_eq!(database.value::<i64>(failed).await, 0);
}

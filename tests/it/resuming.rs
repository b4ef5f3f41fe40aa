//! Where a half-done file resumes: after what failed, after what was killed, or at `--resume-from`.

use serde_json::json;

use crate::support::corveil::Outcome;
use crate::support::{Corveil, Database, Folder};

/// A database in which one statement of `2_half.sql`, its text given, was begun and not recorded as ended.
async fn begun(statement: &str, ordinal: usize) -> Database {
    let database = Database::fresh().await;
    let folder =
        Folder::new().file("1_first.sql", "CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x')");
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    record(&database, ordinal, statement, "started").await;
    database
}

async fn record(database: &Database, ordinal: usize, statement: &str, state: &str) {
    let insert = format!(
        "INSERT INTO _corveil_statements (version, ordinal, checksum, state)
         VALUES (2, {ordinal}, sha384(convert_to($sql${statement}$sql$, 'UTF8')), '{state}')"
    );
    database.execute(&insert).await;
}

fn half(sql: &str) -> Folder {
    Folder::new()
        .file("1_first.sql", "CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x')")
        .file("2_half.sql", format!("-- no-transaction\n{sql}"))
}

async fn count(database: &Database, what: &str) -> i64 {
    database.value(&format!("SELECT count(*) FROM {what}")).await
}

async fn migrate(database: &Database, folder: &Folder) -> Outcome {
    Corveil::migrate(database, folder).run().await
}

const THREE: &str = "INSERT INTO t VALUES (2);\nINSERT INTO t VALUES (3 / $);\nINSERT INTO t VALUES (4);";

/// A database in which the second statement of [`THREE`] has failed.
async fn failed() -> (Database, Folder) {
    let (database, folder) = (Database::fresh().await, half(&THREE.replace('$', "0")));
    migrate(&database, &folder).await.expect_code(3);
    assert_eq!(count(&database, "t").await, 2);
    (database, folder)
}

#[tokio::test]
async fn a_file_resumes_at_the_statement_that_failed() {
    let (database, folder) = failed().await;
    // Without a change it fails again, and again nothing is done twice.
    let run = migrate(&database, &folder).await.expect_code(3);
    run.expect_stderr("1 of the file's 3 statements stay applied")
        .expect_stderr("resumes at statement 2 of 3");

    folder.put("2_half.sql", format!("-- no-transaction\n{}", THREE.replace('$', "1")));
    migrate(&database, &folder).await.expect_code(0).expect_stderr("resumes at statement 2 of 3");
    assert_eq!(database.values::<i32>("SELECT a FROM t ORDER BY a").await, [1, 2, 3, 4]);
    assert_eq!(database.applied().await, [1, 2]);
    assert_eq!(count(&database, "_corveil_statements").await, 0);
}

#[tokio::test]
async fn a_resumed_file_whose_finished_part_was_edited_is_refused() {
    let (database, folder) = failed().await;
    folder.put("2_half.sql", "-- no-transaction\nINSERT INTO t VALUES (22);\nINSERT INTO t VALUES (3);");
    let run = migrate(&database, &folder).await.expect_code(4);
    run.expect_stderr("`2_half.sql` line 2 was edited while it is half applied").expect_stderr("hint: ");
    folder.put("2_half.sql", "-- no-transaction\n");
    migrate(&database, &folder).await.expect_code(4);
    assert_eq!(count(&database, "t").await, 2);

    // Comments and the failed part are free.
    let fixed = "-- no-transaction\n-- Why.\nINSERT INTO t VALUES (2); /* done */ INSERT INTO t VALUES (3)";
    folder.put("2_half.sql", fixed);
    migrate(&database, &folder).await.expect_code(0);
    assert_eq!(database.values::<i32>("SELECT a FROM t ORDER BY a").await, [1, 2, 3]);
}

#[tokio::test]
async fn a_half_done_file_cannot_become_a_transaction() {
    let (database, folder) = failed().await;
    folder.put("2_half.sql", THREE.replace('$', "1"));
    migrate(&database, &folder).await.expect_code(4).expect_stderr("`-- no-transaction` was removed");
    assert_eq!(count(&database, "t").await, 2);
    // With the flag it resumes.
    Corveil::migrate(&database, &folder).args(["--no-transaction", "2"]).run().await.expect_code(0);
    assert_eq!(count(&database, "t").await, 4);
}

#[tokio::test]
async fn a_file_of_which_nothing_is_done_can_become_a_transaction() {
    let (database, folder) = (Database::fresh().await, half("INSERT INTO t VALUES (1 / 0)"));
    migrate(&database, &folder).await.expect_code(3);
    folder.put("2_half.sql", "INSERT INTO t VALUES (2)");
    migrate(&database, &folder).await.expect_code(0);
    assert_eq!(count(&database, "t").await, 2);
    Corveil::with("verify", &database, &folder).run().await.expect_code(0);
}

#[tokio::test]
async fn resume_from_counts_everything_before_it_as_done() {
    for (from, rows) in [(1, [1, 2, 2, 3, 4].as_slice()), (2, &[1, 2, 3, 4]), (3, &[1, 2, 4]), (4, &[1, 2])] {
        let (database, folder) = failed().await;
        folder.put("2_half.sql", format!("-- no-transaction\n{}", THREE.replace('$', "1")));
        let from = from.to_string();
        Corveil::migrate(&database, &folder).env("CORVEIL_RESUME_FROM", from).run().await.expect_code(0);
        assert_eq!(database.values::<i32>("SELECT a FROM t ORDER BY a").await, rows);
        assert_eq!(database.applied().await, [1, 2]);
    }
}

#[tokio::test]
async fn resume_from_that_does_not_fit_is_refused() {
    let (database, folder) = failed().await;
    for from in ["0", "5", "-1", "last"] {
        Corveil::migrate(&database, &folder).args(["--resume-from", from]).run().await.expect_code(2);
    }
    let transactional = Folder::new().file("1_a.sql", "SELECT 1");
    let fresh = Database::fresh().await;
    let run =
        Corveil::migrate(&fresh, &transactional).args(["--resume-from", "1"]).run().await.expect_code(2);
    run.expect_stderr("no pending file is half done");
    assert!(!fresh.is_touched().await);

    migrate(&fresh, &transactional).await.expect_code(0);
    let run =
        Corveil::migrate(&fresh, &transactional).args(["--resume-from", "1"]).run().await.expect_code(0);
    run.expect_stderr("has nothing to resume");
}

#[tokio::test]
async fn a_begun_statement_without_a_trace_is_asked_for_never_guessed() {
    let update = "UPDATE t SET a = a + 1";
    let folder = half(&format!("{update};\nINSERT INTO t VALUES (7);"));
    for (from, expected) in [("1", [2, 7]), ("2", [1, 7])] {
        let database = begun(update, 1).await;
        let run = Corveil::migrate(&database, &folder).args(["--output", "json"]).run().await.expect_code(3);
        assert_eq!(run.json()["error"]["kind"], json!("effect_unknown"));
        run.expect_stderr("--resume-from 2` if it did").expect_stderr("--resume-from 1` if it did not");
        assert_eq!(database.values::<i32>("SELECT a FROM t").await, [1]);

        Corveil::migrate(&database, &folder).args(["--resume-from", from]).run().await.expect_code(0);
        assert_eq!(database.values::<i32>("SELECT a FROM t ORDER BY a").await, expected);
        assert_eq!(count(&database, "_corveil_statements").await, 0);
    }
}

#[tokio::test]
async fn a_begun_statement_that_was_edited_is_asked_for() {
    let database = begun("UPDATE t SET a = a + 1", 1).await;
    let run = migrate(&database, &half("UPDATE t SET a = a + 2")).await.expect_code(3);
    run.expect_stderr("it was edited after it was started").expect_stderr("--resume-from 2");
}

#[tokio::test]
async fn a_begun_transaction_without_a_record_was_not_committed() {
    let statement = "BEGIN;\nUPDATE t SET a = a + 1;\nCOMMIT";
    let database = begun(statement, 1).await;
    migrate(&database, &half(&format!("{statement};"))).await.expect_code(0);
    assert_eq!(database.values::<i32>("SELECT a FROM t").await, [2]);
}

#[tokio::test]
async fn a_begun_index_counts_as_done_when_an_equal_one_is_there() {
    for (statement, by_hand) in [
        ("CREATE INDEX CONCURRENTLY i ON t (a)", "CREATE INDEX i ON public.t USING btree (a ASC NULLS LAST)"),
        (
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON public.t (b) WHERE a>0",
            "CREATE INDEX i ON t (b) WHERE (a > 0)",
        ),
        (
            "create unique index concurrently \"I\" on \"t\" (lower(b) desc)",
            "CREATE UNIQUE INDEX \"I\" ON t (lower(b) DESC)",
        ),
        ("CREATE INDEX i ON t (a) INCLUDE (b)", "CREATE INDEX i ON t (a) INCLUDE (b)"),
    ] {
        let database = begun(statement, 1).await;
        database.execute(by_hand).await;
        let before: Vec<i64> = indexes(&database).await;
        migrate(&database, &half(&format!("{statement};"))).await.expect_code(0);
        assert_eq!(indexes(&database).await, before, "{statement}");
        assert_eq!(database.applied().await, [1, 2]);
    }
}

async fn indexes(database: &Database) -> Vec<i64> {
    database.values("SELECT indexrelid::int8 FROM pg_index WHERE indrelid = 't'::regclass").await
}

#[tokio::test]
async fn a_begun_index_is_built_when_there_is_none_and_rebuilt_when_it_is_invalid() {
    let statement = "CREATE INDEX CONCURRENTLY i ON t (a)";
    for exists in [false, true] {
        let database = begun(statement, 1).await;
        if exists {
            database.execute("CREATE INDEX i ON t (a)").await;
            database.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'i'::regclass").await;
        }
        let before = indexes(&database).await;
        migrate(&database, &half(statement)).await.expect_code(0);
        assert!(
            database.value::<bool>("SELECT indisvalid FROM pg_index WHERE indrelid = 't'::regclass").await
        );
        assert_ne!(indexes(&database).await, before);
    }
}

#[tokio::test]
async fn a_begun_index_of_another_definition_is_asked_for() {
    for by_hand in [
        "CREATE INDEX i ON t (b)",
        "CREATE UNIQUE INDEX i ON t (a)",
        "CREATE INDEX i ON t (a DESC)",
        "CREATE INDEX i ON t USING hash (a)",
        "CREATE INDEX i ON t (a) WHERE a > 0",
        "CREATE TABLE other (a int); CREATE INDEX i ON other (a)",
        "CREATE TABLE i ()",
    ] {
        let database = begun("CREATE INDEX CONCURRENTLY i ON t (a)", 1).await;
        database.execute(by_hand).await;
        let run = migrate(&database, &half("CREATE INDEX CONCURRENTLY i ON t (a)")).await;
        assert_eq!(run.code, Some(3), "{by_hand}: {run}");
        run.expect_stderr("--resume-from 2").expect_stderr("--resume-from 1");
    }
}

#[tokio::test]
async fn a_begun_index_on_only_the_parent_counts_as_done_though_it_is_invalid_by_design() {
    let statement = "CREATE INDEX i ON ONLY p (a)";
    let database = begun(statement, 1).await;
    database.execute(&format!("CREATE TABLE p (a int) PARTITION BY RANGE (a); {statement}")).await;
    migrate(&database, &half(statement)).await.expect_code(0);
}

#[tokio::test]
async fn settings_of_finished_statements_are_made_again() {
    let database = Database::fresh().await;
    for set in [
        "SET search_path = other",
        "SELECT pg_catalog.set_config('search_path', 'other', false)",
        "BEGIN; SET search_path = other; COMMIT",
    ] {
        database.clear().await;
        database.execute("CREATE SCHEMA other").await;
        let sql = format!("{set};\nCREATE TABLE one ();\nSELECT 1 / $;\nCREATE TABLE two ();");
        migrate(&database, &half(&sql.replace('$', "0"))).await.expect_code(3);
        migrate(&database, &half(&sql.replace('$', "1"))).await.expect_code(0);
        assert!(database.has("other.one").await && database.has("other.two").await, "{set}");
    }
}

#[tokio::test]
async fn a_role_of_finished_statements_is_taken_on_again() {
    let database = Database::fresh().await;
    let role = database.create_role("").await;
    database.execute(&format!("GRANT CREATE ON SCHEMA public TO {role}")).await;
    let sql = format!("SET ROLE {role}; SELECT 1 / $; CREATE TABLE theirs ();");
    migrate(&database, &half(&sql.replace('$', "0"))).await.expect_code(3);
    migrate(&database, &half(&sql.replace('$', "1"))).await.expect_code(0);
    let owner = "SELECT relowner::regrole::text FROM pg_class WHERE oid = 'theirs'::regclass";
    assert_eq!(database.value::<String>(owner).await, role);
}

#[tokio::test]
async fn a_file_with_temporary_objects_is_not_resumed_by_itself() {
    let database = Database::fresh().await;
    for temporary in [
        "CREATE TEMP TABLE x AS SELECT 1",
        "PREPARE x AS SELECT 1",
        "DECLARE x CURSOR WITH HOLD FOR SELECT 1",
    ] {
        database.clear().await;
        let sql = format!("{temporary};\nSELECT 1 / $;\nINSERT INTO t VALUES (2);");
        migrate(&database, &half(&sql.replace('$', "0"))).await.expect_code(3);
        let fixed = half(&sql.replace('$', "1"));
        let run = migrate(&database, &fixed).await.expect_code(3);
        run.expect_stderr("cannot be resumed at statement 2 by itself").expect_stderr("temporary");

        Corveil::migrate(&database, &fixed).args(["--resume-from", "2"]).run().await.expect_code(0);
        assert_eq!(count(&database, "t").await, 2);
    }
}

#[tokio::test]
async fn a_file_whose_statements_are_all_done_is_only_recorded() {
    let database = begun("INSERT INTO t VALUES (2)", 1).await;
    database.execute("UPDATE _corveil_statements SET state = 'finished'").await;
    record(&database, 2, "CREATE TEMP TABLE x ()", "finished").await;
    migrate(&database, &half("INSERT INTO t VALUES (2); CREATE TEMP TABLE x ();")).await.expect_code(0);
    assert_eq!(database.applied().await, [1, 2]);
    assert_eq!(count(&database, "t").await, 1);
}

#[tokio::test]
async fn a_half_done_first_file_is_known_again_though_no_file_is_applied() {
    let database = Database::fresh().await;
    let sql = "-- no-transaction\nCREATE TABLE a (); SELECT 1 / $;";
    let folder = Folder::new().file("1_a.sql", sql.replace('$', "0"));
    migrate(&database, &folder).await.expect_code(3);
    folder.put("1_a.sql", sql.replace('$', "1"));
    migrate(&database, &folder).await.expect_code(0);
}

#[tokio::test]
async fn a_half_applied_file_that_was_removed_is_missed_once_newer_files_are_here() {
    for left in [
        "INSERT INTO t VALUES (2); SELECT 1 / 0",
        "DO $$ BEGIN INSERT INTO t VALUES (2); COMMIT; RAISE 'no'; END $$",
    ] {
        let (database, folder) = (Database::fresh().await, half(left));
        migrate(&database, &folder).await.expect_code(3);
        folder.remove("2_half.sql");
        // As after a rollback to a build that does not have the file yet.
        migrate(&database, &folder).await.expect_code(0);
        folder.put("3_more.sql", "CREATE TABLE more ()");
        let run = migrate(&database, &folder).await.expect_code(4);
        run.expect_stderr("version 2 is half applied and has no file, although newer files are here");
        assert!(!database.has("more").await);
        let run = Corveil::with("verify", &database, &folder).run().await.expect_code(4);
        let hint = run.stdout.split('`').find(|part| part.starts_with("DELETE FROM")).unwrap();
        database.execute(hint).await;
        migrate(&database, &folder).await.expect_code(0);
    }
}

#[tokio::test]
async fn records_of_a_file_that_came_to_nothing_do_not_stay() {
    // Removed; a transaction now; applied by another tool.
    let failing = "INSERT INTO t VALUES (1 / 0)";
    let removed = |folder: &Folder| folder.remove("2_half.sql");
    let transaction = |folder: &Folder| folder.put("2_half.sql", "INSERT INTO t VALUES (2)");
    for change in [&removed as &dyn Fn(&Folder), &transaction] {
        let (database, folder) = (Database::fresh().await, half(failing));
        migrate(&database, &folder).await.expect_code(3);
        assert_eq!(count(&database, "_corveil_statements").await, 1);
        change(&folder);
        migrate(&database, &folder).await.expect_code(0);
        assert_eq!(count(&database, "_corveil_statements").await, 0);
    }
    let (database, folder) = (Database::fresh().await, half("INSERT INTO t VALUES (2)"));
    migrate(&database, &folder).await.expect_code(0);
    record(&database, 1, "INSERT INTO t VALUES (2)", "finished").await;
    record(&database, 2, "VACUUM", "started").await;
    migrate(&database, &folder).await.expect_code(0);
    assert_eq!(count(&database, "_corveil_statements").await, 0);
}

#[tokio::test]
async fn records_of_an_earlier_build_are_read_and_their_table_completed() {
    let statement = "CREATE INDEX CONCURRENTLY i ON t (a)";
    let database = begun(statement, 1).await;
    database.execute("ALTER TABLE _corveil_statements DROP COLUMN statement, DROP COLUMN relation").await;
    Corveil::with("verify", &database, &half(statement)).run().await.expect_code(4);
    migrate(&database, &half(statement)).await.expect_code(0);
    assert_eq!(count(&database, "_corveil_statements").await, 0);
}

#[tokio::test]
async fn a_begun_index_without_a_name_is_built_unless_an_equal_one_is_there() {
    let statement = "CREATE INDEX CONCURRENTLY ON t (a)";
    for (by_hand, code) in [("SELECT", 0), ("CREATE INDEX x ON t (b)", 0), ("CREATE INDEX x ON t (a)", 3)] {
        let database = begun(statement, 1).await;
        database.execute(by_hand).await;
        migrate(&database, &half(statement)).await.expect_code(code);
    }
}

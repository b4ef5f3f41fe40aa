//! CREATE INDEX CONCURRENTLY that fails, is repeated, is left INVALID, and waits for readers.

use std::time::Duration;

use serde_json::json;
use sqlx::{Connection, Executor};

use crate::support::corveil::Outcome;
use crate::support::{Corveil, Database, Folder, wait_until};

const FIRST: &str =
    "CREATE TABLE t (a int, b int); CREATE TABLE other (a int); INSERT INTO t VALUES (1, 1), (1, 2)";

fn folder(second: &str) -> Folder {
    Folder::new().file("1_first.sql", FIRST).file("2_index.sql", format!("-- no-transaction\n{second}"))
}

async fn migrate(database: &Database, folder: &Folder) -> Outcome {
    Corveil::migrate(database, folder).run().await
}

/// The validity of each index of `t`.
async fn validity(database: &Database) -> Vec<bool> {
    database.values("SELECT indisvalid FROM pg_index WHERE indrelid = 't'::regclass ORDER BY 1").await
}

/// A database whose migrations are applied and whose index `i` became INVALID afterwards.
async fn spoilt(folder: &Folder) -> Database {
    let database = Database::fresh().await;
    migrate(&database, folder).await.expect_code(0);
    database.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'i'::regclass").await;
    database
}

#[tokio::test]
async fn an_index_that_failed_is_built_again_once_its_data_allow_it() {
    for statement in [
        "CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)",
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)",
        "CREATE UNIQUE INDEX CONCURRENTLY ON t (a)",
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS \"I\" ON public.\"t\" (a);\nCREATE INDEX CONCURRENTLY ON t (b)",
    ] {
        let (database, folder) = (Database::fresh().await, folder(statement));
        let run = migrate(&database, &folder).await.expect_code(3);
        run.expect_stderr("(SQLSTATE 23505)")
            .expect_stderr("2_index.sql:2:1")
            .expect_stderr("dropping INVALID index \"public\".");
        // INVALID it would keep rejecting rows of the version that still serves.
        assert_eq!(validity(&database).await, [false; 0], "{statement}");
        migrate(&database, &folder).await.expect_code(3);
        assert_eq!(validity(&database).await, [false; 0], "{statement}");

        database.execute("DELETE FROM t WHERE b = 2").await;
        migrate(&database, &folder).await.expect_code(0);
        assert!(validity(&database).await.iter().all(|valid| *valid), "{statement}");
        assert_eq!(database.applied().await, [1, 2]);
    }
}

/// A database in which the build of the second file was cancelled, so that its index is INVALID.
async fn cancelled(folder: &Folder) -> Database {
    let database = Database::fresh().await;
    Corveil::migrate(&database, folder).args(["--target", "1"]).run().await.expect_code(0);
    let writer = database.begin("LOCK TABLE t IN ROW EXCLUSIVE MODE").await;
    let run = Corveil::migrate(&database, folder).spawn();
    database.runner("query LIKE '%INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'").await;
    run.signal("TERM").await;
    run.wait().await.expect_code(75);
    writer.close().await.unwrap();
    assert_eq!(validity(&database).await, [false]);
    database
}

/// The statements that [`cancelled`] is tried with: named, unnamed, and found by another search path; names are cut to 63 bytes.
const BUILDS: [&str; 4] = [
    "CREATE UNIQUE INDEX CONCURRENTLY t_b_key ON t (b)",
    "CREATE INDEX CONCURRENTLY ON public.t (a)",
    "SET search_path = pg_catalog, public; CREATE INDEX CONCURRENTLY IF NOT EXISTS \"T\" ON t (b)",
    "CREATE INDEX CONCURRENTLY a_name_that_is_a_good_deal_longer_than_the_sixty_three_bytes_that_are_kept_of_it ON t (a)",
];

#[tokio::test]
async fn a_cancelled_build_is_built_by_the_next_run() {
    for build in BUILDS {
        let folder = folder(build);
        let database = cancelled(&folder).await;
        migrate(&database, &folder).await.expect_code(0).expect_stderr("dropping INVALID index \"public\".");
        assert_eq!(validity(&database).await, [true], "{build}");
    }
}

#[tokio::test]
async fn no_index_of_a_cancelled_build_is_left_when_its_statement_is_gone() {
    let [unique, unnamed, _, long] = BUILDS;
    for (build, name, content, expected) in [
        // Under another name, of another kind, with fewer statements, in a transaction.
        (unique, "2_index.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY second ON t (a)", 1),
        (unnamed, "2_index.sql", "-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY ON t (a, b)", 1),
        (long, "2_index.sql", "-- no-transaction\nCREATE TABLE more ()", 0),
        (unnamed, "2_index.sql", "-- no-transaction\n", 0),
        (unnamed, "2_index.sql", "CREATE INDEX second ON t (a)", 1),
        (unique, "2_index.sql", "CREATE INDEX t_b_key ON t (a)", 1),
        // Removed, with a newer file or without one.
        (long, "3_more.sql", "CREATE TABLE more ()", 0),
        (unnamed, "3_more.sql", "CREATE TABLE more ()", 0),
        (unique, "no_migration.txt", "", 0),
    ] {
        let folder = folder(build);
        let database = cancelled(&folder).await;
        folder.remove("2_index.sql");
        folder.put(name, content);
        let case = format!("{build} became {name} {content}");
        let run = migrate(&database, &folder).await;
        assert_eq!(run.code, Some(0), "{case}: {run}");
        assert_eq!(validity(&database).await, vec![true; expected], "{case}");
        assert_eq!(database.value::<i64>("SELECT count(*) FROM _corveil_statements").await, 0, "{case}");
        Corveil::with("verify", &database, &folder).run().await.expect_code(0);
    }
}

#[tokio::test]
async fn a_cancelled_build_that_counts_as_done_is_reported_not_dropped() {
    let folder = folder("CREATE INDEX CONCURRENTLY i ON t (a)");
    let database = cancelled(&folder).await;
    // Edited, the statement no longer is the one of the record.
    folder.put("2_index.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY i ON t (a, b)");
    let run = Corveil::migrate(&database, &folder).args(["--resume-from", "2"]).run().await.expect_code(4);
    run.expect_stderr("REINDEX INDEX CONCURRENTLY \"public\".\"i\"");
    assert_eq!(validity(&database).await, [false]);
}

#[tokio::test]
async fn the_statement_of_a_failed_index_may_be_changed() {
    let (database, folder) = (Database::fresh().await, folder("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)"));
    migrate(&database, &folder).await.expect_code(3);
    folder.put(
        "2_index.sql",
        "-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a, b)",
    );
    migrate(&database, &folder).await.expect_code(0);
    assert_eq!(validity(&database).await, [true]);
}

#[tokio::test]
async fn a_valid_index_is_never_dropped() {
    let database = Database::fresh().await;
    let folder = folder("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)");
    Corveil::migrate(&database, &folder).args(["--target", "1"]).run().await.expect_code(0);
    database.execute("CREATE INDEX i ON t (a)").await;
    let oid = "SELECT 'i'::regclass::oid::int8";
    let before: i64 = database.value(oid).await;
    migrate(&database, &folder).await.expect_code(0);
    assert_eq!(database.value::<i64>(oid).await, before);
}

#[tokio::test]
async fn an_invalid_index_with_nothing_pending_fails_with_the_command_that_fixes_it() {
    let folder = folder("CREATE INDEX CONCURRENTLY i ON t (a)");
    let database = spoilt(&folder).await;
    let run = Corveil::migrate(&database, &folder).args(["--output", "json"]).run().await.expect_code(4);
    let finding = &run.json()["error"]["findings"][0];
    assert_eq!(finding["kind"], json!("invalid_index"));
    let hint = finding["hint"].as_str().unwrap();
    assert_eq!(hint, "`psql -c 'REINDEX INDEX CONCURRENTLY \"public\".\"i\"'`");

    database.execute(hint.split('\'').nth(1).unwrap()).await;
    migrate(&database, &folder).await.expect_code(0);
}

#[tokio::test]
async fn a_run_does_not_succeed_while_an_index_of_an_older_migration_is_invalid() {
    let folder = folder("CREATE INDEX CONCURRENTLY i ON t (a)");
    let database = spoilt(&folder).await;
    folder.put("3_more.sql", "CREATE TABLE more ()");
    migrate(&database, &folder)
        .await
        .expect_code(4)
        .expect_stderr("index \"public\".\"i\" on table \"t\" is INVALID");
    assert_eq!(database.applied().await, [1, 2, 3]);
}

#[tokio::test]
async fn an_index_without_concurrently_that_became_invalid_is_reported_too() {
    let folder = Folder::new().file("1_first.sql", format!("{FIRST}; CREATE INDEX i ON t (a)"));
    let database = spoilt(&folder).await;
    migrate(&database, &folder).await.expect_code(4);
}

#[tokio::test]
async fn an_invalid_index_that_no_migration_made_concerns_verify_alone() {
    let folder = folder("CREATE INDEX CONCURRENTLY j ON t (a)");
    let database = Database::fresh().await;
    migrate(&database, &folder).await.expect_code(0);
    database.execute("CREATE INDEX i ON t (b)").await;
    database.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'i'::regclass").await;
    migrate(&database, &folder).await.expect_code(0);

    let run = Corveil::with("verify", &database, &folder).run().await.expect_code(4);
    run.expect_stdout("index \"public\".\"i\" on table \"t\" is INVALID")
        .expect_stdout("REINDEX INDEX CONCURRENTLY \"public\".\"i\"");
}

#[tokio::test]
async fn an_invalid_index_is_seen_while_a_vacuum_holds_its_table() {
    let folder = folder("CREATE INDEX CONCURRENTLY i ON t (a)");
    let database = spoilt(&folder).await;
    // The lock of VACUUM and ANALYZE, and of a build.
    let vacuum = database.begin("LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE").await;
    migrate(&database, &folder).await.expect_code(4);
    drop(vacuum);
}

#[tokio::test]
async fn an_index_that_is_being_built_is_no_finding_even_to_a_role_that_sees_no_other_sessions() {
    let database = Database::fresh().await;
    let owner = database.create_role("").await;
    database.execute(&format!("GRANT CREATE ON SCHEMA public TO {owner}")).await;
    let folder = folder("CREATE INDEX CONCURRENTLY i ON t (a)");
    let migrate = || Corveil::migrate(&database, &folder).url(&database.url_as(&owner));
    migrate().run().await.expect_code(0);
    let writer = database.begin("LOCK TABLE t IN ROW EXCLUSIVE MODE").await;
    let url = database.url();
    let rebuild = tokio::spawn(async move {
        url.connect().await.unwrap().execute("REINDEX TABLE CONCURRENTLY t").await.unwrap();
    });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
                 AND query LIKE 'REINDEX%'";
    wait_until("the indexes are being rebuilt", Duration::from_secs(20), async || {
        database.value::<i64>(waits).await == 1
    })
    .await;
    assert!(validity(&database).await.contains(&false));
    migrate().run().await.expect_code(0);
    drop(writer);
    rebuild.await.unwrap();
}

#[tokio::test]
async fn an_index_on_only_the_parent_is_invalid_by_design() {
    let database = Database::fresh().await;
    let folder = Folder::new()
        .file("1_a.sql", "CREATE TABLE t (a int) PARTITION BY RANGE (a); CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (9)")
        .file("2_b.sql", "CREATE INDEX i ON ONLY t (a)")
        .file("3_c.sql", "-- no-transaction\nCREATE INDEX IF NOT EXISTS i ON ONLY t (a)");
    migrate(&database, &folder).await.expect_code(0);
    assert_eq!(validity(&database).await, [false]);
    migrate(&database, &folder).await.expect_code(0);
    Corveil::with("verify", &database, &folder).run().await.expect_code(0);

    folder.put(
        "4_d.sql",
        "-- no-transaction\nCREATE INDEX CONCURRENTLY i1 ON t1 (a); ALTER INDEX i ATTACH PARTITION i1",
    );
    migrate(&database, &folder).await.expect_code(0);
    assert_eq!(validity(&database).await, [true]);
}

#[tokio::test]
async fn a_concurrent_build_waits_longer_than_the_lock_timeout_for_a_reader_of_another_table() {
    let database = Database::fresh().await;
    let folder = folder(
        "CREATE INDEX CONCURRENTLY i ON t (a);\nDROP INDEX CONCURRENTLY i;\nCREATE INDEX CONCURRENTLY i ON t (b);",
    );
    Corveil::migrate(&database, &folder).args(["--target", "1"]).run().await.expect_code(0);
    let mut reader = database.connect().await;
    reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM other").await.unwrap();

    let run = Corveil::migrate(&database, &folder).args(["--lock-timeout", "50ms", "--retries", "0"]).spawn();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
                 AND query LIKE 'CREATE INDEX%' AND clock_timestamp() - query_start > interval '200 ms'";
    wait_until("the build has waited for long", Duration::from_secs(20), async || {
        database.value::<i64>(waits).await == 1
    })
    .await;
    reader.execute("COMMIT").await.unwrap();
    run.wait().await.expect_code(0).expect_no_stderr("retry");
    assert_eq!(validity(&database).await, [true]);
}

#[tokio::test]
async fn a_concurrent_build_has_a_lock_timeout_when_the_file_asks_for_one() {
    let database = Database::fresh().await;
    for own in [
        "-- corveil:lock-timeout 50ms\n",
        "SET lock_timeout = '50ms';\n",
        "SET SESSION lock_timeout TO 50;\n",
    ] {
        database.clear().await;
        let folder = folder(&format!("{own}CREATE INDEX CONCURRENTLY i ON t (a)"));
        Corveil::migrate(&database, &folder).args(["--target", "1"]).run().await.expect_code(0);
        let mut reader = database.connect().await;
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM other").await.unwrap();

        let run = Corveil::migrate(&database, &folder).args(["--retries", "0"]).run().await.expect_code(75);
        run.expect_stderr("(SQLSTATE 55P03)");
        assert_eq!(validity(&database).await, [false]);
        // The INVALID index is dropped under the same timeout.
        reader.execute("COMMIT").await.unwrap();
        migrate(&database, &folder).await.expect_code(0);
        assert_eq!(validity(&database).await, [true]);
    }
}

#[tokio::test]
async fn an_ordinary_statement_after_a_concurrent_one_has_its_lock_timeout_again() {
    let database = Database::fresh().await;
    let folder = folder(
        "CREATE INDEX CONCURRENTLY i ON t (a);\nCREATE TABLE seen AS SELECT current_setting('lock_timeout') AS value",
    );
    migrate(&database, &folder).await.expect_code(0);
    assert_eq!(database.value::<String>("SELECT value FROM seen").await, "2s");
}

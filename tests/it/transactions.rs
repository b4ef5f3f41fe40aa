//! A file and its history row in one transaction, whatever the file does to roles, paths and its own last line.

use std::path::Path;

use sqlx::migrate::Migrator;

use crate::support::{Corveil, Database, Folder, Proxy, schema};

#[tokio::test]
async fn history_rows_are_those_that_sqlx_writes() {
    let folder = Folder::new()
        .file("0001_create_users.sql", "CREATE TABLE users (id int);\n")
        .file("20240102030405_a__b_.up.sql", "ALTER TABLE users ADD a int")
        .file("20240102030405_a__b_.down.sql", "ALTER TABLE users DROP a")
        .file("20240102030406_it's_a_\\_\"name\".sql", "SELECT 'ä'")
        .file("20240102030407_twice.sql.sql", "-- no-transaction\nVACUUM users")
        .file("20240102030408_.sql", "");
    let (ours, theirs) = (Database::fresh().await, Database::fresh().await);
    Corveil::migrate(&ours, &folder).run().await.expect_code(0);
    sqlx_migrate(&theirs, folder.path()).await;

    let rows =
        "SELECT row(version, description, success, checksum)::text FROM _sqlx_migrations ORDER BY version";
    let expected: Vec<String> = theirs.values(rows).await;
    assert_eq!(expected.len(), 5);
    assert_eq!(ours.values::<String>(rows).await, expected);

    // And so is the table.
    ours.execute("DROP TABLE _corveil_runs, _corveil_statements").await;
    assert_eq!(schema::dump(&ours).await, schema::dump(&theirs).await);
}

async fn sqlx_migrate(database: &Database, folder: &Path) {
    let migrator = Migrator::new(folder).await.unwrap();
    migrator.run(&mut database.connect().await).await.unwrap();
}

#[tokio::test]
async fn history_rows_have_the_time_and_the_duration_in_nanoseconds() {
    let database = Database::fresh().await;
    let sleep = "SELECT pg_sleep(0.02)";
    let folder = Folder::new().file("1_a.sql", sleep).file("2_b.sql", format!("-- no-transaction\n{sleep}"));
    Corveil::migrate(&database, &folder).run().await.expect_code(0);

    for nanoseconds in database.values::<i64>("SELECT execution_time FROM _sqlx_migrations").await {
        assert!((20_000_000..20_000_000_000).contains(&nanoseconds), "{nanoseconds} ns");
    }
    let recent =
        "SELECT bool_and(installed_on BETWEEN now() - interval '1 min' AND now()) FROM _sqlx_migrations";
    assert!(database.value::<bool>(recent).await);
}

#[tokio::test]
async fn a_file_and_its_row_are_one_transaction() {
    let database = Database::fresh().await;
    let folder = Folder::new()
        .file("1_a.sql", "CREATE TABLE a (i int); INSERT INTO a VALUES (1); INSERT INTO a VALUES (2);");
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    let transactions = "SELECT count(DISTINCT id) FROM (SELECT xmin::text FROM a UNION ALL SELECT xmin::text FROM _sqlx_migrations) AS t (id)";
    assert_eq!(database.value::<i64>(transactions).await, 1);
}

#[tokio::test]
async fn a_file_costs_one_round_trip() {
    let mut counts = Vec::new();
    for files in [1, 11] {
        let (database, folder) = (Database::fresh().await, Folder::new());
        for file in 1..=files {
            folder.put(
                &format!("{file}_a.sql"),
                format!("CREATE TABLE t{file} (); CREATE INDEX ON t{file} ((1));"),
            );
        }
        let proxy = Proxy::before(database.url().port);
        Corveil::migrate(&database, &folder).url(&proxy.url(&database)).run().await.expect_code(0);
        // How often the second connection observes the run depends on how busy the machine is.
        counts.push(proxy.round_trips_of_the_busiest());
    }
    assert_eq!(counts[1] - counts[0], 10, "{counts:?}");
}

#[tokio::test]
async fn what_fails_is_rolled_back_whole_and_what_was_before_stays() {
    let database = Database::fresh().await;
    let folder = Folder::new()
        .file("1_a.sql", "CREATE TABLE a ()")
        .file("2_b.sql", "CREATE TABLE b (); DROP TABLE a; SELECT 1/0; CREATE TABLE c ();")
        .file("3_c.sql", "CREATE TABLE d ()");
    Corveil::migrate(&database, &folder).run().await.expect_code(3);
    assert_eq!(database.applied().await, [1]);
    assert!(database.has("a").await);
    assert!(!database.has("b").await && !database.has("c").await && !database.has("d").await);

    folder.put("2_b.sql", "CREATE TABLE b ()");
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    assert_eq!(database.applied().await, [1, 2, 3]);
}

#[tokio::test]
async fn every_way_to_end_a_file_keeps_what_follows_it() {
    let (database, folder) = (Database::fresh().await, Folder::new());
    for (version, sql) in [
        (1, "CREATE TABLE t1 ();\n-- the end, without a line break"),
        (2, "CREATE TABLE t2 () -- neither semicolon nor line break"),
        (3, "CREATE TABLE t3 ()"),
        (4, "CREATE TABLE t4 ();--"),
        (5, "CREATE TABLE t5 (); /* /* nested */ */"),
        (6, "CREATE TABLE t6 ();;; \r\n"),
        (7, "\u{a0}--\nCREATE TABLE t7 ();".trim_start_matches('\u{a0}')),
    ] {
        folder.put(&format!("{version}_t.sql"), sql);
    }
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    assert_eq!(database.applied().await, [1, 2, 3, 4, 5, 6, 7]);
    for version in 1..=7 {
        assert!(database.has(&format!("t{version}")).await, "t{version}");
    }
}

#[tokio::test]
async fn a_file_that_leaves_its_search_path_or_role_is_recorded_all_the_same() {
    let (database, folder) = (Database::fresh().await, Folder::new());
    let role = database.create_role("").await;
    database.execute(&format!("CREATE SCHEMA theirs AUTHORIZATION {role}")).await;
    for (version, leave) in [
        "SET search_path = ''",
        "SET LOCAL search_path = theirs",
        "SELECT pg_catalog.set_config('search_path', '', false)",
        "SET ROLE $",
        "SET LOCAL ROLE $",
        "SET SESSION AUTHORIZATION $",
        "SET LOCAL SESSION AUTHORIZATION $",
        "SET SESSION AUTHORIZATION $; SET ROLE $; SET search_path = ''",
    ]
    .iter()
    .enumerate()
    {
        let leave = leave.replace('$', &role);
        folder.put(&format!("{version}_leave.sql"), format!("{leave}; CREATE TABLE theirs.t{version} ()"));
    }
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    assert_eq!(database.applied().await, [0, 1, 2, 3, 4, 5, 6, 7]);
    let owned = format!(
        "SELECT relname::text FROM pg_class WHERE relowner = '{role}'::regrole AND relkind = 'r' ORDER BY 1"
    );
    assert_eq!(database.values::<String>(&owned).await, ["t3", "t4", "t5", "t6", "t7"]);
}

#[tokio::test]
async fn a_file_may_set_up_its_transaction() {
    let database = Database::fresh().await;
    for (sql, setting, expected) in [
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; $", "transaction_isolation", "serializable"),
        (
            "-- why\nSET TRANSACTION ISOLATION LEVEL REPEATABLE READ;\n$",
            "transaction_isolation",
            "repeatable read",
        ),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE; $; COMMIT", "transaction_isolation", "serializable"),
        (
            "START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE; $; END;",
            "transaction_isolation",
            "repeatable read",
        ),
        ("BEGIN TRANSACTION; $; COMMIT WORK; -- done", "transaction_isolation", "read committed"),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE DEFERRABLE; $; COMMIT", "transaction_deferrable", "on"),
        (
            "BEGIN; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; $; COMMIT",
            "transaction_isolation",
            "serializable",
        ),
    ] {
        database.clear().await;
        let sql =
            sql.replace('$', &format!("CREATE TABLE seen AS SELECT current_setting('{setting}') AS value"));
        Corveil::migrate(&database, &Folder::new().file("1_a.sql", &sql)).run().await.expect_code(0);
        assert_eq!(database.value::<String>("SELECT value FROM seen").await, expected, "{sql}");
    }
}

#[tokio::test]
async fn a_wrapped_file_is_one_transaction_with_its_row() {
    let database = Database::fresh().await;
    let folder = Folder::new()
        .file("1_a.sql", "-- From a real history.\nBEGIN;\n\nCREATE TABLE a (i int);\nINSERT INTO a VALUES (1);\n\nCOMMIT;\n")
        .file("2_b.sql", "BEGIN;\nCREATE TABLE b ();\nSELECT 1/0;\nCOMMIT;\n");
    let run = Corveil::migrate(&database, &folder).run().await.expect_code(3);
    // Without a warning of the server that a transaction is in progress already, or none is.
    run.expect_no_stderr("transaction in progress");
    assert_eq!(database.applied().await, [1]);
    assert!(!database.has("b").await);
    let transactions = "SELECT count(DISTINCT id) FROM (SELECT xmin::text FROM a UNION ALL SELECT xmin::text FROM _sqlx_migrations) AS t (id)";
    assert_eq!(database.value::<i64>(transactions).await, 1);
}

#[tokio::test]
async fn an_enum_value_that_one_file_adds_can_be_used_by_the_next() {
    let database = Database::fresh().await;
    let folder = Folder::new()
        .file("1_a.sql", "CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE t (m mood)")
        .file("2_b.sql", "ALTER TYPE mood ADD VALUE 'happy'")
        .file("3_c.sql", "INSERT INTO t VALUES ('happy')")
        .file(
            "4_d.sql",
            "-- no-transaction\nALTER TYPE mood ADD VALUE 'glad'; INSERT INTO t VALUES ('glad')",
        );
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    assert_eq!(database.values::<String>("SELECT m::text FROM t ORDER BY 1").await, ["glad", "happy"]);
}

#[tokio::test]
async fn the_history_lives_where_the_search_path_points_at_connect() {
    let database = Database::fresh().await;
    let role = database.create_role("").await;
    database
        .execute(&format!("CREATE SCHEMA app AUTHORIZATION {role}; ALTER ROLE {role} SET search_path = app"))
        .await;
    let folder = Folder::new()
        .file("1_a.sql", "CREATE TABLE a ()")
        .file("2_b.sql", "-- no-transaction\nCREATE TABLE b ()");
    let corveil = |command| Corveil::with(command, &database, &folder).url(&database.url_as(&role));
    corveil("migrate").run().await.expect_code(0);
    assert_eq!(database.values::<i64>("SELECT version FROM app._sqlx_migrations ORDER BY 1").await, [1, 2]);
    assert!(database.has("app.a").await && database.has("app._corveil_runs").await);
    corveil("status").run().await.expect_code(0);
}

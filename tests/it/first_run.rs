//! The first run, a run with nothing pending, a run up to a target version, and a dry run.

use sqlx::migrate::Migrate;

use crate::support::{Corveil, Database, Folder, Proxy};

fn three_files() -> Folder {
    Folder::new()
        .file("10_third.sql", "ALTER TABLE t ADD c int")
        .file("2_second.sql", "ALTER TABLE t ADD b int")
        .file("0001_first.sql", "CREATE TABLE t (a int)")
}

#[tokio::test]
async fn an_empty_database_gets_every_file_in_the_order_of_versions() {
    let (database, folder) = (Database::fresh().await, three_files());
    Corveil::migrate(&database, &folder)
        .run()
        .await
        .expect_code(0)
        .expect_stdout("applied 3 migrations")
        .expect_stdout("the schema is at version 10");

    assert_eq!(database.applied().await, [1, 2, 10]);
    let columns = "SELECT attname::text FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 ORDER BY attnum";
    assert_eq!(database.values::<String>(columns).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn without_a_folder_the_files_in_the_program_are_applied() {
    let database = Database::fresh().await;
    let corveil = |command| Corveil::new(command).url(&database.url());
    corveil("migrate").run().await.expect_code(0);

    assert!(database.has("api_keys").await);
    corveil("status").run().await.expect_code(0);
    corveil("verify").run().await.expect_code(0);
    corveil("wait").run().await.expect_code(0);
}

#[tokio::test]
async fn a_run_with_nothing_to_do_needs_two_round_trips_after_connecting() {
    let (database, folder) = (Database::fresh().await, three_files());
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    let proxy = Proxy::before(database.url().port);
    let _open = proxy.url(&database).connect().await.unwrap();
    let to_connect = proxy.round_trips();

    // The harness connects without asking for TLS, so this run must not ask either.
    let url = format!("{}?sslmode=disable", proxy.url(&database));
    let run = Corveil::migrate(&database, &folder).env("DATABASE_URL", url).run().await;
    run.expect_code(0).expect_stdout("nothing to do: the schema is at version 10");
    assert_eq!(proxy.connections(), 2);
    // The Terminate message counts too, although it has no answer.
    let round_trips = proxy.round_trips() - 2 * to_connect;
    assert!(round_trips <= 2, "{round_trips} round trips");
}

#[tokio::test]
async fn a_run_with_nothing_to_do_needs_no_right_but_to_read() {
    let (database, folder) = (Database::fresh().await, three_files());
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    let reader = database.create_role("").await;
    database.execute(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}")).await;

    Corveil::migrate(&database, &folder)
        .url(&database.url_as(&reader))
        .run()
        .await
        .expect_code(0)
        .expect_stdout("nothing to do");
}

#[tokio::test]
async fn a_run_with_nothing_to_do_takes_no_lock_and_leaves_no_row() {
    let (database, folder) = (Database::fresh().await, three_files());
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    let mut other = database.connect().await;
    other.lock().await.unwrap();

    Corveil::migrate(&database, &folder).args(["--lock-wait", "0s"]).run().await.expect_code(0);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM _corveil_runs").await, 1);
}

#[tokio::test]
async fn a_target_is_the_newest_version_that_is_applied() {
    let (database, folder) = (Database::fresh().await, three_files());
    Corveil::migrate(&database, &folder).args(["--target", "2"]).run().await.expect_code(0);
    assert_eq!(database.applied().await, [1, 2]);

    let again = Corveil::migrate(&database, &folder).env("CORVEIL_TARGET", "2").run().await;
    again.expect_code(0).expect_stdout("nothing to do: the schema is at version 2");
    // A target below what is applied undoes nothing.
    Corveil::migrate(&database, &folder).args(["--target", "1"]).run().await.expect_code(0);

    Corveil::migrate(&database, &folder).run().await.expect_code(0).expect_stdout("applied 1 migration ");
    assert_eq!(database.applied().await, [1, 2, 10]);
}

#[tokio::test]
async fn a_target_that_is_no_version_is_refused() {
    let (database, folder) = (Database::fresh().await, three_files());
    let run = Corveil::migrate(&database, &folder).args(["--target", "3"]).run().await;
    run.expect_code(2)
        .expect_stderr("`--target 3` is not the version of a migration file")
        .expect_stderr("hint: ");
    assert!(!database.is_touched().await);
}

#[tokio::test]
async fn a_dry_run_prints_what_it_would_do_and_does_nothing() {
    let (database, folder) = (Database::fresh().await, three_files());
    folder.put("11_fourth.sql", "-- no-transaction\nVACUUM; VACUUM");
    let dry = || Corveil::migrate(&database, &folder).arg("--dry-run");
    let expected = "would apply 0001_first.sql (1 statement in one transaction)\n\
                    would apply 2_second.sql (1 statement in one transaction)\n\
                    would apply 10_third.sql (1 statement in one transaction)\n\
                    would apply 11_fourth.sql (2 statements one by one)\n";
    assert_eq!(dry().run().await.expect_code(0).stdout, expected);
    assert!(!database.is_touched().await && !database.has("t").await);

    Corveil::migrate(&database, &folder).args(["--target", "10"]).run().await.expect_code(0);
    let rest = dry().run().await.expect_code(0);
    assert_eq!(rest.stdout, "would apply 11_fourth.sql (2 statements one by one)\n");
    assert_eq!(database.applied().await, [1, 2, 10]);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM _corveil_runs").await, 1);
}

#[tokio::test]
async fn a_dry_run_refuses_what_a_run_would_refuse() {
    let database = Database::fresh().await;
    let refused = Folder::new().file("1_a.sql", "COPY t FROM STDIN");
    Corveil::migrate(&database, &refused).arg("--dry-run").run().await.expect_code(2);

    database.execute("CREATE TABLE t ()").await;
    Corveil::migrate(&database, &three_files()).arg("--dry-run").run().await.expect_code(4);
}

#[tokio::test]
async fn files_that_are_no_migrations_are_ignored_and_sql_ones_are_named() {
    let (database, folder) = (Database::fresh().await, Folder::new());
    folder.put("1_a.sql", "CREATE TABLE a ()");
    for name in ["README.md", "seed.sql", "20240101-foo.sql", "1_a.down.sql", "2_a.txt"] {
        folder.put(name, "this is no SQL");
    }
    std::fs::create_dir(folder.path().join("3_folder.sql")).unwrap();

    let run = Corveil::migrate(&database, &folder).run().await.expect_code(0);
    let run = run
        .expect_stderr("`seed.sql` is not a migration")
        .expect_stderr("`20240101-foo.sql` is not a migration");
    run.expect_no_stderr("README.md").expect_no_stderr("down.sql").expect_no_stderr("2_a.txt");
    assert_eq!(database.applied().await, [1]);
}

#[tokio::test]
async fn files_without_a_statement_are_applied_with_a_warning() {
    let (database, folder) = (Database::fresh().await, Folder::new());
    for (name, content) in [
        ("1_empty.sql", ""),
        ("2_comments.sql", "-- later\n/* perhaps */"),
        ("3_semicolons.sql", ";;\n;"),
        ("4_blank.sql", "\n\n"),
        ("5_no_transaction.sql", "-- no-transaction\n"),
    ] {
        folder.put(name, content);
    }
    let run = Corveil::migrate(&database, &folder).run().await.expect_code(0);
    let warnings = run.stderr.matches("has no statement").count();
    assert_eq!(warnings, 5, "{run}");
    assert_eq!(database.applied().await, [1, 2, 3, 4, 5]);
}

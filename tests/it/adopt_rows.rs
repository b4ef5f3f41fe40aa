//! `corveil adopt` writes the same rows as sqlx, all of them or none, also next to other sessions and when it is stopped.

use std::time::Duration;

use sqlx::Connection;
use sqlx::migrate::{Migrate, Migrator};
use sqlx::postgres::PgConnection;

use crate::support::corveil::Running;
use crate::support::{Corveil, Database, Folder, schema};

fn folder() -> Folder {
    Folder::new()
        .file("1_a.sql", "CREATE TABLE a ()")
        .file("2_it's.up.sql", "CREATE TABLE b ()")
        .file("2_it's.down.sql", "DROP TABLE b")
        .file("3_c.sql", "CREATE TABLE c ()")
}

const TWO: &str = "CREATE TABLE a (); CREATE TABLE b ();";

/// A run that writes, and is blocked.
const WRITES: &str = "query LIKE '%BEGIN%CREATE TABLE%' AND wait_event_type = 'Lock'";

fn adopt(database: &Database, folder: &Folder) -> Corveil {
    Corveil::with("adopt", database, folder)
}

/// A run that waits for the lock, which the session holds.
async fn waiting(database: &Database, folder: &Folder) -> (PgConnection, Running) {
    let mut other = database.connect().await;
    other.lock().await.unwrap();
    let run = adopt(database, folder).spawn();
    run.until_it_logs("waiting for the migration lock").await;
    (other, run)
}

/// A run that writes: the table that sqlx has left there cannot be written to before the session ends.
async fn writing(database: &Database, folder: &Folder) -> (PgConnection, Running) {
    database.connect().await.ensure_migrations_table("_sqlx_migrations").await.unwrap();
    let blocker = database.begin("LOCK TABLE _sqlx_migrations IN SHARE MODE").await;
    let run = adopt(database, folder).spawn();
    database.runner(WRITES).await;
    (blocker, run)
}

#[tokio::test]
async fn sqlx_s_own_record_is_the_same_and_it_runs_nothing() {
    let (adopted, by_sqlx, folder) = (Database::fresh().await, Database::fresh().await, folder());
    for database in [&adopted, &by_sqlx] {
        database.execute(&format!("{TWO} CREATE TABLE c ();")).await;
    }
    adopt(&adopted, &folder).run().await.expect_code(0);
    let migrator = Migrator::new(folder.path()).await.unwrap();
    let mut connection = by_sqlx.connect().await;
    connection.ensure_migrations_table("_sqlx_migrations").await.unwrap();
    for migration in migrator.iter().filter(|migration| migration.migration_type.is_up_migration()) {
        connection.skip("_sqlx_migrations", migration).await.unwrap();
    }
    let rows = "SELECT row(version, description, success, checksum, execution_time)::text || (installed_on > now() - interval '1h')
                FROM _sqlx_migrations ORDER BY version";
    assert_eq!(adopted.values::<String>(rows).await, by_sqlx.values::<String>(rows).await);
    adopted.execute("DROP TABLE _corveil_runs, _corveil_statements").await;
    assert_eq!(schema::dump(&adopted).await, schema::dump(&by_sqlx).await);

    migrator.run(&mut adopted.connect().await).await.unwrap();
    assert_eq!(adopted.applied().await, [1, 2, 3]);
}

#[tokio::test]
async fn two_at_once_record_once() {
    let (database, folder) = (Database::fresh().await, folder());
    database.execute(TWO).await;
    let runs: Vec<_> = (0..4).map(|_| adopt(&database, &folder).spawn()).collect();
    for run in runs {
        run.wait().await.expect_code(0);
    }
    assert_eq!(database.applied().await, [1, 2]);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM _corveil_runs").await, 1);
    database.wait_until_left(Duration::from_secs(20)).await;
}

#[tokio::test]
async fn it_waits_for_whoever_migrates_and_gives_up_with_75() {
    let (database, folder) = (Database::fresh().await, folder());
    database.execute(TWO).await;
    let mut other = database.connect().await;
    other.lock().await.unwrap();
    let run = adopt(&database, &folder).args(["--lock-wait", "300ms"]).run().await.expect_code(75);
    run.expect_stderr("the migration lock was not obtained within 300ms: it is held by");
    let run = adopt(&database, &folder).args(["--deadline", "2s"]).run().await.expect_code(75);
    run.expect_stderr("stopped by its deadline of 2s");
    assert!(!database.is_touched().await);

    let run = adopt(&database, &folder).spawn();
    run.until_it_logs("waiting for the migration lock").await;
    other.unlock().await.unwrap();
    run.wait().await.expect_code(0);
    assert_eq!(database.applied().await, [1, 2]);
}

#[tokio::test]
async fn changes_before_the_lock_is_held_are_noticed() {
    let (database, folder) = (Database::fresh().await, folder());
    database.execute(TWO).await;
    let (mut other, run) = waiting(&database, &folder).await;
    database.execute("ALTER TABLE a ADD x int").await;
    other.unlock().await.unwrap();
    run.wait().await.expect_code(75).expect_stderr("changed while it was read; nothing was recorded");
    assert!(!database.is_touched().await);
}

#[tokio::test]
async fn a_signal_leaves_no_rows() {
    let (database, folder) = (Database::fresh().await, folder());
    database.execute(TWO).await;
    // While it waits for the lock.
    let (mut other, run) = waiting(&database, &folder).await;
    run.signal("TERM").await;
    run.wait().await.expect_code(75).expect_stderr("stopped by SIGTERM");
    other.unlock().await.unwrap();
    other.close().await.unwrap();
    assert!(!database.is_touched().await);

    // While it writes.
    let (blocker, run) = writing(&database, &folder).await;
    run.signal("TERM").await;
    run.wait().await.expect_code(75).expect_stderr("stopped by SIGTERM before anything was recorded");
    blocker.close().await.unwrap();
    assert!(database.applied().await.is_empty() && !database.has("_corveil_runs").await);
    database.wait_until_left(Duration::from_secs(20)).await;
    adopt(&database, &folder).run().await.expect_code(0);
}

#[tokio::test]
async fn a_kill_leaves_no_rows() {
    let (database, folder) = (Database::fresh().await, folder());
    database.execute(TWO).await;
    let (blocker, run) = writing(&database, &folder).await;
    run.kill().await;
    database.wait_until_left(Duration::from_secs(20)).await;
    blocker.close().await.unwrap();
    assert!(database.applied().await.is_empty() && !database.has("_corveil_runs").await);
    adopt(&database, &folder).run().await.expect_code(0);
    assert_eq!(database.applied().await, [1, 2]);
}

#[tokio::test]
async fn a_role_without_a_right_gets_an_error_that_names_it() {
    let (database, folder) = (Database::fresh().await, folder());
    // Before PostgreSQL 15 every role may create in `public`.
    database.execute(&format!("{TWO}; REVOKE CREATE ON SCHEMA public FROM PUBLIC")).await;
    let role = database.create_role("CREATEDB").await;
    let run = adopt(&database, &folder).url(&database.url_as(&role)).run().await.expect_code(2);
    run.expect_stderr("permission denied for schema public").expect_stderr("`MIGRATE_DATABASE_URL`");
    assert!(!database.is_touched().await);
}

#[tokio::test]
async fn the_app_s_role_may_read_what_was_recorded() {
    let (database, folder) = (Database::fresh().await, folder());
    database.execute(TWO).await;
    let app = database.create_role("").await;
    let run = adopt(&database, &folder)
        .url(&database.url_as(&app))
        .env("MIGRATE_DATABASE_URL", database.url().to_string());
    run.run().await.expect_code(0);
    let status = Corveil::with("status", &database, &folder).url(&database.url_as(&app));
    status.run().await.expect_code(1).expect_stdout("applied   1  a");
}

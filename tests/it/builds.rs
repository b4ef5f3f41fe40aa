//! Two builds on one database, as during every rollout and after every rollback.

use crate::support::{Corveil, Database, Folder};

fn build(files: usize) -> Folder {
    let folder = Folder::new();
    for version in 1..=files {
        folder.put(&format!("{version:04}_t.sql"), format!("CREATE TABLE t_{version} ()"));
    }
    folder
}

#[tokio::test]
async fn an_older_build_on_a_newer_schema_passes_with_one_warning() {
    let (database, old, new) = (Database::fresh().await, build(2), build(4));
    Corveil::migrate(&database, &old).run().await.expect_code(0);
    Corveil::migrate(&database, &new).run().await.expect_code(0);

    let outcome = Corveil::migrate(&database, &old).run().await.expect_code(0);
    assert_eq!(outcome.stderr.matches(" WARN ").count(), 1, "{outcome}");
    let outcome = outcome.expect_stderr("does not know versions 3, 4").expect_stdout("nothing to do");
    assert!(outcome.termination_log.is_empty(), "{outcome}");
    Corveil::with("status", &database, &old).run().await.expect_code(0).expect_stdout("unknown   4  t");
    Corveil::with("verify", &database, &old).run().await.expect_code(0);
    Corveil::with("wait", &database, &old).run().await.expect_code(0);
}

#[tokio::test]
async fn old_and_new_build_may_run_at_once() {
    let (database, old, new) = (Database::fresh().await, build(10), build(30));
    let runs: Vec<_> =
        (0..3).flat_map(|_| [&old, &new].map(|folder| Corveil::migrate(&database, folder).spawn())).collect();
    for run in runs {
        run.wait().await.expect_code(0);
    }
    assert_eq!(database.applied().await, (1..=30).collect::<Vec<i64>>());
}

#[tokio::test]
async fn an_older_build_that_waited_while_the_newer_one_migrated_has_nothing_to_do() {
    use sqlx::migrate::Migrate;
    let (database, old, new) = (Database::fresh().await, build(2), build(4));
    let mut sqlx = database.connect().await;
    sqlx.lock().await.unwrap();
    let waiting = Corveil::migrate(&database, &old).spawn();
    waiting.until_it_logs("waiting for the migration lock").await;
    // The newer one, by a tool that takes no lock.
    let mut migrations = sqlx::migrate::Migrator::new(new.path()).await.unwrap();
    migrations.set_locking(false).run(&mut sqlx).await.unwrap();
    sqlx.unlock().await.unwrap();

    waiting.wait().await.expect_code(0).expect_stdout("nothing to do: the schema is at version 4");
    assert_eq!(database.applied().await, [1, 2, 3, 4]);
}

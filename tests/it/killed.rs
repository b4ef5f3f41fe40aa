//! SIGKILL again and again in the middle of a long history: nothing is lost and nothing is applied twice.

use std::fmt::Write as _;
use std::time::Duration;

use crate::support::inspect::{SOON, ask};
use crate::support::{Corveil, Database, Folder, schema, wait_until};

const FILES: usize = 60;
const KILLS: usize = 20;

/// A history of every kind of file that a rerun completes by itself. Each writes its version into `log` where it can do
/// so atomically; rows in `t` make the index builds last.
fn history() -> Folder {
    let folder = Folder::new().file(
        "0001_begin.sql",
        "CREATE TABLE log (version int);
         CREATE TABLE t AS SELECT n, md5(n::text) AS m FROM generate_series(1, 3000) AS s(n);
         INSERT INTO log VALUES (1);",
    );
    for version in 2..=FILES {
        let content = match version % 4 {
            0 => format!(
                "-- no-transaction\n\
                 CREATE INDEX CONCURRENTLY IF NOT EXISTS i_{version} ON t (m, (n + {version}));\n\
                 CREATE UNIQUE INDEX CONCURRENTLY u_{version} ON t (n) WHERE n > {version};"
            ),
            1 => format!(
                "-- no-transaction\n\
                 SET work_mem = '2MB';\n\
                 BEGIN; CREATE TABLE a_{version} (id int); INSERT INTO log VALUES ({version}); COMMIT;\n\
                 CREATE INDEX a_{version}_id ON a_{version} (id);\n\
                 BEGIN; ALTER TABLE a_{version} ADD COLUMN b text; INSERT INTO log VALUES ({version}); COMMIT;"
            ),
            2 => format!(
                "BEGIN; CREATE TABLE b_{version} (id int); INSERT INTO log VALUES ({version}); COMMIT;"
            ),
            _ => format!("CREATE TABLE c_{version} (id int); INSERT INTO log VALUES ({version})"),
        };
        folder.put(&format!("{version:04}_file.sql"), content);
    }
    folder
}

#[tokio::test]
async fn twenty_kills_at_random_moments_lose_nothing_and_repeat_nothing() {
    let folder = history();
    let undisturbed = Database::fresh().await;
    Corveil::migrate(&undisturbed, &folder).run().await.expect_code(0);

    let database = Database::fresh().await;
    let mut watch = database.connect().await;
    let mut account = String::new();
    for kill in 0..KILLS {
        // Somewhere after these many files, and at any moment of the next few.
        let files = i64::try_from(kill * FILES / KILLS).unwrap();
        let run = Corveil::migrate(&database, &folder).spawn();
        wait_until(&format!("{files} files are applied"), SOON, async || {
            let exists = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
            files == 0
                || ask::<bool>(&mut watch, exists).await == [true]
                    && ask::<i64>(&mut watch, "SELECT count(*) FROM _sqlx_migrations").await[0] >= files
        })
        .await;
        let moment = Duration::from_micros(fastrand::u64(0..30_000));
        tokio::time::sleep(moment).await;
        let outcome = run.kill().await;
        let _ = writeln!(account, "kill {kill} after {files} files and {moment:?}: {outcome}");
        assert!(
            outcome.code.is_none() || outcome.code == Some(0) && database.applied().await.len() == FILES,
            "{account}"
        );
    }

    let last = Corveil::migrate(&database, &folder).run().await;
    assert_eq!(last.code, Some(0), "{account}{last}");
    assert_eq!(schema::dump(&database).await, schema::dump(&undisturbed).await, "{account}");
    let log = "SELECT version FROM log ORDER BY version";
    assert_eq!(database.values::<i32>(log).await, undisturbed.values::<i32>(log).await, "{account}");
    let rows = "SELECT version::text || ' ' || description || ' ' || encode(checksum, 'hex') || success
                FROM _sqlx_migrations ORDER BY version";
    assert_eq!(database.values::<String>(rows).await, undisturbed.values::<String>(rows).await);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM _corveil_statements").await, 0);
}

//! `PgBouncer` between Corveil and the server: refused where it breaks the lock, accepted by commands that only read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::Executor;
use sqlx::postgres::PgConnection;

use crate::support::{Corveil, Database, Folder, PgBouncer, PoolMode};

fn folder() -> Folder {
    Folder::new().file("0001_a.sql", "CREATE TABLE a ()").file("0002_b.sql", "CREATE TABLE b ()")
}

/// Clients that keep the pooler's server connections changing hands.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    async fn on(pooler: &PgBouncer, clients: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for _ in 0..clients {
            let mut client: PgConnection = pooler.url().connect().await.unwrap();
            let stop = Arc::clone(&stop);
            tasks.push(tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    client.execute("BEGIN; SELECT pg_sleep(0.002)").await.unwrap();
                    client.execute("COMMIT").await.unwrap();
                }
            }));
        }
        Self { stop, clients: tasks }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_idle_pooler_in_transaction_mode_is_refused() {
    let (database, folder) = (Database::fresh().await, folder());
    let pooler = PgBouncer::before(&database, PoolMode::Transaction).await;
    let run = Corveil::migrate(&database, &folder).url(&pooler.url()).run().await.expect_code(2);
    let run = run.expect_stderr("is a connection pooler in transaction or statement mode");
    run.expect_stderr("hint: set `MIGRATE_DATABASE_URL` to a direct connection");

    assert!(database.is_unlocked().await, "the lock is stranded in the pool");
    assert!(database.applied().await.is_empty());
    // The advice helps.
    let run = Corveil::migrate(&database, &folder).url(&pooler.url());
    run.env("MIGRATE_DATABASE_URL", database.url().to_string()).run().await.expect_code(0);
    assert_eq!(database.applied().await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_pooler_in_transaction_mode_is_refused() {
    let (database, folder) = (Database::fresh().await, folder());
    let pooler = PgBouncer::before(&database, PoolMode::Transaction).await;
    let load = Load::on(&pooler, 6).await;
    for _ in 0..4 {
        let run = Corveil::migrate(&database, &folder).url(&pooler.url()).run().await.expect_code(2);
        run.expect_stderr("hint: set `MIGRATE_DATABASE_URL` to a direct connection");
        assert!(database.is_unlocked().await, "the lock is stranded in the pool");
    }
    load.end().await;
    assert!(database.applied().await.is_empty());
}

#[tokio::test]
async fn reading_works_through_a_pooler_in_transaction_mode() {
    let (database, folder) = (Database::fresh().await, folder());
    Corveil::migrate(&database, &folder).args(["--target", "1"]).run().await.expect_code(0);
    let pooler = PgBouncer::before(&database, PoolMode::Transaction).await;
    let through = |subcommand| Corveil::with(subcommand, &database, &folder).url(&pooler.url());

    through("status").run().await.expect_code(1).expect_stdout("pending   2  b");
    through("verify").run().await.expect_code(0);
    let wait = through("wait").spawn();
    wait.until_it_logs("waiting: migration `0002_b.sql` is not applied").await;
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    wait.wait().await.expect_code(0);
    through("status").run().await.expect_code(0);
    // Nothing to do needs no lock, so the pooler does no harm.
    through("migrate").run().await.expect_code(0);
}

#[tokio::test]
async fn a_pooler_in_session_mode_is_as_good_as_the_server() {
    let (database, folder) = (Database::fresh().await, folder());
    let pooler = PgBouncer::before(&database, PoolMode::Session).await;
    Corveil::migrate(&database, &folder).url(&pooler.url()).run().await.expect_code(0);
    assert_eq!(database.applied().await, [1, 2]);
    assert!(database.is_unlocked().await);
}

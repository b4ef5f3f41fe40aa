//! Tests of the test harness.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::inspect::backend;
use crate::support::{
    Corveil, Database, Folder, Moment, PgBouncer, PoolMode, Proxy, SOON, Server, Url, schema, wait_until,
};

#[tokio::test]
async fn every_test_has_a_separate_database() {
    let (one, other) = (Database::fresh().await, Database::fresh().await);
    one.execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1), (2)").await;

    assert_eq!(one.values::<i32>("SELECT id FROM t ORDER BY id").await, [1, 2]);
    assert!(other.value::<bool>("SELECT to_regclass('t') IS NULL").await);
    assert_eq!(other.value::<String>("SELECT current_database()::text").await, other.name());
}

#[tokio::test]
async fn a_database_is_gone_with_its_test() {
    let database = Database::fresh().await;
    let (name, role) = (database.name().to_owned(), database.create_role("").await);
    let _left_open = database.connect().await;
    drop(database);

    let count = format!(
        "SELECT (SELECT count(*) FROM pg_database WHERE datname = '{name}')
              + (SELECT count(*) FROM pg_roles WHERE rolname = '{role}')"
    );
    assert_eq!(Database::fresh().await.value::<i64>(&count).await, 0);
}

#[tokio::test]
async fn the_server_asks_for_passwords_and_knows_roles() {
    let database = Database::fresh().await;
    let role = database.create_role("NOCREATEROLE").await;

    assert!(database.url_as(&role).connect().await.is_ok());
    assert_eq!(refusal(&Url { password: "wrong".into(), ..database.url() }).await, "28P01");
    assert_eq!(refusal(&Url { database: "missing".into(), ..database.url() }).await, "3D000");
}

#[tokio::test]
async fn the_server_answers_on_its_socket() {
    assert!(PgConnection::connect(&Server::shared().socket_url()).await.is_ok());
}

#[tokio::test]
async fn a_private_server_can_be_restarted_and_crashed() {
    let server = Server::private();
    let database = Database::on(&server).await;
    database.execute("CREATE TABLE kept ()").await;

    let mut connection = database.connect().await;
    server.restart();
    assert!(connection.execute("SELECT 1").await.is_err());

    server.crash();
    assert!(database.url().connect().await.is_err());
    server.start();
    assert!(database.value::<bool>("SELECT to_regclass('kept') IS NOT NULL").await);
    assert!(server.log().contains("redo"), "{}", server.log());
}

#[tokio::test]
async fn a_standby_follows_and_refuses_to_write() {
    let server = Server::private();
    let database = Database::on(&server).await;
    let standby = server.standby().await;
    database.execute("CREATE TABLE t ()").await;

    let mut connection = database.url().through(standby.port()).connect().await.unwrap();
    wait_until("the table is there", SOON, async || connection.execute("TABLE t").await.is_ok()).await;
    assert_eq!(sqlstate(connection.execute("DROP TABLE t").await), "25006");
}

#[tokio::test]
async fn the_proxy_cuts_everything_and_then_refuses() {
    let database = Database::fresh().await;
    let proxy = Proxy::before(Server::shared().port());
    let mut connection = proxy.url(&database).connect().await.unwrap();

    proxy.refuse(true);
    proxy.cut();
    assert!(connection.execute("SELECT 1").await.is_err());
    assert!(proxy.url(&database).connect().await.is_err());
    proxy.refuse(false);
    assert!(proxy.url(&database).connect().await.is_ok());
    assert_eq!(proxy.connections(), 3);
}

#[tokio::test]
async fn the_proxy_cuts_at_the_set_moment() {
    // The tag of a COMMIT as the server sends it: it ends with a zero byte.
    let commit = b"COMMIT\0".to_vec();
    for (moment, is_committed) in [
        (Moment::BeforeServerGets(b"COMMIT".to_vec()), false),
        (Moment::AfterServerGot(b"COMMIT".to_vec()), true),
        (Moment::BeforeClientGets(commit.clone()), true),
    ] {
        let database = Database::fresh().await;
        let proxy = Proxy::before(Server::shared().port());
        let mut connection = proxy.url(&database).connect().await.unwrap();
        proxy.cut_at(moment.clone());
        assert!(connection.execute(AssertSqlSafe("BEGIN; CREATE TABLE t (); COMMIT")).await.is_err());

        assert!(proxy.has_cut());
        let gone = "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        wait_until("the server ended the session", SOON, async || database.value(gone).await).await;
        let committed: bool = database.value("SELECT to_regclass('t') IS NOT NULL").await;
        assert_eq!(committed, is_committed, "{moment:?}");
    }
}

#[tokio::test]
async fn the_proxy_cuts_after_an_answer() {
    let database = Database::fresh().await;
    let proxy = Proxy::before(Server::shared().port());
    let mut connection = database.url().through(proxy.port()).connect().await.unwrap();
    proxy.cut_at(Moment::AfterClientGot(b"CREATE TABLE\0".to_vec()));

    assert!(connection.execute("CREATE TABLE t ()").await.is_ok());
    assert!(connection.execute("SELECT 1").await.is_err());
}

#[tokio::test]
async fn the_proxy_counts_and_delays_round_trips() {
    let database = Database::fresh().await;
    let proxy = Proxy::before(Server::shared().port());
    let mut connection = proxy.url(&database).connect().await.unwrap();
    let before = proxy.round_trips();
    proxy.slow_down(Duration::from_millis(40));

    let start = Instant::now();
    for _ in 0..3 {
        connection.execute("SELECT 1").await.unwrap();
    }
    assert!(start.elapsed() >= Duration::from_millis(120), "{:?}", start.elapsed());
    assert_eq!(proxy.round_trips() - before, 3);
}

#[tokio::test]
async fn pgbouncer_keeps_a_server_for_a_transaction_or_a_session() {
    let database = Database::fresh().await;
    for (mode, remembers) in [(PoolMode::Transaction, false), (PoolMode::Session, true)] {
        let pooler = PgBouncer::before(&database, mode).await;
        let mut one = pooler.url().connect().await.unwrap();
        let mut other = pooler.url().connect().await.unwrap();
        one.execute("BEGIN").await.unwrap();
        let first = backend(&mut one).await;
        one.execute("COMMIT").await.unwrap();
        // In transaction mode the server connection is free now, and the pooler gives the last used one out first.
        other.execute("BEGIN").await.unwrap();
        let taken = backend(&mut other).await;
        assert_eq!(first != taken, remembers, "{mode:?}");
    }
}

#[tokio::test]
async fn equal_schemas_have_equal_dumps() {
    let make = "
        CREATE TYPE mood AS ENUM ('good', 'bad');
        CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, m mood DEFAULT 'bad', n text CHECK (n <> ''));
        CREATE INDEX ON t (m) WHERE n IS NOT NULL;
        CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
        COMMENT ON TABLE t IS 'said';";
    let (one, same, other) = (Database::fresh().await, Database::fresh().await, Database::fresh().await);
    one.execute(make).await;
    same.execute(make).await;
    other.execute(&make.replace("n <> ''", "n <> ' '")).await;

    let dump = schema::dump(&one).await;
    assert_eq!(dump, schema::dump(&same).await);
    assert_ne!(dump, schema::dump(&other).await);

    let catalog = schema::from_catalog(&one).await;
    assert_eq!(catalog, schema::from_catalog(&same).await);
    assert_ne!(catalog, schema::from_catalog(&other).await);
    for part in [
        "column public.t 2 m public.mood",
        "CHECK",
        "index ",
        "enum public.mood good, bad",
        "function ",
        "said",
    ] {
        assert!(catalog.contains(part), "no `{part}` in {catalog}");
    }
}

#[tokio::test]
async fn the_program_runs_in_a_clean_place() {
    let (database, elsewhere) = (Database::fresh().await, Database::fresh().await);
    let folder = Folder::new().file("0001_a.sql", "CREATE TABLE a ()").file("0002_b.sql", "SELECT 2");
    folder.remove("0002_b.sql");

    let outcome = Corveil::migrate(&database, &folder).run().await.expect_code(0);
    assert!(outcome.termination_log.is_empty(), "{outcome}");
    assert_eq!(database.applied().await, [1]);
    // Settings come only from the test: neither the database of the user who runs the tests nor a `.env` of this folder.
    let bare = || Corveil::new("migrate").arg("--source").arg(folder.path());
    bare().env("DATABASE_URL", "").run().await.expect_code(2).expect_stderr("it is set, but empty");
    let outcome = bare().url(&elsewhere.url()).arg("--nonsense").run().await.expect_code(2);
    assert!(outcome.stdout.is_empty() && outcome.stderr.contains("--nonsense"), "{outcome}");
    assert!(elsewhere.applied().await.is_empty());

    // What a failed run leaves for Kubernetes is in the place too, and read back.
    folder.put("0002_b.sql", "SELECT 1/0");
    let outcome = Corveil::migrate(&database, &folder).run().await.expect_code(3);
    assert!(outcome.termination_log.starts_with("migration `0002_b.sql:1:1` failed"), "{outcome}");
}

#[tokio::test]
async fn the_program_can_be_watched_signalled_and_killed() {
    let database = Database::fresh().await;
    let proxy = Proxy::before(Server::shared().port());
    proxy.refuse(true);
    let wait = || Corveil::new("wait").args(["--for", "db"]).url(&proxy.url(&database)).spawn();

    let run = wait();
    wait_until("it tried", SOON, async || proxy.connections() > 0).await;
    run.signal("TERM").await;
    run.wait().await.expect_code(75).expect_stdout("").expect_stderr("stopped by SIGTERM");

    let run = wait();
    run.until_it_logs("waiting: ").await;
    assert!(std::path::Path::new(&format!("/proc/{}", run.process())).exists() || !cfg!(target_os = "linux"));
    assert_eq!(run.kill().await.code, None);
}

async fn refusal(url: &Url) -> String {
    sqlstate(url.connect().await)
}

fn sqlstate<T>(result: sqlx::Result<T>) -> String {
    let error = result.err().expect("an error");
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .unwrap_or_else(|| panic!("{error}"))
        .into_owned()
}

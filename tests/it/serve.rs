//! `corveil serve`: what a probe and Prometheus see, while databases come, go and lag behind.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::corveil::Running;
use crate::support::{
    Corveil, Database, Folder, PgBouncer, PoolMode, Proxy, Reply, SOON, Server, Url, http, wait_until,
};

/// What Kubernetes gives a probe.
const PROBE: Duration = Duration::from_secs(5);

/// Shorter than `--shutdown-timeout`: an end that takes longer was held up by something.
const FAREWELL: Duration = Duration::from_secs(15);

/// A server that listens on a free port.
struct Serving {
    run: Running,
    address: SocketAddr,
}

impl Serving {
    async fn start(command: Corveil) -> Self {
        Self::on("127.0.0.1:0", command).await
    }

    async fn on(listen: &str, command: Corveil) -> Self {
        let run = command.env("CORVEIL_LISTEN", listen).spawn();
        let address =
            || run.stderr().split("listening on http://").nth(1)?.split_whitespace().next()?.parse().ok();
        wait_until("it listens", SOON, async || address().is_some()).await;
        let address = address().unwrap();
        Self { run, address }
    }

    async fn with(url: &Url, folder: &Folder) -> Self {
        Self::start(Corveil::new("serve").url(url).arg("--source").arg(folder.path())).await
    }

    /// An answer within the time that a probe has.
    async fn get(&self, path: &str) -> Reply {
        match tokio::time::timeout(PROBE, http::get(self.address, path)).await {
            Ok(Ok(reply)) => reply,
            other => panic!("{path}: {other:?}\n{}", self.run.stderr()),
        }
    }

    async fn ready(&self) -> Reply {
        self.get("/health/ready").await
    }

    async fn until_ready(&self) {
        wait_until("it is ready", SOON, async || self.ready().await.status == 200).await;
    }

    /// The value of a sample.
    async fn metric(&self, sample: &str) -> Option<f64> {
        let text = self.get("/metrics").await.body;
        let mut values = text.lines().filter_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        values.next().map(|value| value.parse().unwrap_or_else(|_| panic!("{sample} {value}")))
    }

    /// Ends it as Kubernetes does, and expects that it ends in time.
    async fn end(self) -> String {
        self.run.signal("TERM").await;
        let started = Instant::now();
        let outcome = self.run.wait().await.expect_code(0);
        assert!(started.elapsed() < FAREWELL, "{outcome}");
        outcome.stderr
    }
}

fn three_files() -> Folder {
    Folder::new()
        .file("0001_a.sql", "CREATE TABLE a ()")
        .file("0002_b.sql", "CREATE TABLE b ()")
        .file("0003_c.sql", "CREATE TABLE c ()")
}

async fn migrate(database: &Database, folder: &Folder) {
    Corveil::migrate(database, folder).run().await.expect_code(0);
}

/// A port where no process listens or will listen: it is held by a socket that does not accept.
async fn dead_end() -> (TcpListener, Url) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, Url { user: "u".into(), password: "p".into(), port, database: "d".into() })
}

#[tokio::test]
async fn no_answer_has_control_characters_or_secrets_of_what_is_recorded() {
    let (database, folder) = (Database::fresh().await, Folder::new());
    folder.put("1_a.sql", "CREATE ROLE postgres PASSWORD 's3cr3T-W0rd'");
    Corveil::migrate(&database, &folder).run().await.expect_code(3);
    database.execute("UPDATE _corveil_runs SET build = E'x\x1b[2J s3cr3T-W0rd', error = E'\x1b[2J'").await;
    let serving = Serving::with(&database.url(), &folder).await;
    for path in ["/health", "/health/ready", "/metrics"] {
        let body = serving.get(path).await.body;
        assert!(!body.contains(['\u{1b}']) && !body.contains("W0rd"), "{path}: {body}");
    }
    assert!(serving.get("/metrics").await.body.contains("version=\"x\\u{1b}[2J ***\""));
}

#[tokio::test]
async fn it_lives_without_a_database_and_reports_that_none_is_configured() {
    let serving = Serving::start(Corveil::new("serve")).await;
    let health = serving.get("/health").await;
    assert_eq!(
        (health.status, health.json()),
        (200, json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
    );

    let ready = serving.ready().await;
    assert_eq!(ready.status, 503);
    assert!(ready.json()["reason"].as_str().unwrap().contains("set `DATABASE_URL`"), "{ready:?}");
    assert_eq!(serving.get("/nowhere").await.status, 404);
    serving.end().await;
}

#[tokio::test]
async fn a_database_that_never_answers_keeps_no_probe_waiting_and_is_not_asked_for_liveness() {
    let (listener, url) = dead_end().await;
    let folder = three_files();
    let serving = Serving::with(&url, &folder).await;
    assert_eq!(serving.get("/health").await.status, 200);

    // The kernel completes the handshake for the listener, so each attempt is one that waits for an answer.
    let probes = std::iter::repeat_with(|| serving.ready()).take(20);
    for ready in futures_util::future::join_all(probes).await {
        let reason = "the database cannot be reached: no answer to the connection attempt";
        assert_eq!((ready.status, &ready.json()["reason"]), (503, &json!(reason)));
    }
    listener.accept().await.unwrap();
    let second = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(second.is_err(), "twenty probes asked more than once");
    assert_eq!(serving.metric("corveil_database_up").await, Some(0.0));
    assert_eq!(serving.metric("corveil_schema_version").await, None);
    serving.end().await;
}

#[tokio::test]
async fn it_becomes_ready_when_the_missing_migrations_are_applied() {
    let (database, folder) = (Database::fresh().await, three_files());
    let serving = Serving::with(&database.url(), &folder).await;
    let empty = serving.ready().await;
    assert_eq!(empty.status, 503);
    assert_eq!(empty.json()["schema_version"], json!(null));
    assert_eq!(empty.json()["missing"].as_array().unwrap().len(), 3);

    migrate(&database, &Folder::new().file("0001_a.sql", "CREATE TABLE a ()")).await;
    let behind = serving.ready().await;
    assert_eq!(behind.status, 503);
    assert_eq!(
        behind.json(),
        json!({
            "status": "unavailable",
            "version": env!("CARGO_PKG_VERSION"),
            "reason": "2 migrations are not applied, `0002_b.sql` to `0003_c.sql`",
            "required_version": 3,
            "schema_version": 1,
            "missing": [
                { "version": 2, "file": "0002_b.sql", "state": "not_applied" },
                { "version": 3, "file": "0003_c.sql", "state": "not_applied" },
            ],
        })
    );

    migrate(&database, &folder).await;
    // A bad answer is never kept.
    let ready = serving.ready().await;
    assert_eq!(ready.status, 200);
    assert_eq!((&ready.json()["status"], &ready.json()["schema_version"]), (&json!("ok"), &json!(3)));

    let log = serving.end().await;
    for expected in
        ["not ready: 3 migrations", "not ready: 2 migrations", "ready: every migration", "stopped by SIGTERM"]
    {
        assert!(log.contains(expected), "no `{expected}` in {log}");
    }
}

#[tokio::test]
async fn a_newer_schema_is_ready_and_an_edited_file_is_not() {
    let (database, folder) = (Database::fresh().await, three_files());
    migrate(&database, &folder).await;

    folder.remove("0003_c.sql");
    let serving = Serving::with(&database.url(), &folder).await;
    let ready = serving.ready().await;
    assert_eq!((ready.status, &ready.json()["schema_version"]), (200, &json!(3)));
    assert_eq!(ready.json()["required_version"], json!(2));
    serving.end().await;

    folder.put("0002_b.sql", "CREATE TABLE other ()");
    let serving = Serving::with(&database.url(), &folder).await;
    let ready = serving.ready().await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["missing"], json!([{ "version": 2, "file": "0002_b.sql", "state": "differs" }]));
    serving.end().await;
}

#[tokio::test]
async fn a_database_that_goes_and_comes_back_is_noticed_both_times() {
    let (server, folder) = (Server::private(), three_files());
    let database = Database::on(&server).await;
    migrate(&database, &folder).await;
    let serving = Serving::with(&database.url(), &folder).await;
    assert_eq!(serving.ready().await.status, 200);

    server.stop();
    wait_until("it is not ready", SOON, async || serving.ready().await.status == 503).await;
    let ready = serving.ready().await;
    let reason = ready.json()["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("cannot be reached") && !reason.contains("127.0.0.1"), "{reason}");
    assert_eq!(serving.get("/health").await.status, 200);

    server.start();
    serving.until_ready().await;
    serving.end().await;
}

#[tokio::test]
async fn a_restart_between_two_probes_goes_unnoticed() {
    let (database, folder) = (Database::fresh().await, three_files());
    migrate(&database, &folder).await;
    let proxy = Proxy::before(Server::shared().port());
    let serving = Serving::with(&proxy.url(&database), &folder).await;
    assert_eq!(serving.ready().await.status, 200);

    let connections = proxy.connections();
    proxy.cut();
    // A good answer is kept for a moment, so it takes that long until the connection is used again.
    wait_until("it connected again", SOON, async || {
        assert_eq!(serving.ready().await.status, 200);
        proxy.connections() > connections
    })
    .await;
    serving.end().await;
}

#[tokio::test]
async fn many_probes_share_one_connection_and_few_questions() {
    let (database, folder) = (Database::fresh().await, three_files());
    migrate(&database, &folder).await;
    let proxy = Proxy::before(Server::shared().port());
    let serving = Serving::with(&proxy.url(&database), &folder).await;
    assert_eq!(serving.ready().await.status, 200);

    let (before, started) = (proxy.round_trips(), Instant::now());
    for _ in 0..20 {
        let probes = std::iter::repeat_with(|| serving.ready()).take(10);
        assert!(futures_util::future::join_all(probes).await.iter().all(|ready| ready.status == 200));
    }
    // Two round trips a check, and a check a second at most.
    let checks = usize::try_from(started.elapsed().as_secs()).unwrap() + 1;
    let asked = proxy.round_trips() - before;
    assert!(asked <= 2 * checks, "{asked} round trips in {:?}", started.elapsed());
    assert_eq!(proxy.connections(), 1);
    serving.end().await;
}

#[tokio::test]
async fn it_works_through_a_pooler_and_leaves_no_setting_behind() {
    let (database, folder) = (Database::fresh().await, three_files());
    migrate(&database, &folder).await;
    let pooler = PgBouncer::before(&database, PoolMode::Transaction).await;
    let serving = Serving::with(&pooler.url(), &folder).await;
    assert_eq!(serving.ready().await.status, 200);

    let timeout = async |url: Url| url.setting("statement_timeout").await;
    assert_eq!(timeout(pooler.url()).await, timeout(database.url()).await);
    serving.end().await;
}

#[tokio::test]
async fn probes_behind_a_lock_are_bounded_and_leave_nothing_waiting() {
    let (database, folder) = (Database::fresh().await, three_files());
    migrate(&database, &folder).await;
    let serving = Serving::with(&database.url(), &folder).await;
    assert_eq!(serving.ready().await.status, 200);

    let mut blocker = database.connect().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE _sqlx_migrations").execute(&mut blocker).await.unwrap();
    wait_until("it is not ready", SOON, async || serving.ready().await.status == 503).await;
    let waiting = "SELECT count(*) = 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    wait_until("the server gave up too", SOON, async || database.value(waiting).await).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut blocker).await.unwrap();
    serving.until_ready().await;
    serving.end().await;
}

#[tokio::test]
async fn an_app_role_may_read_what_it_was_granted_and_the_log_stays_clean() {
    let (server, folder) = (Server::private(), three_files());
    let database = Database::on(&server).await;
    let role = database.create_role("").await;
    let serving = Serving::with(&database.url_as(&role), &folder).await;
    assert_eq!(serving.ready().await.json()["missing"].as_array().unwrap().len(), 3);
    assert!(!server.log().contains("ERROR"), "{}", server.log());

    migrate(&database, &folder).await;
    let refused = serving.ready().await;
    assert_eq!(refused.status, 503);
    assert!(refused.json()["reason"].as_str().unwrap().contains("permission denied"), "{refused:?}");

    database.execute(&format!("GRANT SELECT ON _sqlx_migrations TO {role}")).await;
    serving.until_ready().await;
    assert_eq!(serving.metric("corveil_schema_version").await, Some(3.0));
    assert_eq!(serving.metric("corveil_last_run_exit_code").await, None);
    assert!(!server.log().contains("denied for table _corveil_runs"), "{}", server.log());
    let log = serving.end().await;
    assert!(log.contains("hint: use the role that owns the schema"), "{log}");
}

#[tokio::test]
async fn wrong_credentials_are_reported_in_the_log_and_not_to_strangers() {
    let (database, folder) = (Database::fresh().await, three_files());
    let url = Url { password: "wr0ng".into(), ..database.url() };
    let serving = Serving::with(&url, &folder).await;
    let ready = serving.ready().await;
    assert_eq!(ready.status, 503);
    assert!(!ready.body.contains("postgres") && ready.body.contains("the log has the reason"), "{ready:?}");
    let log = serving.end().await;
    assert!(log.contains("password authentication failed") && !log.contains("wr0ng"), "{log}");
}

#[tokio::test]
async fn metrics_are_what_prometheus_reads_and_show_the_last_run() {
    let (database, folder) = (Database::fresh().await, three_files());
    let serving = Serving::with(&database.url(), &folder).await;
    assert_eq!(serving.metric("corveil_migrations_pending").await, Some(3.0));
    assert_eq!(serving.metric("corveil_schema_required_version").await, Some(3.0));
    assert_eq!(serving.metric("corveil_schema_version").await, None);

    migrate(&database, &folder).await;
    let reply = serving.get("/metrics").await;
    assert!(reply.head.contains("content-type: text/plain; version=0.0.4"), "{reply:?}");
    for sample in reply.body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = sample.rsplit_once(' ').unwrap();
        let bare = name.split('{').next().unwrap();
        assert!(bare.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{sample}");
        assert!(reply.body.contains(&format!("# TYPE {bare} gauge\n")), "{sample}");
        assert!(value.parse::<f64>().is_ok(), "{sample}");
    }
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(serving.metric(&format!("corveil_build_info{{version=\"{version}\"}}")).await, Some(1.0));
    for (sample, value) in [
        ("corveil_database_up", 1.0),
        ("corveil_schema_ready", 1.0),
        ("corveil_schema_version", 3.0),
        ("corveil_migrations_pending", 0.0),
        ("corveil_last_run_outcome{outcome=\"succeeded\"}", 1.0),
        ("corveil_last_run_outcome{outcome=\"running\"}", 0.0),
        ("corveil_last_run_exit_code", 0.0),
    ] {
        assert_eq!(serving.metric(sample).await, Some(value), "{sample}");
    }
    let ended = serving.metric("corveil_last_run_ended_timestamp_seconds").await.unwrap();
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!((now - ended).abs() < 60.0, "{ended} and now {now}");

    folder.put("0004_d.sql", "SELECT 1 / 0");
    Corveil::migrate(&database, &folder).run().await.expect_code(3);
    wait_until("the failure is reported", SOON, async || {
        serving.metric("corveil_last_run_outcome{outcome=\"failed\"}").await == Some(1.0)
    })
    .await;
    assert_eq!(serving.metric("corveil_last_run_exit_code").await, Some(3.0));
    serving.end().await;
}

#[tokio::test]
async fn a_run_at_work_is_distinguished_from_one_that_died() {
    let database = Database::fresh().await;
    let folder = Folder::new().file("0001_a.sql", "SELECT pg_sleep(100)");
    let serving = Serving::with(&database.url(), &folder).await;
    let run = Corveil::migrate(&database, &folder).spawn();
    for (outcome, killed) in [("running", false), ("died", true)] {
        if killed {
            run.signal("KILL").await;
        }
        let sample = format!("corveil_last_run_outcome{{outcome=\"{outcome}\"}}");
        wait_until(outcome, SOON, async || serving.metric(&sample).await == Some(1.0)).await;
    }
    serving.end().await;
}

#[tokio::test]
async fn sigterm_lets_a_slow_request_finish_and_takes_no_new_ones() {
    let (database, folder) = (Database::fresh().await, three_files());
    migrate(&database, &folder).await;
    let proxy = Proxy::before(Server::shared().port());
    proxy.slow_down(Duration::from_millis(300));
    let serving = Serving::with(&proxy.url(&database), &folder).await;
    // One that asks for nothing, and one that was answered and stays: neither may hold up the end.
    let _silent = TcpStream::connect(serving.address).await.unwrap();
    let mut idle = TcpStream::connect(serving.address).await.unwrap();
    idle.write_all(b"GET /health HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    assert!(idle.read(&mut [0; 1024]).await.unwrap() > 0);

    let address = serving.address;
    let slow = tokio::spawn(async move { http::get(address, "/health/ready").await });
    wait_until("the database was asked", SOON, async || proxy.connections() > 0).await;
    serving.run.signal("TERM").await;
    wait_until("nothing new is taken", SOON, async || http::get(address, "/health").await.is_err()).await;
    assert!(!slow.is_finished(), "too fast to prove anything");

    assert_eq!(slow.await.unwrap().unwrap().status, 200);
    let started = Instant::now();
    serving.run.wait().await.expect_code(0);
    assert!(started.elapsed() < FAREWELL);
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off_when_its_time_is_up() {
    let command = Corveil::new("serve").args(["--shutdown-timeout", "200ms"]);
    let serving = Serving::start(command).await;
    let mut endless = TcpStream::connect(serving.address).await.unwrap();
    endless.write_all(b"GET /health HTTP/1.1\r\nhost:").await.unwrap();
    // Answered after the endless one was accepted.
    assert_eq!(serving.get("/health").await.status, 200);
    serving.run.signal("INT").await;
    serving.run.wait().await.expect_code(0).expect_stderr("stopped by SIGINT").expect_stderr("cut off");
}

#[tokio::test]
async fn a_taken_port_is_a_usage_error_with_a_hint() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let outcome = Corveil::new("serve").args(["--listen", &address]).run().await.expect_code(2);
    outcome.expect_stderr(&format!("cannot listen on `{address}`")).expect_stderr("--listen");

    let wrong = Corveil::new("serve").env("DATABASE_URL", "").run().await;
    wrong.expect_code(2).expect_stderr("`DATABASE_URL`");
}

/// Sessions of the program in this database.
async fn sessions(database: &Database) -> i64 {
    database
        .value(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name LIKE 'corveil/%'",
        )
        .await
}

#[tokio::test]
async fn every_address_of_both_families_is_listened_on() {
    let serving = Serving::on("[::]:0", Corveil::new("serve")).await;
    for host in ["127.0.0.1", "::1"] {
        let address = SocketAddr::new(host.parse().unwrap(), serving.address.port());
        assert_eq!(http::get(address, "/health").await.unwrap().status, 200, "{host}");
    }
    serving.end().await;
    let help = Corveil::new("serve").arg("--help").run().await.expect_code(0);
    help.expect_stdout("[default: [::]:8000]");
}

#[tokio::test]
async fn clients_that_send_half_a_request_keep_no_probe_out_and_are_disconnected() {
    let (database, folder) = (Database::fresh().await, three_files());
    migrate(&database, &folder).await;
    let command =
        Corveil::with_open_files(64, "serve").url(&database.url()).arg("--source").arg(folder.path());
    let serving = Serving::start(command).await;
    let mut slow = Vec::new();
    for _ in 0..400 {
        let mut client = TcpStream::connect(serving.address).await.unwrap();
        client.write_all(b"GET /health HTTP/1.1\r\nhost:").await.unwrap();
        slow.push(client);
    }
    for _ in 0..3 {
        assert_eq!(serving.get("/health").await.status, 200);
        assert_eq!(serving.ready().await.status, 200);
    }
    // The last one had its place to itself, and yet not for ever; nor has one that sends nothing at all.
    let mut silent = TcpStream::connect(serving.address).await.unwrap();
    for client in [slow.last_mut().unwrap(), &mut silent] {
        let end = tokio::time::timeout(SOON, client.read(&mut [0; 16])).await;
        assert!(matches!(end, Ok(Ok(0) | Err(_))), "{end:?}");
    }
    serving.end().await;
}

#[tokio::test]
async fn a_connection_is_held_by_who_is_ready_and_while_probes_come() {
    let (database, folder) = (Database::fresh().await, three_files());
    let serving = Serving::with(&database.url(), &folder).await;
    assert_eq!(serving.ready().await.status, 503);
    wait_until("it has given its connection back", SOON, async || sessions(&database).await == 0).await;

    migrate(&database, &folder).await;
    serving.until_ready().await;
    let held = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'corveil/%'";
    let first: i32 = database.value(held).await;
    serving.until_ready().await;
    assert_eq!(database.value::<i32>(held).await, first);
    let no_probes = Duration::from_mins(1);
    wait_until("it has no connection without probes", no_probes, async || sessions(&database).await == 0)
        .await;
    serving.until_ready().await;
    serving.end().await;
}

#[tokio::test]
async fn a_locked_history_costs_no_session_that_stays_behind_the_lock() {
    let (database, folder) = (Database::fresh().await, three_files());
    migrate(&database, &folder).await;
    let serving = Serving::with(&database.url(), &folder).await;
    serving.until_ready().await;
    let lock = database.begin("LOCK TABLE _sqlx_migrations").await;
    wait_until("the lock blocks the check", SOON, async || serving.ready().await.status == 503).await;
    let reason = serving.ready().await.json()["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("lock timeout"), "{reason}");
    wait_until("no session waits for the lock", SOON, async || sessions(&database).await == 0).await;
    drop(lock);
    serving.until_ready().await;
    serving.end().await;
}

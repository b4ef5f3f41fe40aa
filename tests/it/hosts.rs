//! Several hosts in one URL, as people fail over: each is tried in turn, and a run finds the primary.

use std::net::{Ipv4Addr, TcpListener};

use crate::support::server::PASSWORD;
use crate::support::{Corveil, Database, Folder, Proxy, Server};

fn folder() -> Folder {
    Folder::new().file("0001_a.sql", "CREATE TABLE a ()")
}

/// The way to a database at one of these ports of this machine.
fn url(database: &Database, ports: &[u16], parameters: &str) -> String {
    let hosts: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    format!("postgres://postgres:{PASSWORD}@{}/{}{parameters}", hosts.join(","), database.name())
}

fn run(subcommand: &str, database: &Database, folder: &Folder, url: &str) -> Corveil {
    Corveil::with(subcommand, database, folder).env("DATABASE_URL", url)
}

/// Accepts connections, and never answers.
fn silent() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
    let port = listener.local_addr().expect("the address just bound").port();
    (listener, port)
}

#[tokio::test]
async fn a_dead_first_host_does_not_use_up_the_time_limit() {
    let (database, folder) = (Database::fresh().await, folder());
    let ((_open, silent), closed) = (silent(), Proxy::before(Server::shared().port()));
    closed.refuse(true);
    let url = url(&database, &[silent, closed.port(), database.url().port], "");
    for (subcommand, code) in [("migrate", 0), ("status", 0), ("verify", 0), ("wait", 0)] {
        run(subcommand, &database, &folder, &url).run().await.expect_code(code);
    }
    assert_eq!(database.applied().await, [1]);
}

#[tokio::test]
async fn hosts_that_are_all_down_are_all_named() {
    let (database, folder) = (Database::fresh().await, folder());
    let ((_open, silent), closed) = (silent(), Proxy::before(Server::shared().port()));
    closed.refuse(true);
    let url = url(&database, &[silent, closed.port()], "");
    let run = run("migrate", &database, &folder, &url).args(["--wait-for-db", "1s"]).run().await;
    run.expect_code(75)
        .expect_stderr(&format!("127.0.0.1:{silent}: no answer to the connection attempt"))
        .expect_stderr(&format!("127.0.0.1:{}: ", closed.port()));
}

#[tokio::test]
async fn a_host_that_refuses_the_login_ends_the_search() {
    let (database, folder) = (Database::fresh().await, folder());
    let behind = Proxy::before(Server::shared().port());
    let url = url(&database, &[Server::shared().port(), behind.port()], "").replace(PASSWORD, "wrong");
    let run = run("status", &database, &folder, &url).args(["--wait-for-db", "0s"]).run().await;
    run.expect_code(2)
        .expect_stderr(&format!("127.0.0.1:{}: ", Server::shared().port()))
        .expect_stderr("28P01");
    assert_eq!(behind.connections(), 0);
}

#[tokio::test]
async fn a_run_goes_to_the_primary_wherever_it_is_in_the_list() {
    let (server, folder) = (Server::private(), folder());
    let database = Database::on(&server).await;
    let standby = server.standby().await;
    let (primary, standby) = (server.port(), standby.port());
    let standby_first = [standby, primary];
    folder.remove("0001_a.sql");
    let attributes = [
        "",
        "?target_session_attrs=any",
        "?target_session_attrs=read-write",
        "?target_session_attrs=primary",
    ];
    for (version, parameters) in attributes.into_iter().enumerate() {
        folder.put(&format!("{:04}_t.sql", version + 1), format!("CREATE TABLE t{version} ()"));
        let url = url(&database, &standby_first, parameters);
        run("migrate", &database, &folder, &url).args(["--wait-for-db", "20s"]).run().await.expect_code(0);
        assert!(database.has(&format!("t{version}")).await, "{parameters}");
    }

    // A second connection cancels at the server where the first one is.
    folder.put("0005_slow.sql", "CREATE TABLE slow (); SELECT pg_sleep(60)");
    let slow = run("migrate", &database, &folder, &url(&database, &standby_first, "")).spawn();
    database.sleeper("0005_slow.sql").await;
    slow.signal("TERM").await;
    slow.wait().await.expect_code(75).expect_stderr("in `0005_slow.sql`, which was rolled back whole");
    folder.remove("0005_slow.sql");

    // A command that only reads uses any host that the URL allows.
    for (ports, attributes, code, reason) in [
        (&[standby, primary][..], "", 0, ""),
        (&[standby][..], "?target_session_attrs=any", 0, ""),
        (&[primary, standby], "?target_session_attrs=standby", 0, ""),
        (&[primary, standby], "?target_session_attrs=read-only", 0, ""),
        (&[primary, standby], "?target_session_attrs=prefer-standby", 0, ""),
        (&[primary], "?target_session_attrs=prefer-standby", 0, ""),
        (&[primary, standby], "?load_balance_hosts=random&target_session_attrs=primary", 0, ""),
        (&[standby], "?target_session_attrs=primary", 75, "the server is a read-only standby"),
        (&[standby], "?target_session_attrs=read-write", 75, "the server is a read-only standby"),
        (&[primary], "?target_session_attrs=standby", 75, "it is no standby"),
        (&[primary], "?target_session_attrs=read-only", 75, "it is not read-only"),
        (&[primary], "?target_session_attrs=s3cr3t", 2, "a value of `target_session_attrs`"),
    ] {
        let url = url(&database, ports, attributes);
        let patience = if code == 75 { "0s" } else { "20s" };
        let run = run("status", &database, &folder, &url).args(["--wait-for-db", patience]).run().await;
        assert!(run.code == Some(code) && run.stderr.contains(reason), "{attributes}: {run}");
    }
    // From the environment too.
    let run_with = |value| {
        let url = url(&database, &[standby], "");
        let run = run("status", &database, &folder, &url).args(["--wait-for-db", "0s"]);
        run.env("PGTARGETSESSIONATTRS", value).run()
    };
    run_with("primary").await.expect_code(75);
    run_with("standby").await.expect_code(0);

    // A URL that no run can use is refused at once.
    for attributes in ["standby", "read-only"] {
        let url = url(&database, &standby_first, &format!("?target_session_attrs={attributes}"));
        let run = run("migrate", &database, &folder, &url).run().await.expect_code(2);
        run.expect_stderr("asks for a server that cannot be written to").expect_stderr("hint: write");
    }
    // Only standbys: one of them may become the primary.
    let run = run("migrate", &database, &folder, &url(&database, &[standby, standby], ""));
    let run = run.args(["--wait-for-db", "300ms"]).run().await.expect_code(75);
    run.expect_stderr(&format!("127.0.0.1:{standby}: the server is a read-only standby"));
}

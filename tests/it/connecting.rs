//! The way to the database: absent, starting, full, refusing, read-only, or configured wrongly.

use std::time::{Duration, Instant};

use sqlx::Connection;

use crate::support::server::PASSWORD;
use crate::support::{Corveil, Database, Folder, Proxy, Server, Url};

fn folder() -> Folder {
    Folder::new().file("0001_a.sql", "CREATE TABLE a ()")
}

#[tokio::test]
async fn a_server_that_starts_in_time_is_waited_for() {
    let (server, folder) = (Server::private(), folder());
    let database = Database::on(&server).await;
    server.stop();
    let run = Corveil::migrate(&database, &folder).args(["--wait-for-db", "60s"]).spawn();
    run.until_it_logs("waiting for postgres://").await;
    assert!(run.stderr().contains("Connection refused"), "{}", run.stderr());
    server.start();

    run.wait().await.expect_code(0);
    assert_eq!(database.applied().await, [1]);
}

#[tokio::test]
async fn a_server_that_is_never_there_may_be_tried_again_later() {
    let (database, folder) = (Database::fresh().await, folder());
    let proxy = Proxy::before(Server::shared().port());
    proxy.refuse(true);
    for subcommand in ["migrate", "status", "verify"] {
        let run = Corveil::with(subcommand, &database, &folder).url(&proxy.url(&database));
        let (before, start) = (proxy.connections(), Instant::now());
        let outcome = run.args(["--wait-for-db", "500ms"]).run().await.expect_code(75);
        outcome
            .expect_stderr("could not be used within 500ms")
            .expect_stderr("hint: see that the server runs");
        assert!(start.elapsed() >= Duration::from_millis(500));
        assert!(proxy.connections() - before > 1, "{subcommand} tried only once");
    }
}

#[tokio::test]
async fn a_host_without_a_name_may_be_tried_again_later() {
    let folder = folder();
    let run = Corveil::new("migrate").arg("--source").arg(folder.path()).args(["--wait-for-db", "0s"]);
    let run = run.env("DATABASE_URL", "postgres://u:correcthorse@no.such.host.invalid/d").run().await;
    run.expect_code(75).expect_stderr("postgres://u@no.such.host.invalid:5432/d");
}

#[tokio::test]
async fn refused_credentials_and_missing_databases_are_configuration_errors_after_the_wait() {
    let (database, folder) = (Database::fresh().await, folder());
    let no_login = database.create_role("").await;
    database.execute(&format!("ALTER ROLE {no_login} NOLOGIN")).await;
    for (url, reason) in [
        (Url { password: "wrong".into(), ..database.url() }, "28P01"),
        (Url { user: "nobody_here".into(), ..database.url() }, "28P01"),
        (Url { database: "not_here".into(), ..database.url() }, "3D000"),
        (database.url_as(&no_login), "28000"),
    ] {
        let start = Instant::now();
        let run = Corveil::migrate(&database, &folder).url(&url).args(["--wait-for-db", "400ms"]).run().await;
        run.expect_code(2)
            .expect_stderr(reason)
            .expect_stderr("hint: check user, password and database name");
        assert!(start.elapsed() >= Duration::from_millis(400), "{reason}");
    }
}

#[tokio::test]
async fn a_database_that_is_created_in_time_is_waited_for() {
    let (database, folder) = (Database::fresh().await, folder());
    let late = format!("{}_late", database.name());
    let url = Url { database: late.clone(), ..database.url() };
    let run = Corveil::migrate(&database, &folder).url(&url).spawn();
    run.until_it_logs("3D000").await;
    database.execute(&format!("CREATE DATABASE {late} TEMPLATE template0")).await;

    run.wait().await.expect_code(0);
    database.execute(&format!("DROP DATABASE {late} WITH (FORCE)")).await;
}

#[tokio::test]
async fn a_wrong_url_is_a_usage_error_that_names_its_variable() {
    let (database, folder) = (Database::fresh().await, folder());
    for subcommand in ["migrate", "status", "verify", "wait"] {
        for variable in ["DATABASE_URL", "MIGRATE_DATABASE_URL"] {
            for url in
                ["", " ", "nonsense", "mysql://u:correcthorse@h/d", "postgres://u:correcthorse@h:port/d"]
            {
                let run = Corveil::with(subcommand, &database, &folder).env(variable, url).run().await;
                let run = run.expect_code(2).expect_stderr(&format!("`{variable}` is not a PostgreSQL"));
                run.expect_stderr("hint: ");
            }
        }
    }
}

#[tokio::test]
async fn a_run_is_patient_with_a_server_that_is_full() {
    let (database, folder) = (Database::fresh().await, folder());
    let role = database.create_role("CONNECTION LIMIT 2").await;
    database.execute(&format!("GRANT CREATE, USAGE ON SCHEMA public TO {role}")).await;
    let taken =
        [database.url_as(&role).connect().await.unwrap(), database.url_as(&role).connect().await.unwrap()];

    let migrate = || Corveil::migrate(&database, &folder).url(&database.url_as(&role));
    let run = migrate().args(["--wait-for-db", "300ms"]).run().await;
    run.expect_code(75).expect_stderr("SQLSTATE 53300");
    let run = migrate().spawn();
    run.until_it_logs("SQLSTATE 53300").await;
    for connection in taken {
        connection.close().await.unwrap();
    }

    // Two connections are enough for a run.
    run.wait().await.expect_code(0);
    assert_eq!(database.applied().await, [1]);
}

#[tokio::test]
async fn a_limit_of_one_connection_is_a_configuration_error() {
    let (database, folder) = (Database::fresh().await, folder());
    let role = database.create_role("CONNECTION LIMIT 1").await;
    database.execute(&format!("GRANT CREATE, USAGE ON SCHEMA public TO {role}")).await;
    let as_role = |subcommand| Corveil::with(subcommand, &database, &folder).url(&database.url_as(&role));
    let run = as_role("migrate").run().await.expect_code(2);
    run.expect_stderr(&format!("role `{role}` allows one connection at a time"))
        .expect_stderr(&format!("hint: `ALTER ROLE {role} CONNECTION LIMIT 2`"));
    // A command that only reads needs no more.
    as_role("status").run().await.expect_code(1);

    database.execute(&format!("ALTER ROLE {role} CONNECTION LIMIT 2")).await;
    database.execute(&format!("ALTER DATABASE {} CONNECTION LIMIT 1", database.name())).await;
    let run = as_role("migrate").run().await.expect_code(2);
    run.expect_stderr(&format!("database `{}` allows one connection", database.name()));
    database.execute(&format!("ALTER DATABASE {} CONNECTION LIMIT -1", database.name())).await;
    as_role("migrate").run().await.expect_code(0);
}

#[tokio::test]
async fn a_setting_that_the_server_does_not_know_is_a_configuration_error() {
    let (database, folder) = (Database::fresh().await, folder());
    for (options, reason) in [
        ("-c nonsense=1", "42704"),
        ("-c statement_timeout=nonsense", "22023"),
        ("-c shared_buffers=1GB", "55P02"),
        ("--nonsense", "42601"),
    ] {
        for subcommand in ["migrate", "status", "verify", "wait"] {
            // At once: waiting changes no setting.
            let run = Corveil::with(subcommand, &database, &folder).env("PGOPTIONS", options).run().await;
            run.expect_code(2)
                .expect_stderr(reason)
                .expect_stderr("hint: correct `options` in the URL, or `PGOPTIONS`");
        }
        let url = format!("{}?options={}", database.url(), options.replace(' ', "%20").replace('=', "%3D"));
        let run = Corveil::with("migrate", &database, &folder).env("DATABASE_URL", url).run().await;
        run.expect_code(2).expect_stderr("refuses a setting of the session");
    }
    assert!(!database.is_touched().await);
}

#[tokio::test]
async fn a_standby_can_be_read_and_not_migrated() {
    let (server, folder) = (Server::private(), folder());
    let database = Database::on(&server).await;
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    let standby = server.standby().await;
    let url = database.url().through(standby.port());
    folder.put("0002_b.sql", "CREATE TABLE b ()");

    let run = Corveil::migrate(&database, &folder).url(&url).args(["--wait-for-db", "300ms"]).run().await;
    run.expect_code(75).expect_stderr("the server is a read-only standby");
    let status = Corveil::with("status", &database, &folder).url(&url).run().await.expect_code(1);
    status.expect_stdout("applied   1  a").expect_stdout("pending   2  b");
    Corveil::with("verify", &database, &folder).url(&url).run().await.expect_code(0);
    folder.remove("0002_b.sql");
    Corveil::with("wait", &database, &folder).url(&url).args(["--timeout", "20s"]).run().await.expect_code(0);
}

#[tokio::test]
async fn the_password_is_in_nothing_that_is_printed_or_listed() {
    let database = Database::fresh().await;
    let failing = Folder::new().file("0001_a.sql", "SELECT pg_sleep(0.3); SELECT 1/0");
    let wrong = Url { database: "not_here".into(), ..database.url() };
    for (url, code) in [(database.url(), 3), (wrong, 2)] {
        for format in ["text", "json"] {
            let run = Corveil::migrate(&database, &failing).url(&url);
            let run = run.args(["--wait-for-db", "300ms", "--log-level", "debug", "--log-format", format]);
            let run = run.args(["--output", format]).spawn();
            run.until_it_logs(if code == 2 { "waiting for" } else { "lock obtained" }).await;
            // `ps` shows it to every user of the machine.
            let listed = std::fs::read(format!("/proc/{}/cmdline", run.process())).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&listed).contains(PASSWORD));

            let outcome = run.wait().await.expect_code(code);
            for output in [&outcome.stdout, &outcome.stderr, &outcome.termination_log] {
                assert!(!output.contains(PASSWORD), "{outcome}");
            }
        }
    }
    let stored = "SELECT count(*) FROM _corveil_runs r WHERE r::text LIKE '%' || 'correct' || 'horse%'";
    assert_eq!(database.value::<i64>(stored).await, 0);
}

#[cfg(not(feature = "embedded"))]
#[tokio::test]
async fn a_build_without_an_embedded_server_asks_for_a_database() {
    let folder = folder();
    for subcommand in ["migrate", "status", "verify", "wait"] {
        let run = Corveil::new(subcommand).arg("--source").arg(folder.path()).run().await.expect_code(2);
        run.expect_stderr("no database is configured").expect_stderr("hint: set `DATABASE_URL`");
    }
}

//! The parameters of a URL: what is followed, and what is refused because it would be ignored.

use crate::support::server::PASSWORD;
use crate::support::{Corveil, Database, Folder, PgBouncer, PoolMode, Server};

fn folder() -> Folder {
    Folder::new().file("0001_a.sql", "CREATE TABLE a ()")
}

#[tokio::test]
async fn a_schema_in_the_url_is_never_ignored() {
    let (database, folder) = (Database::fresh().await, folder());
    database.execute("CREATE SCHEMA app").await;
    for parameter in ["search_path", "schema", "currentSchema", "schema_search_path"] {
        let url = format!("{}?{parameter}=app", database.url());
        for subcommand in ["migrate", "adopt", "status", "wait", "verify"] {
            for variable in ["DATABASE_URL", "MIGRATE_DATABASE_URL"] {
                let run = Corveil::with(subcommand, &database, &folder).env(variable, &url).run().await;
                run.expect_code(2)
                    .expect_stderr(&format!("`{variable}` has the parameter `{parameter}`"))
                    .expect_stderr("hint: write `options=-csearch_path%3DSCHEMA`");
            }
        }
        let run =
            Corveil::with("verify", &database, &folder).arg("--schema").env("CORVEIL_SCRATCH_URL", &url);
        run.run()
            .await
            .expect_code(2)
            .expect_stderr(&format!("`CORVEIL_SCRATCH_URL` has the parameter `{parameter}`"));
    }
    assert!(!database.is_touched().await);

    // The form that works.
    let url = format!("{}?options=-csearch_path%3Dapp", database.url());
    for (subcommand, code) in [("status", 1), ("migrate", 0), ("wait", 0), ("verify", 0)] {
        let run = Corveil::with(subcommand, &database, &folder).env("DATABASE_URL", &url);
        run.run().await.expect_code(code);
    }
    assert!(database.has("app.a").await && database.has("app._sqlx_migrations").await);
    assert!(!database.has("public.a").await);
}

#[tokio::test]
async fn serve_refuses_it_too() {
    let run = Corveil::new("serve").env("CORVEIL_LISTEN", "127.0.0.1:0");
    let run = run.env("DATABASE_URL", "postgres://u@h/d?schema=app").run().await.expect_code(2);
    run.expect_stderr("`schema`");
}

#[tokio::test]
async fn a_parameter_is_named_and_its_value_is_not() {
    let (database, folder) = (Database::fresh().await, folder());
    for (parameters, named) in [
        ("nonsense=s3cr3t", "`nonsense`"),
        ("sslmode=s3cr3t", "`sslmode`"),
        ("sslmode=disable&sslmode=s3cr3t", "`sslmode` twice"),
        ("channel_binding=require&application_name=s3cr3t", "`channel_binding`"),
        ("require_auth=s3cr3t", "`require_auth`"),
        ("ssl=s3cr3t", "`ssl`"),
        ("sslrootcert=/s3cr3t&sslmode=verify-full", "`sslrootcert`"),
        ("s3cr3t", "a parameter in `DATABASE_URL` has no value"),
    ] {
        let run = Corveil::with("status", &database, &folder);
        let run =
            run.env("DATABASE_URL", format!("{}?{parameters}", database.url())).run().await.expect_code(2);
        let run = run.expect_stderr(named).expect_stderr("hint: ").expect_no_stderr("s3cr3t");
        assert!(!run.termination_log.contains("s3cr3t"), "{run}");
    }
}

#[tokio::test]
async fn parameters_that_change_nothing_and_sockets_work_as_before() {
    let (database, folder) = (Database::fresh().await, folder());
    for parameters in [
        "connect_timeout=5&keepalives=1&tcp_user_timeout=100&application_name=x&target_session_attrs=any",
        "pgbouncer=true&connection_limit=1&statement-cache-capacity=0",
        "options[search_path]=public&sslmode=prefer",
        "sslmode=disable&channel_binding=prefer&gssencmode=disable&client_encoding=utf8",
    ] {
        let url = format!("{}?{parameters}", database.url());
        Corveil::migrate(&database, &folder).env("DATABASE_URL", url).run().await.expect_code(0);
    }
    // Over the socket nothing is encrypted, whatever the mode: so it is with libpq.
    let socket = Server::shared().socket_url().replace("/postgres?", &format!("/{}?", database.name()));
    for mode in ["", "&sslmode=require", "&sslmode=disable"] {
        let run = Corveil::with("status", &database, &folder).env("DATABASE_URL", format!("{socket}{mode}"));
        run.run().await.expect_code(0).expect_no_stderr("unencrypted");
    }
}

#[tokio::test]
async fn options_through_a_pooler_are_refused_as_before() {
    let (database, folder) = (Database::fresh().await, folder());
    let pooler = PgBouncer::before(&database, PoolMode::Session).await;
    let url = format!("{}?options=-csearch_path%3Dapp", pooler.url());
    let run = Corveil::with("status", &database, &folder).env("DATABASE_URL", url).run().await.expect_code(2);
    run.expect_stderr("08P01").expect_stderr("hint: set `MIGRATE_DATABASE_URL` to a direct connection");
}

#[tokio::test]
async fn every_form_that_psql_takes_is_taken() {
    let (database, folder) = (Database::fresh().await, folder());
    let (server, name) = (Server::shared(), database.name());
    let (port, socket) = (server.port(), server.socket_folder());
    let odd = format!("{name}@proj.iam");
    database.execute(&format!("CREATE ROLE \"{odd}\" LOGIN SUPERUSER PASSWORD 'a?b#c@d'")).await;
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    let plain = format!("postgres:{PASSWORD}");
    for url in [
        format!("postgres://{plain}@[::1]:{port}/{name}"),
        format!("postgresql://{plain}@localhost:{port}/{name}"),
        format!("postgres://{plain}@127.0.0.1:{port}/{name}?application_name=pay@eu"),
        format!("postgres://127.0.0.1:{port}/{name}?user={odd}&password=a?b%23c@d"),
        format!("postgres://{name}%40proj.iam:a%3Fb%23c%40d@127.0.0.1:{port}/{name}"),
        format!("postgres://{name}%40proj.iam:a?b#c@d@127.0.0.1:{port}/{name}"),
        format!("postgres://postgres@/{name}?host={socket}&port={port}"),
        format!("postgres://postgres@:{port}/{name}?host={socket}"),
        format!("postgres:///{name}?host={socket}&port={port}&user=postgres"),
        format!("postgres://postgres@{}:{port}/{name}", socket.replace('/', "%2F")),
        format!("postgres://{plain}@elsewhere.invalid:{port}/{name}?hostaddr=127.0.0.1"),
        format!("postgres://{plain}@127.0.0.1,localhost:{port}/{name}?port={port}")
            .replace(&format!(":{port}/"), "/"),
        format!("postgres://postgres@127.0.0.1:{port}?dbname={name}&password={PASSWORD}"),
    ] {
        let run = Corveil::with("status", &database, &folder).env("DATABASE_URL", &url);
        let run = run.args(["--wait-for-db", "5s"]).run().await;
        assert_eq!(run.code, Some(0), "{url}: {run}");
    }
    // libpq's variables fill in what the URL leaves out.
    let run = Corveil::with("status", &database, &folder).env("DATABASE_URL", "postgres://");
    let run = run.env("PGHOST", "127.0.0.1").env("PGPORT", port.to_string()).env("PGUSER", "postgres");
    run.env("PGDATABASE", name).env("PGPASSWORD", PASSWORD).run().await.expect_code(0);
    database.execute(&format!("DROP ROLE \"{odd}\"")).await;
}

#[tokio::test]
async fn a_service_or_a_password_file_that_is_not_used_is_reported() {
    let (database, folder) = (Database::fresh().await, folder());
    let port = database.url().port;
    let url = format!("postgres://postgres@127.0.0.1:{port}/{}", database.name());
    let status = || {
        let run = Corveil::with("status", &database, &folder).env("DATABASE_URL", &url);
        run.args(["--wait-for-db", "0s"])
    };
    let run = status().env("PGSERVICE", "s3cr3t").run().await.expect_code(2);
    run.expect_stderr("the environment has `PGSERVICE`, but Corveil reads no service file")
        .expect_no_stderr("s3cr3t");

    let (home, file) = (tempfile::tempdir().unwrap(), "*:*:*:*:".to_owned() + PASSWORD + "\n");
    let path = home.path().join(".pgpass");
    std::fs::write(&path, file).unwrap();
    let mode =
        |mode| std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    mode(0o640);
    let shown = format!("the password file `{}` is not used: users other than its owner", path.display());
    for run in [status().env("PGPASSFILE", &path), status().env("HOME", home.path())] {
        let run = run.run().await.expect_code(2).expect_stderr(&shown).expect_stderr("28P01");
        assert_eq!(run.stderr.matches(&shown).count(), 1, "{run}");
    }
    mode(0o600);
    status().env("PGPASSFILE", &path).run().await.expect_code(1);
    status().env("HOME", home.path()).run().await.expect_code(1).expect_no_stderr("password file");
    let parameter = format!("{url}?passfile={}", path.display());
    status().env("DATABASE_URL", parameter).run().await.expect_code(1);
    let missing = status().env("PGPASSFILE", "/missing/file").run().await.expect_code(2);
    missing.expect_stderr("the password file `/missing/file` is not used: it does not exist");
}

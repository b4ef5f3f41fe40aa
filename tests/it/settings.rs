//! Settings of roles, databases and servers that make the server answer otherwise: no command may notice.

use serde_json::Value;

use crate::support::settings::{KEEPERS, ODD, give, with_settings};
use crate::support::{Corveil, Database, Folder, SOON, Server, wait_until};

fn folder() -> Folder {
    Folder::new()
        .file("0001_a.sql", "CREATE TABLE a (id int, at timestamptz DEFAULT '2026-01-02 03:04:05.678+00', x float8 DEFAULT 0.1)")
        .file("0002_b.sql", "-- no-transaction\nCREATE TABLE b (id int);\nCREATE INDEX CONCURRENTLY b_id ON b (id);")
        .file("0003_c.sql", "-- no-transaction\nBEGIN;\nCREATE TABLE c (t text DEFAULT 'it''s');\nCOMMIT;")
}

#[test]
fn the_table_of_odd_settings_is_long_and_has_no_setting_twice() {
    let mut names: Vec<_> = ODD.iter().map(|(name, ..)| name).collect();
    names.sort();
    names.dedup();
    assert!(names.len() == ODD.len() && names.len() > 43, "{}", names.len());
    assert!(ODD.iter().all(|(_, odd, usual)| odd != usual));
}

/// Every command, from nothing to nothing left to do; what changes is in a second run's way.
async fn every_command(database: &Database, role: &str, what: &str) {
    let folder = folder();
    let url = database.url_as(role);
    let run = |subcommand: &str| Corveil::with(subcommand, database, &folder).url(&url);
    for (subcommand, arguments, code) in [
        ("status", &[][..], 1),
        ("migrate", &["--dry-run"], 0),
        ("migrate", &["--target", "2"], 0),
        ("status", &["--output", "json"], 1),
        ("migrate", &[], 0),
        ("migrate", &[], 0),
        ("status", &[], 0),
        ("wait", &["--timeout", "30s"], 0),
        ("verify", &[], 0),
        ("verify", &["--schema"], 0),
    ] {
        let run = run(subcommand).args(arguments).run().await;
        assert_eq!(run.code, Some(code), "{what}: {subcommand} {arguments:?}: {run}");
        assert!(!run.stderr.contains("; retry "), "{what}: {run}");
    }

    // A failure is recorded, and read by others.
    folder.put("0004_d.sql", "CREATE TABLE d (); SELECT 1/0");
    let failed = run("migrate").run().await;
    assert!(failed.code == Some(3) && failed.stderr.contains("0004_d.sql:1:20"), "{what}: {failed}");
    let waited = run("wait").args(["--timeout", "30s"]).run().await;
    assert!(waited.code == Some(3), "{what}: {waited}");
    folder.remove("0004_d.sql");

    // What is recorded without being run.
    database.execute("DROP TABLE _sqlx_migrations, _corveil_runs, _corveil_statements").await;
    let adopted = run("adopt").args(["--to", "3"]).run().await;
    assert_eq!(adopted.code, Some(0), "{what}: {adopted}");
    run("status").run().await.expect_code(0);
    assert_eq!(database.applied().await, [1, 2, 3]);
}

#[tokio::test]
async fn every_command_works_under_every_odd_setting() {
    for (what, alter) in KEEPERS {
        let (database, role) = with_settings(|role, name| give(&alter(role, name))).await;
        every_command(&database, &role, what).await;
    }
}

#[tokio::test]
async fn every_command_works_where_the_server_itself_has_every_odd_setting() {
    let server = Server::private();
    let database = Database::on(&server).await;
    let role = database.create_role("CREATEDB").await;
    let usual =
        "GRANT ALL ON SCHEMA public TO $; ALTER ROLE postgres SET default_transaction_read_only = off";
    database.execute(&usual.replace('$', &role)).await;
    // Each is a statement that no transaction may contain.
    let odd = give("ALTER SYSTEM") + "ALTER SYSTEM SET default_transaction_read_only = on";
    for statement in odd.split(';') {
        database.execute(statement).await;
    }
    database.execute("SELECT pg_reload_conf()").await;
    let is_read_only = async || database.url_as(&role).setting("default_transaction_read_only").await == "on";
    wait_until("the settings are read", SOON, is_read_only).await;
    every_command(&database, &role, "server").await;
}

#[tokio::test]
async fn what_is_read_does_not_depend_on_a_setting() {
    let (database, folder) = (Database::fresh().await, folder());
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    let role = database.create_role("").await;
    database.execute(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")).await;
    let status = async || {
        let run = Corveil::with("status", &database, &folder).url(&database.url_as(&role));
        let run = run.args(["--output", "json"]).run().await.expect_code(0);
        serde_json::from_str::<Value>(&run.stdout).unwrap()
    };
    let usual = status().await;
    database.execute(&give(&format!("ALTER ROLE {role}"))).await;
    assert_eq!(status().await, usual);
    database.execute(&format!("DROP OWNED BY {role}")).await;
}

#[tokio::test]
async fn transactions_that_are_read_only_by_default_are_no_standby() {
    for (what, alter) in KEEPERS {
        let (database, role) = with_settings(|role, name| {
            format!("{} SET default_transaction_read_only = on", alter(role, name))
        })
        .await;
        // The test's own sessions are to write.
        if what == "database" {
            database
                .execute(&format!(
                    "BEGIN READ WRITE;
                     ALTER ROLE postgres IN DATABASE {} SET default_transaction_read_only = off; COMMIT",
                    database.name()
                ))
                .await;
        }
        every_command(&database, &role, what).await;
    }
}

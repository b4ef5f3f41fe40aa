//! A database that another tool migrated: a run without `--adopt` refuses it, a run with it records the baseline first.

use std::time::Duration;

use sqlx::migrate::{Migrate, Migrator};

use crate::support::{Corveil, Database, Folder, schema};

const USERS: &str = "CREATE TABLE users (id int PRIMARY KEY)";
const KEYS: &str = "CREATE TABLE keys (id int PRIMARY KEY)";
const GOLANG_MIGRATE: &str =
    "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL);
                              INSERT INTO schema_migrations VALUES (1, false);";

fn folder() -> Folder {
    Folder::new().file("1_users.sql", USERS).file("2_keys.sql", KEYS)
}

async fn at_one() -> Database {
    let database = Database::fresh().await;
    database.execute(&format!("{USERS}; {GOLANG_MIGRATE}")).await;
    database
}

#[tokio::test]
async fn every_command_names_the_one_that_adopts() {
    let (database, folder) = (at_one().await, folder());
    let source = folder.path().display().to_string();
    let adopt = format!("`corveil adopt --from golang-migrate --source {source} --dry-run`");
    for command in ["migrate", "status", "wait", "verify"] {
        let run = Corveil::with(command, &database, &folder).run().await.expect_code(4);
        assert!(format!("{}{}", run.stdout, run.stderr).contains(&adopt), "{command}: {run}");
    }
    let words: Vec<_> = adopt.trim_matches('`').split(' ').skip(2).collect();
    let run = Corveil::new("adopt").url(&database.url()).args(words).run().await.expect_code(0);
    assert_eq!(run.stdout, "would record 1_users.sql\n");

    // Without a history, the objects show it.
    database.execute("DROP TABLE schema_migrations").await;
    let run = Corveil::migrate(&database, &folder).run().await.expect_code(4);
    run.expect_stderr(&format!("`corveil adopt --source {source} --dry-run`"));
    assert!(!database.is_touched().await);
}

#[tokio::test]
async fn a_run_adopts_and_applies_the_rest() {
    for flag in [&["--adopt"][..], &["--adopt=golang-migrate"], &["--adopt=auto", "--adopt-to", "1"]] {
        let (database, folder) = (at_one().await, folder());
        let run = Corveil::migrate(&database, &folder).args(flag).run().await.expect_code(0);
        assert!(
            run.stdout.starts_with("recorded 1 migration, which was not run\napplied 1 migration "),
            "{run}"
        );
        assert_eq!(database.applied().await, [1, 2]);
        let taken = "SELECT count(*) FROM _sqlx_migrations WHERE execution_time = -1";
        assert_eq!(database.value::<i64>(taken).await, 1);
        // The flag may stay where it is.
        let again = Corveil::migrate(&database, &folder).args(flag).run().await.expect_code(0);
        again.expect_stdout("nothing to do: the schema is at version 2");
    }
}

#[tokio::test]
async fn a_run_adopts_what_has_everything_already() {
    let (database, folder) = (Database::fresh().await, folder());
    database.execute(&format!("{USERS}; {KEYS}")).await;
    let run = Corveil::migrate(&database, &folder).env("CORVEIL_ADOPT", "auto").args(["--output", "json"]);
    let json = run.run().await.expect_code(0).json();
    assert_eq!((&json["outcome"], &json["adopted"]["version"]), (&"current".into(), &2.into()));
    assert_eq!(json["adopted"]["recorded"][1]["file"], "2_keys.sql");
    assert_eq!(database.applied().await, [1, 2]);
}

#[tokio::test]
async fn adoption_ignores_an_empty_database_and_one_with_corveils_history() {
    let (database, folder) = (Database::fresh().await, folder());
    let adopting = || Corveil::migrate(&database, &folder).args(["--adopt=goose", "--output", "json"]);
    // Unrelated tables do not matter.
    database.execute("CREATE TABLE unrelated ()").await;
    let json = adopting().args(["--target", "1"]).run().await.expect_code(0).json();
    assert_eq!((&json["outcome"], json.get("adopted")), (&"applied".into(), None));
    database.execute(GOLANG_MIGRATE).await;
    assert_eq!(adopting().run().await.expect_code(0).json().get("adopted"), None);
    assert_eq!(database.applied().await, [1, 2]);
    assert_eq!(
        database.value::<i64>("SELECT count(*) FROM _sqlx_migrations WHERE execution_time < 0").await,
        0
    );
}

#[tokio::test]
async fn files_that_would_apply_again_are_not_run_on_what_is_there() {
    for first in [
        "CREATE TABLE IF NOT EXISTS accounts (cents int)",
        "DO $$ BEGIN CREATE TABLE IF NOT EXISTS accounts (cents int); END $$",
    ] {
        let folder = Folder::new()
            .file("1_accounts.sql", first)
            .file("2_cents.sql", "UPDATE accounts SET cents = cents * 100");
        let database = Database::fresh().await;
        database.execute("CREATE TABLE accounts (cents int); INSERT INTO accounts VALUES (500)").await;
        let run = Corveil::migrate(&database, &folder).arg("--adopt").run().await.expect_code(2);
        run.expect_stderr("(`1_accounts.sql`, `2_cents.sql`), so the current one is ambiguous");
        let with_version = Corveil::migrate(&database, &folder).args(["--adopt", "--adopt-to", "2"]);
        with_version.run().await.expect_code(0).expect_stdout("recorded 2 migrations");
        assert_eq!(database.value::<i32>("SELECT cents FROM accounts").await, 500);
    }
}

#[tokio::test]
async fn a_schema_that_differs_ends_the_run_before_it_writes() {
    let (database, folder) = (at_one().await, folder());
    database.execute("ALTER TABLE users ADD extra int").await;
    let before = schema::dump(&database).await;
    for arguments in [&["--adopt"][..], &["--adopt", "--dry-run"]] {
        let run = Corveil::migrate(&database, &folder).args(arguments).run().await.expect_code(4);
        assert!(run.termination_log.contains("extra"), "{run}");
        run.expect_stderr("extra").expect_stderr("--to 1 --accept");
    }
    for (arguments, code) in [(["--adopt=goose"], 2), (["--adopt-to=1"], 2), (["--adopt=make"], 2)] {
        Corveil::migrate(&database, &folder).args(arguments).run().await.expect_code(code);
    }
    assert_eq!(schema::dump(&database).await, before);
}

#[tokio::test]
async fn a_dry_run_shows_both_halves() {
    let (database, folder) = (at_one().await, folder());
    let run = Corveil::migrate(&database, &folder).args(["--adopt", "--dry-run"]).run().await.expect_code(0);
    assert_eq!(
        run.stdout,
        "would record 1_users.sql\nwould apply 2_keys.sql (1 statement in one transaction)\n"
    );
    assert!(!database.is_touched().await);
}

#[tokio::test]
async fn files_that_are_recorded_need_not_be_ones_that_could_run() {
    let (database, folder) = (at_one().await, folder());
    // A command of psql: a pending file with it is refused.
    folder.put("1_users.sql", format!("-- corveil:lock-timeout 1s\n{USERS};\n"));
    folder.put("3_bad.sql", "\\echo no\n");
    Corveil::migrate(&database, &folder)
        .arg("--adopt")
        .run()
        .await
        .expect_code(2)
        .expect_stderr("`3_bad.sql`");
    assert!(!database.is_touched().await);
}

#[tokio::test]
async fn what_was_adopted_stays_when_the_rest_fails() {
    let (database, folder) = (at_one().await, folder());
    folder.put("2_keys.sql", "CREATE TABLE keys (); SELECT 1/0");
    Corveil::migrate(&database, &folder)
        .arg("--adopt")
        .run()
        .await
        .expect_code(3)
        .expect_stderr("division by zero");
    assert_eq!(database.applied().await, [1]);
    folder.put("2_keys.sql", KEYS);
    Corveil::migrate(&database, &folder).arg("--adopt").run().await.expect_code(0);
    assert_eq!(database.applied().await, [1, 2]);
}

#[tokio::test]
async fn runs_at_once_adopt_once() {
    let (database, folder) = (at_one().await, folder());
    let runs: Vec<_> = (0..4).map(|_| Corveil::migrate(&database, &folder).arg("--adopt").spawn()).collect();
    for run in runs {
        run.wait().await.expect_code(0);
    }
    assert_eq!(database.applied().await, [1, 2]);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM _corveil_runs").await, 2);
    database.wait_until_left(Duration::from_secs(20)).await;
}

#[tokio::test]
async fn a_pod_that_waits_does_not_give_up_while_another_session_has_the_lock() {
    let (database, folder) = (at_one().await, folder());
    let mut other = database.connect().await;
    other.lock().await.unwrap();
    let wait = Corveil::with("wait", &database, &folder).spawn();
    wait.until_it_logs("waiting: 2 migrations are not applied").await;
    other.ensure_migrations_table("_sqlx_migrations").await.unwrap();
    for migration in Migrator::new(folder.path()).await.unwrap().iter() {
        other.skip("_sqlx_migrations", migration).await.unwrap();
    }
    wait.wait().await.expect_code(0);
}

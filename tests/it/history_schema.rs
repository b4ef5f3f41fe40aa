//! Where the history is: the search path, one schema per tenant, and a history that the path does not find.

use crate::support::{Corveil, Database, Folder};

fn folder() -> Folder {
    Folder::new().file("0001_a.sql", "CREATE TABLE a (id int); INSERT INTO a VALUES (1)")
}

fn with_path(subcommand: &str, database: &Database, folder: &Folder, path: &str) -> Corveil {
    let url = format!("{}?options=-csearch_path%3D{path}", database.url());
    Corveil::with(subcommand, database, folder).env("DATABASE_URL", url)
}

#[tokio::test]
async fn a_history_that_the_path_does_not_find_is_not_started_again() {
    let (database, folder) = (Database::fresh().await, folder());
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    database.execute("CREATE SCHEMA app").await;
    for (command, arguments) in [
        ("migrate", &[][..]),
        ("migrate", &["--dry-run"]),
        ("status", &[]),
        ("verify", &[]),
        ("wait", &["--timeout", "3s"]),
        ("adopt", &["--to", "1"]),
    ] {
        let run = with_path(command, &database, &folder, "app").args(arguments.iter().copied()).run().await;
        let run = run.expect_code(4).expect_stderr("has a migration history in schema `public`");
        let run = run.expect_stderr("leads to `app`").expect_stderr("--history-schema public");
        assert!(!run.stderr.contains("corveil adopt"), "{run}");
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM a").await, 1);
    assert!(!database.has("app.a").await);
}

#[tokio::test]
async fn each_tenant_has_a_schema_with_a_history() {
    let (database, folder) = (Database::fresh().await, folder());
    for tenant in ["one", "two"] {
        database.execute(&format!("CREATE SCHEMA {tenant}")).await;
        let run = with_path("migrate", &database, &folder, tenant).args(["--history-schema", tenant]);
        run.run().await.expect_code(0).expect_stdout("applied 1 migration");
    }
    for tenant in ["one", "two"] {
        assert!(
            database.has(&format!("{tenant}.a")).await
                && database.has(&format!("{tenant}._sqlx_migrations")).await
        );
        // A path that finds its history needs no flag.
        with_path("status", &database, &folder, tenant).run().await.expect_code(0);
        with_path("wait", &database, &folder, tenant)
            .env("CORVEIL_HISTORY_SCHEMA", tenant)
            .run()
            .await
            .expect_code(0);
    }
    assert!(!database.has("public._sqlx_migrations").await);
}

#[tokio::test]
async fn the_first_schema_of_the_path_with_a_history_counts() {
    let (database, folder) = (Database::fresh().await, folder());
    database.execute("CREATE SCHEMA app").await;
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    with_path("migrate", &database, &folder, "app,public")
        .run()
        .await
        .expect_code(0)
        .expect_stdout("nothing to do");
}

#[tokio::test]
async fn a_history_schema_that_does_not_exist_is_a_configuration_error() {
    let (database, folder) = (Database::fresh().await, folder());
    for command in ["migrate", "status", "wait"] {
        let run =
            Corveil::with(command, &database, &folder).args(["--history-schema", "nowhere"]).run().await;
        run.expect_code(2)
            .expect_stderr("has no schema `nowhere`")
            .expect_stderr("hint: `CREATE SCHEMA \"nowhere\"`");
    }
    let run = Corveil::migrate(&database, &folder).env("CORVEIL_HISTORY_SCHEMA", "").run().await;
    run.expect_code(2);
    assert!(!database.is_touched().await);
}

#[tokio::test]
async fn a_history_that_may_not_be_read_is_reported() {
    let (database, folder) = (Database::fresh().await, folder());
    let reader = database.create_role("").await;
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    database.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC").await;
    let run = Corveil::with("status", &database, &folder).url(&database.url_as(&reader)).run().await;
    let run = run.expect_stderr("migration history").expect_stderr("GRANT USAGE ON SCHEMA \"public\"");
    assert!(run.code == Some(4) && !run.stderr.contains("adopt"), "{run}");
    assert!(!run.stderr.contains("empty database"), "{run}");
}

//! `verify --schema`: whether the schema matches what the applied migrations create.

use crate::support::{Corveil, Database, Folder};

/// `verify --schema` of the migrations that the program carries.
fn verify(database: &Database) -> Corveil {
    Corveil::new("verify").url(&database.url()).arg("--schema")
}

fn migrate(database: &Database) -> Corveil {
    Corveil::new("migrate").url(&database.url())
}

#[tokio::test]
async fn each_snapshot_matches_what_its_migration_creates_on_this_server() {
    let database = Database::fresh().await;
    verify(&database).run().await.expect_code(0);
    for version in 1..=10 {
        migrate(&database).args(["--target", &version.to_string()]).run().await.expect_code(0);
        let verified = verify(&database).run().await;
        verified.expect_code(0).expect_stdout("files, history, indexes and schema match");
    }
    migrate(&database).run().await.expect_code(0).expect_stderr("");
    verify(&database).run().await.expect_code(0);
}

#[tokio::test]
async fn changes_by_hand_are_listed_and_fixed() {
    let database = Database::fresh().await;
    migrate(&database).run().await.expect_code(0);
    database
        .execute(
            "ALTER TABLE users ADD COLUMN nick text, ALTER COLUMN name SET NOT NULL; DROP INDEX users_email_key;
             ALTER TABLE api_keys ALTER COLUMN name SET DEFAULT 'x'",
        )
        .await;
    Corveil::new("verify").url(&database.url()).run().await.expect_code(0);
    let text = verify(&database).run().await.expect_code(4);
    text.expect_stdout(": column public.api_keys.name has a default, and should have none: ALTER TABLE ")
        .expect_stdout("- column-public.users.nick-extra: ")
        .expect_stdout(": ALTER TABLE public.users DROP COLUMN nick;\n");

    let json = verify(&database).args(["--output", "json"]).run().await.expect_code(4).json();
    assert_eq!((&json["exit_code"], json["findings"].as_array().unwrap().len()), (&4.into(), 0));
    let differences = json["differences"].as_array().unwrap();
    let ids: Vec<_> = differences.iter().map(|difference| difference["id"].as_str().unwrap()).collect();
    assert_eq!(
        ids,
        [
            "column-public.api_keys.name-default",
            "column-public.users.name-null",
            "index-public.users_email_key-missing",
            "column-public.users.nick-extra"
        ]
    );
    assert_eq!(differences[3]["object"], "public.users.nick");
    for difference in differences {
        database.execute(difference["sql"].as_str().unwrap()).await;
    }
    let json = verify(&database).args(["--output", "json"]).run().await.expect_code(0).json();
    let not_compared = serde_json::json!({"partitions": 0, "ignored": 0, "unused_patterns": []});
    assert_eq!(
        json,
        serde_json::json!({"exit_code": 0, "findings": [], "differences": [], "not_compared": not_compared})
    );
}

#[tokio::test]
async fn a_file_that_was_skipped_is_not_taken_for_applied() {
    let database = Database::fresh().await;
    let folder = Folder::new().file("1_a.sql", "CREATE TABLE a ()").file("3_c.sql", "CREATE TABLE c ()");
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    let folder = folder.file("2_b.sql", "CREATE TABLE b ()");
    let verify = || Corveil::with("verify", &database, &folder).arg("--schema");
    let run = verify().run().await.expect_code(2);
    run.expect_stderr("`2_b.sql` is pending although version 3 is applied")
        .expect_stderr("--out-of-order apply");
    let late = Corveil::migrate(&database, &folder).args(["--out-of-order", "apply"]);
    late.run().await.expect_code(0);
    verify().run().await.expect_code(0);
}

#[tokio::test]
async fn the_app_s_role_may_compare() {
    let database = Database::fresh().await;
    let (ddl, app) = (database.create_role("").await, database.create_role("").await);
    database.execute(&format!("GRANT ALL ON SCHEMA public TO {ddl}")).await;
    let as_two = |command: &str| {
        Corveil::new(command)
            .url(&database.url_as(&app))
            .env("MIGRATE_DATABASE_URL", database.url_as(&ddl).to_string())
    };
    as_two("migrate").run().await.expect_code(0);
    as_two("verify")
        .env("CORVEIL_SCHEMA", "true")
        .run()
        .await
        .expect_code(0)
        .expect_stdout("and schema match");
}

#[tokio::test]
async fn the_files_may_have_gone_into_another_schema() {
    let database = Database::fresh().await;
    let role = database.create_role("").await;
    database.execute(&format!("CREATE SCHEMA AUTHORIZATION {role}")).await;
    let folder =
        Folder::new().file("1_a.sql", "CREATE TABLE a (id serial); CREATE VIEW v AS SELECT id FROM a");

    let url = database.url_as(&role);
    Corveil::new("migrate").url(&url).run().await.expect_code(0);
    verify(&database).url(&url).run().await.expect_code(0);
    database.execute(&format!("DROP SCHEMA {role} CASCADE; CREATE SCHEMA AUTHORIZATION {role}")).await;

    // A role that may create its scratch database, and one whose files another role replays.
    Corveil::migrate(&database, &folder).url(&url).run().await.expect_code(0);
    let with_folder = || Corveil::with("verify", &database, &folder).url(&url).arg("--schema");
    with_folder().env("CORVEIL_SCRATCH_URL", database.url().to_string()).run().await.expect_code(0);
    database.execute(&format!("ALTER ROLE {role} CREATEDB")).await;
    with_folder().run().await.expect_code(0);
    database.execute(&format!("ALTER TABLE {role}.a ADD COLUMN x int")).await;
    with_folder().run().await.expect_code(4).expect_stdout(&format!("- column-{role}.a.x-extra: "));
}

#[tokio::test]
async fn a_build_that_does_not_know_the_newest_version_cannot_compare() {
    let database = Database::fresh().await;
    migrate(&database).run().await.expect_code(0);
    database.execute("UPDATE _sqlx_migrations SET version = 11 WHERE version = 10").await;
    verify(&database).run().await.expect_code(2).expect_stderr("version 11 is applied");
}

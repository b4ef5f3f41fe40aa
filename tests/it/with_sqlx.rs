//! sqlx's own Migrator and program on the same database, before, after and in between.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::Executor;
use sqlx::migrate::{MigrateError, Migrator};

use crate::support::{Corveil, Database, Folder, schema, wait_until};

/// A folder such as real projects have.
fn realistic() -> Folder {
    Folder::new()
        .file("README.md", "# Migrations")
        .file("seed.sql", "INSERT INTO nothing VALUES (1)")
        .file(
            "20230101000000_create_users.up.sql",
            "CREATE EXTENSION IF NOT EXISTS plpgsql;\nCREATE TYPE role AS ENUM ('admin', 'user');\n\
             CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL UNIQUE, role role NOT NULL);\n",
        )
        .file("20230101000000_create_users.down.sql", "DROP TABLE users; DROP TYPE role;")
        .file("20230202000000_add_role.up.sql", "ALTER TYPE role ADD VALUE 'guest'")
        .file("20230202000000_add_role.down.sql", "-- cannot be undone")
        .file(
            "20230303000000_create_posts.up.sql",
            "CREATE TABLE posts (id bigint PRIMARY KEY, author bigint NOT NULL REFERENCES users ON DELETE CASCADE, body text);\n\
             COMMENT ON TABLE posts IS 'what users write; all of it';\n--",
        )
        .file("20230303000000_create_posts.down.sql", "DROP TABLE posts")
        .file("20230404000000_index_posts.up.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY posts_author ON posts (author);")
        .file("20230404000000_index_posts.down.sql", "DROP INDEX posts_author")
        .file(
            "20230505000000_touch.up.sql",
            "ALTER TABLE posts ADD touched timestamptz;\nCREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$\n\
             BEGIN\n  NEW.touched = now(); -- so;\n  RETURN NEW;\nEND $$;\n\
             CREATE TRIGGER touch BEFORE UPDATE ON posts FOR EACH ROW EXECUTE FUNCTION touch();\n",
        )
        .file("20230505000000_touch.down.sql", "DROP TRIGGER touch ON posts; DROP FUNCTION touch;")
        .file("20230606000000_guests.up.sql", "INSERT INTO users (email, role) VALUES ('guest@example.org', 'guest')")
        .file("20230606000000_guests.down.sql", "DELETE FROM users WHERE role = 'guest'")
}

async fn sqlx_migrate(database: &Database, folder: &Path) -> Result<(), MigrateError> {
    Migrator::new(folder).await?.run(&mut database.connect().await).await
}

async fn dump(database: &Database) -> String {
    database.execute("DROP TABLE IF EXISTS _corveil_runs, _corveil_statements").await;
    schema::dump(database).await
}

#[tokio::test]
async fn one_folder_gives_one_schema_and_one_history() {
    let (ours, theirs, folder) = (Database::fresh().await, Database::fresh().await, realistic());
    Corveil::migrate(&ours, &folder).run().await.expect_code(0);
    sqlx_migrate(&theirs, folder.path()).await.unwrap();
    assert_eq!(dump(&ours).await, dump(&theirs).await);

    let rows =
        "SELECT row(version, description, success, checksum)::text FROM _sqlx_migrations ORDER BY version";
    assert_eq!(ours.values::<String>(rows).await, theirs.values::<String>(rows).await);
}

#[tokio::test]
async fn sqlx_finds_nothing_to_do_after_us_and_we_find_nothing_after_sqlx() {
    let (ours, theirs, folder) = (Database::fresh().await, Database::fresh().await, realistic());
    Corveil::migrate(&ours, &folder).run().await.expect_code(0);
    sqlx_migrate(&theirs, folder.path()).await.unwrap();
    let (before, rows) = (dump(&ours).await, "SELECT sum(xmin::text::bigint)::bigint FROM _sqlx_migrations");
    let row_ids: i64 = ours.value(rows).await;

    sqlx_migrate(&ours, folder.path()).await.unwrap();
    assert_eq!((dump(&ours).await, ours.value::<i64>(rows).await), (before, row_ids));
    Corveil::migrate(&theirs, &folder).run().await.expect_code(0).expect_stdout("nothing to do");
    for command in ["status", "verify", "wait"] {
        Corveil::with(command, &theirs, &folder).run().await.expect_code(0);
    }
    assert!(!theirs.has("_corveil_runs").await);
}

#[tokio::test]
async fn both_in_turn_apply_each_file_once() {
    for we_start in [true, false] {
        let (database, folder) = (Database::fresh().await, Folder::new());
        for version in 1..=6 {
            folder.put(&format!("{version}_t.up.sql"), format!("CREATE TABLE t{version} ()"));
            folder.put(&format!("{version}_t.down.sql"), format!("DROP TABLE t{version}"));
            if (version % 2 == 1) == we_start {
                Corveil::migrate(&database, &folder)
                    .run()
                    .await
                    .expect_code(0)
                    .expect_stdout("applied 1 migration ");
            } else {
                sqlx_migrate(&database, folder.path()).await.unwrap();
            }
        }
        assert_eq!(database.applied().await, [1, 2, 3, 4, 5, 6]);
    }
}

#[tokio::test]
async fn both_refuse_what_the_other_applied_when_it_is_edited() {
    let (ours, theirs) = (Database::fresh().await, Database::fresh().await);
    let folder = Folder::new().file("1_a.sql", "CREATE TABLE a ()");
    Corveil::migrate(&ours, &folder).run().await.expect_code(0);
    sqlx_migrate(&theirs, folder.path()).await.unwrap();
    folder.put("1_a.sql", "CREATE TABLE edited ()");
    Corveil::migrate(&theirs, &folder).run().await.expect_code(4).expect_stderr("`1_a.sql` was edited");
    assert!(matches!(sqlx_migrate(&ours, folder.path()).await, Err(MigrateError::VersionMismatch(1))));
}

#[tokio::test]
async fn a_file_that_another_tool_applies_at_the_same_time_is_applied_once() {
    let database = Database::fresh().await;
    // sqlx-cli takes no lock: the row of a file can appear while the file runs here.
    for mode in ["", "-- no-transaction\n"] {
        database.clear().await;
        let mut gate = database.connect().await;
        gate.execute("SELECT pg_advisory_lock(42)").await.unwrap();
        let wait = format!(
            "{mode}-- corveil:lock-timeout none\nSELECT pg_advisory_lock(42); SELECT pg_advisory_unlock(42); $"
        );
        let second = wait.replace('$', if mode.is_empty() { "CREATE TABLE b ()" } else { "SELECT 1" });
        let folder = Folder::new()
            .file("1_a.sql", "CREATE TABLE a ()")
            .file("2_b.sql", &second)
            .file("3_c.sql", "CREATE TABLE c ()");
        let run = Corveil::migrate(&database, &folder).spawn();
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'";
        wait_until("the second file is under way", Duration::from_secs(20), async || {
            database.value::<i64>(waits).await == 1
        })
        .await;
        database
            .execute(&format!(
                "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (2, 'b', true, sha384(convert_to($sql${second}$sql$, 'UTF8')), 7)"
            ))
            .await;
        gate.execute("SELECT pg_advisory_unlock(42)").await.unwrap();

        run.wait()
            .await
            .expect_code(0)
            .expect_stderr("`2_b.sql` was applied by another tool in the meantime");
        assert_eq!(database.applied().await, [1, 2, 3]);
        assert!(!database.has("b").await && database.has("c").await);
        assert_eq!(
            database.value::<i64>("SELECT execution_time FROM _sqlx_migrations WHERE version = 2").await,
            7
        );
        assert_eq!(database.value::<i64>("SELECT count(*) FROM _corveil_statements").await, 0);
    }
}

/// The real program, which `cargo xtask test` installs.
fn sqlx_cli() -> PathBuf {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/migrators/sqlx");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("sqlx"));
    std::env::var_os("CORVEIL_TEST_SQLX")
        .map(PathBuf::from)
        .into_iter()
        .chain([installed])
        .chain(on_path)
        .find(|program| program.is_file())
        .expect("no `sqlx` program (sqlx-cli 0.9): run `cargo xtask test`, which installs it, or set `CORVEIL_TEST_SQLX`")
}

async fn run_sqlx_cli(database: &Database, folder: &Folder, arguments: &[&str]) -> String {
    let output = tokio::process::Command::new(sqlx_cli())
        .args(arguments)
        .arg("--source")
        .arg(folder.path())
        .env("DATABASE_URL", database.url().to_string())
        .env("NO_COLOR", "1")
        .output()
        .await
        .expect("start sqlx");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "sqlx {arguments:?}: {}\n{out}{err}", output.status);
    out.into_owned()
}

#[tokio::test]
async fn the_sqlx_program_reads_our_history() {
    let (database, folder) = (Database::fresh().await, realistic());
    let corveil = || Corveil::migrate(&database, &folder);
    // It leaves an empty history, which must not stop Corveil.
    assert_eq!(run_sqlx_cli(&database, &folder, &["migrate", "info"]).await.matches("/pending").count(), 6);
    corveil().args(["--target", "20230303000000"]).run().await.expect_code(0);
    let info = run_sqlx_cli(&database, &folder, &["migrate", "info"]).await;
    assert_eq!((info.matches("/installed").count(), info.matches("/pending").count()), (3, 3), "{info}");

    run_sqlx_cli(&database, &folder, &["migrate", "run"]).await;
    corveil().run().await.expect_code(0).expect_stdout("nothing to do");
    let info = run_sqlx_cli(&database, &folder, &["migrate", "info"]).await;
    assert_eq!(info.matches("/installed ").count(), 6, "{info}");
    assert!(!info.contains("different checksum"), "{info}");
}

#[tokio::test]
async fn the_sqlx_program_agrees_with_what_was_adopted() {
    let (database, folder) = (Database::fresh().await, Folder::new());
    folder.put("1_a.sql", "CREATE TABLE a ()");
    folder.put("2_b.sql", "CREATE TABLE b ()");
    folder.put("3_c.sql", "CREATE TABLE c ()");
    database.execute("CREATE TABLE a (); CREATE TABLE b ()").await;
    Corveil::with("adopt", &database, &folder).run().await.expect_code(0);
    let info = run_sqlx_cli(&database, &folder, &["migrate", "info"]).await;
    assert_eq!((info.matches("/installed").count(), info.matches("/pending").count()), (2, 1), "{info}");
    assert!(!info.contains("different checksum"), "{info}");

    run_sqlx_cli(&database, &folder, &["migrate", "run"]).await;
    assert_eq!(database.applied().await, [1, 2, 3]);
    Corveil::migrate(&database, &folder).run().await.expect_code(0).expect_stdout("nothing to do");
}

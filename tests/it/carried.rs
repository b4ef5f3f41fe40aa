//! A search path or role that a file leaves set: sqlx keeps it for the next files of a run, Corveil does not.

use sqlx::migrate::Migrator;

use crate::support::corveil::Outcome;
use crate::support::{Corveil, Database, Folder};

const PARCELS: &str = "CREATE SCHEMA depot;\nSET search_path TO depot, public;\nCREATE TABLE parcels (id bigint PRIMARY KEY);\n";
const BINS: &str = "CREATE TABLE bins (id bigint PRIMARY KEY);\n";

/// sqlx creates the second file's table in the first one's schema.
fn folder() -> Folder {
    Folder::new().file("1_parcels.sql", PARCELS).file("2_bins.sql", BINS)
}

async fn by_sqlx(folder: &Folder) -> Database {
    let database = Database::fresh().await;
    let migrator = Migrator::new(folder.path()).await.unwrap();
    migrator.run(&mut database.connect().await).await.unwrap();
    database
}

async fn verify(database: &Database, folder: &Folder, code: i32) -> Outcome {
    Corveil::with("verify", database, folder).arg("--schema").run().await.expect_code(code)
}

#[tokio::test]
async fn a_setting_that_a_file_leaves_set_causes_a_warning_if_files_follow() {
    let role = Database::fresh().await;
    let role = role.create_role("").await;
    for (sql, line, what) in [
        ("SET search_path TO depot, public", 1, "search path"),
        ("SELECT 1;\nSELECT pg_catalog.set_config('search_path', 'depot', false)", 2, "search path"),
        ("DO $$ BEGIN SET search_path TO depot; END $$", 1, "search path"),
        (&format!("SET ROLE {role}"), 1, "role"),
        (&format!("\nSET SESSION AUTHORIZATION {role}"), 2, "role"),
    ] {
        let (database, folder) = (Database::fresh().await, Folder::new().file("1_a.sql", sql));
        let warned =
            |run: &Outcome| run.stderr.contains(&format!("`1_a.sql` line {line} leaves the {what} set"));
        // Nothing follows.
        let run = Corveil::migrate(&database, &folder).arg("--dry-run").run().await.expect_code(0);
        assert!(!warned(&run), "{sql}: {run}");
        folder.put("2_b.sql", "SELECT 1");
        let run = Corveil::migrate(&database, &folder).arg("--dry-run").run().await.expect_code(0);
        assert!(warned(&run), "{sql}: {run}");
        let run = Corveil::migrate(&database, &folder).run().await.expect_code(0);
        assert_eq!(run.stderr.matches(" leaves the ").count(), 1, "{sql}: {run}");
        assert!(warned(&run), "{sql}: {run}");
        // The warning is for the author of a file, and an applied file cannot change any more.
        folder.put("3_c.sql", "SELECT 1");
        let run = Corveil::migrate(&database, &folder).run().await.expect_code(0);
        assert!(!run.stderr.contains(" leaves the "), "{sql}: {run}");
    }
}

#[tokio::test]
async fn a_setting_that_ends_with_the_file_is_not() {
    for sql in [
        "SET LOCAL search_path TO depot",
        "SET search_path TO depot; SELECT 1; RESET search_path",
        "SET search_path TO depot; SET search_path TO DEFAULT",
        "SELECT set_config('search_path', 'depot', true)",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = depot AS 'SELECT 1'",
        "SET lock_timeout = '1s'",
    ] {
        let folder = Folder::new().file("1_a.sql", sql).file("2_b.sql", "SELECT 1");
        let run = Corveil::migrate(&Database::fresh().await, &folder).run().await.expect_code(0);
        assert!(!run.stderr.contains("WARN"), "{sql}: {run}");
    }
}

#[tokio::test]
async fn the_file_that_left_the_path_set_is_named_when_the_next_one_lacks_it() {
    for (sql, sqlstate) in [
        ("ALTER TABLE parcels ADD label text", "42P01"),
        ("SELECT weigh(1)", "42883"),
        ("CREATE TABLE labels (kind label_kind)", "42704"),
    ] {
        let (database, folder) = (Database::fresh().await, folder());
        let more = "CREATE FUNCTION weigh(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TYPE label_kind AS ENUM ();";
        folder.put("1_parcels.sql", format!("{PARCELS}{more}"));
        folder.put("3_label.sql", sql);
        let run = Corveil::migrate(&database, &folder).args(["--output", "json"]).run().await.expect_code(3);
        let cause = "`1_parcels.sql` line 2 leaves the search path set (`SET search_path TO depot, public`)";
        let run = run
            .expect_stderr(&format!("(SQLSTATE {sqlstate})"))
            .expect_stderr(&format!("  probable cause: {cause}; sqlx-cli keeps that"))
            .expect_stderr("hint: if `3_label.sql` needs that search path, put `SET search_path TO depot, public;` before the failed statement");
        let failure = &run.json()["error"]["failure"];
        assert!(failure["probable_cause"].as_str().unwrap().starts_with(cause), "{run}");

        // The fix of the hint. A run that had applied the first file before prints the same.
        let again = Corveil::migrate(&database, &folder).run().await.expect_code(3);
        again.expect_stderr(&format!("  probable cause: {cause}"));
        folder.put("3_label.sql", format!("SET search_path TO depot, public;\n{sql}"));
        Corveil::migrate(&database, &folder).run().await.expect_code(0);
    }
}

#[tokio::test]
async fn a_role_that_was_left_is_named_where_the_next_file_lacks_its_rights() {
    let database = Database::fresh().await;
    // From PostgreSQL 16 on, what the role inherits is decided when it is granted.
    let (owner, other) = (database.create_role("").await, database.create_role("NOINHERIT").await);
    database.execute(&format!("GRANT {owner} TO {other} WITH ADMIN OPTION")).await;
    database.execute(&format!("GRANT CREATE ON SCHEMA public TO {owner}, {other}")).await;
    let folder = Folder::new()
        .file("1_a.sql", format!("SET ROLE {owner};\nCREATE TABLE theirs ()"))
        .file("2_b.sql", "ALTER TABLE theirs ADD x int");
    let run = Corveil::migrate(&database, &folder).url(&database.url_as(&other)).run().await.expect_code(3);
    run.expect_stderr("(SQLSTATE 42501)")
        .expect_stderr(&format!("probable cause: `1_a.sql` line 1 leaves the role set (`SET ROLE {owner}`)"));
}

#[tokio::test]
async fn other_failures_blame_no_other_file() {
    for (first, second) in [
        ("SELECT 1", "TABLE nowhere"),
        (PARCELS, "SELECT 1/0"),
        (PARCELS, "SET search_path TO other; TABLE nowhere"),
    ] {
        let (database, folder) =
            (Database::fresh().await, Folder::new().file("1_a.sql", first).file("2_b.sql", second));
        let run = Corveil::migrate(&database, &folder).run().await.expect_code(3);
        assert!(!run.stderr.contains("probable cause"), "{run}");
    }
}

#[tokio::test]
async fn sql_never_drops_a_table_that_sqlx_created_on_a_path_that_a_file_left_set() {
    let folder = folder();
    let database = by_sqlx(&folder).await;
    assert!(database.has("depot.bins").await);
    database.execute("INSERT INTO depot.bins VALUES (1)").await;

    let found = verify(&database, &folder, 4).await;
    assert!(!found.stdout.contains("DROP") && !found.stdout.contains("CREATE"), "{found}");
    let found = found
        .expect_stdout("- table-public.bins-missing: table public.bins is missing; it may be depot.bins\n")
        .expect_stdout("- table-depot.bins-extra: ")
        .expect_stdout("`1_parcels.sql` line 2 leaves the search path set")
        .expect_stdout(": ALTER TABLE depot.bins SET SCHEMA public;\n");
    drop(found);
    // With one in each schema, either may be in use.
    database.execute("CREATE TABLE public.bins (id bigint PRIMARY KEY)").await;
    let found = verify(&database, &folder, 4).await;
    assert!(!found.stdout.contains("DROP") && found.stdout.contains("table-depot.bins-extra"), "{found}");

    database.execute("DROP TABLE public.bins; ALTER TABLE depot.bins SET SCHEMA public").await;
    verify(&database, &folder, 0).await;
    assert_eq!(database.value::<i64>("SELECT count(*) FROM public.bins").await, 1);
}

#[tokio::test]
async fn a_replay_that_lacks_the_path_names_the_file_that_left_it_set() {
    let folder = folder().file("3_label.sql", "ALTER TABLE parcels ADD label text");
    let database = by_sqlx(&folder).await;
    verify(&database, &folder, 2)
        .await
        .expect_stderr("`3_label.sql` cannot be replayed in a scratch database")
        .expect_stderr("does not exist (SQLSTATE 42P01); `1_parcels.sql` line 2 leaves the search path set");
}

#[tokio::test]
async fn objects_in_a_schema_that_no_migration_creates_are_moved_and_not_dropped() {
    let (database, folder) = (Database::fresh().await, Folder::new().file("1_bins.sql", BINS));
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    // As another path of the role or the database had it.
    database.execute("CREATE SCHEMA depot; ALTER TABLE bins SET SCHEMA depot").await;
    let found = verify(&database, &folder, 4).await;
    assert!(!found.stdout.contains("DROP"), "{found}");
    found.expect_stdout(
        "; public.bins is missing, and may be the same table: ALTER TABLE depot.bins SET SCHEMA public;",
    );
}

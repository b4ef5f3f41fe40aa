//! Exit 0 is checked: the history is read again after the last file, by the role that migrates and as the app will read it.

use sqlx::AssertSqlSafe;

use crate::support::{Corveil, Database, Folder, Server};

fn two_files() -> Folder {
    Folder::new().file("0001_a.sql", "CREATE TABLE a (id int)").file("0002_b.sql", "CREATE TABLE b (id int)")
}

#[tokio::test]
async fn rows_that_something_removes_are_missed() {
    for (form, prepare, last_file) in [
        (
            "a rule",
            "CREATE RULE swallow AS ON INSERT TO _sqlx_migrations WHERE NEW.version > 1 DO INSTEAD NOTHING",
            "CREATE TABLE b (id int)",
        ),
        (
            "a trigger",
            "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
             CREATE TRIGGER swallow BEFORE INSERT ON _sqlx_migrations FOR EACH ROW EXECUTE FUNCTION swallow()",
            "CREATE TABLE b (id int)",
        ),
        (
            "a deferred trigger that the file leaves",
            "",
            "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN DELETE FROM public._sqlx_migrations WHERE version = 2; RETURN NULL; END $$;
             CREATE TABLE b (id int);
             CREATE CONSTRAINT TRIGGER late AFTER INSERT ON b DEFERRABLE INITIALLY DEFERRED
               FOR EACH ROW EXECUTE FUNCTION forget();
             INSERT INTO b VALUES (1)",
        ),
        (
            "a trigger that changes the checksum",
            "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN NEW.checksum := '\\x00'; RETURN NEW; END $$;
             CREATE TRIGGER other BEFORE INSERT ON _sqlx_migrations FOR EACH ROW EXECUTE FUNCTION other()",
            "CREATE TABLE b (id int)",
        ),
        ("a file that deletes an earlier row", "", "DELETE FROM _sqlx_migrations WHERE version = 1"),
        ("a file that changes an earlier row", "", "UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 1"),
        ("a file that marks one as failed", "", "UPDATE _sqlx_migrations SET success = false WHERE version = 1"),
        ("a file that empties the history", "", "TRUNCATE _sqlx_migrations"),
        ("without a transaction", "", "-- no-transaction\nDELETE FROM _sqlx_migrations WHERE version = 1;"),
    ] {
        let database = Database::fresh().await;
        let folder = Folder::new().file("0001_a.sql", "CREATE TABLE a (id int)");
        Corveil::migrate(&database, &folder).run().await.expect_code(0);
        if !prepare.is_empty() {
            database.execute(prepare).await;
        }
        folder.put("0002_b.sql", last_file);
        let run = Corveil::migrate(&database, &folder).run().await;
        let is_named = run.stderr.contains("in the history") || run.stderr.contains("migration history");
        assert!(run.code == Some(4) && is_named, "{form}: {run}");
        let outcome: String =
            database.value("SELECT outcome FROM _corveil_runs ORDER BY id DESC LIMIT 1").await;
        assert_eq!(outcome, "failed", "{form}");
    }
}

#[tokio::test]
async fn row_security_that_a_file_forces_on_the_history_is_no_success() {
    let (database, folder) = (Database::fresh().await, two_files());
    let owner = database.create_role("").await;
    database.execute(&format!("GRANT ALL ON SCHEMA public TO {owner}")).await;
    folder.put(
        "0003_c.sql",
        "ALTER TABLE _sqlx_migrations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    );
    let migrate = || Corveil::migrate(&database, &folder).url(&database.url_as(&owner)).run();
    // The history row of the file itself is refused.
    migrate().await.expect_code(3).expect_stderr("violates row-level security policy");
    // A policy that allows writes does not make it safe: the next run could read less than was written.
    database.execute("CREATE POLICY everything ON _sqlx_migrations FOR INSERT WITH CHECK (true)").await;
    migrate().await.expect_code(4).expect_stderr("row security on table public._sqlx_migrations");
    migrate().await.expect_code(4).expect_stderr("NO FORCE ROW LEVEL SECURITY");
}

/// Two URLs: `own` migrates, `app` reads.
struct Two {
    database: Database,
    own: String,
    app: String,
}

impl Two {
    async fn new() -> Self {
        let database = Database::fresh().await;
        let (own, app) = (database.create_role("").await, database.create_role("").await);
        database.execute(&format!("ALTER SCHEMA public OWNER TO {own}")).await;
        Self { database, own, app }
    }

    fn migrate(&self, folder: &Folder) -> Corveil {
        Corveil::migrate(&self.database, folder)
            .url(&self.database.url_as(&self.app))
            .env("MIGRATE_DATABASE_URL", self.database.url_as(&self.own).to_string())
    }

    fn wait(&self, folder: &Folder) -> Corveil {
        Corveil::with("wait", &self.database, folder)
            .url(&self.database.url_as(&self.app))
            .args(["--timeout", "3s"])
    }
}

#[tokio::test]
async fn the_app_gets_its_rights_back_after_a_file_revoked_them() {
    for (form, last_file) in [
        ("tables", "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {app}; GRANT SELECT ON a TO {app}"),
        ("the schema", "REVOKE ALL ON SCHEMA public FROM PUBLIC"),
        (
            "row security by a file",
            "DO $$ DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
               EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', t); END LOOP; END $$",
        ),
        ("without a transaction", "-- no-transaction\nREVOKE ALL ON SCHEMA public FROM PUBLIC;"),
    ] {
        let (two, folder) = (Two::new().await, two_files());
        folder.put("0003_c.sql", last_file.replace("{app}", &two.app));
        for round in [1, 2] {
            let run = two.migrate(&folder).run().await;
            assert_eq!(run.code, Some(0), "{form}, round {round}: {run}");
            let run = two.wait(&folder).run().await;
            assert_eq!(run.code, Some(0), "{form}, round {round}: {run}");
        }
    }
}

#[tokio::test]
async fn the_app_gets_its_rights_where_an_event_trigger_enables_row_security() {
    let (two, folder) = (Two::new().await, two_files());
    two.database
        .execute(
            "CREATE FUNCTION rls_on() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ DECLARE r record; BEGIN
               FOR r IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE object_type = 'table' LOOP
                 EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', r.object_identity); END LOOP; END $$;
             CREATE EVENT TRIGGER rls_on ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION rls_on();",
        )
        .await;
    two.migrate(&folder).run().await.expect_code(0);
    two.wait(&folder).run().await.expect_code(0);
    // A policy that lets one role read does not let others read.
    let other = two.database.create_role("").await;
    two.database.execute(&format!("GRANT SELECT ON _sqlx_migrations TO {other}")).await;
    let status =
        Corveil::with("status", &two.database, &folder).url(&two.database.url_as(&other)).run().await;
    let status = status.expect_code(2).expect_stderr("row-level security");
    assert!(!status.stderr.contains("adopt") && !status.stderr.contains("empty database"), "{status}");
}

#[tokio::test]
async fn an_app_that_finds_nothing_fails_the_run() {
    // The role that migrates has another search path.
    let (two, folder) = (Two::new().await, two_files());
    let Two { database, own, app } = &two;
    database
        .execute(&format!(
            "CREATE SCHEMA corv AUTHORIZATION {own}; ALTER ROLE {own} IN DATABASE {} SET search_path = corv",
            database.name()
        ))
        .await;
    let run = two.migrate(&folder).run().await.expect_code(4);
    run.expect_stderr(&format!("the app's role, `{app}`"))
        .expect_stderr("has a migration history in schema `corv`")
        .expect_stderr("--history-schema corv");
    two.wait(&folder).run().await.expect_code(4);
    // The fix in the hint.
    database.execute(&format!("GRANT USAGE ON SCHEMA corv TO {app}")).await;
    two.migrate(&folder).env("CORVEIL_HISTORY_SCHEMA", "corv").run().await.expect_code(0);
    two.wait(&folder).env("CORVEIL_HISTORY_SCHEMA", "corv").run().await.expect_code(0);
}

#[tokio::test]
async fn two_urls_of_two_databases_fail_the_run() {
    let (two, folder, other) = (Two::new().await, two_files(), Database::fresh().await);
    let run = two.migrate(&folder).url(&other.url()).run().await.expect_code(4);
    run.expect_stderr(&format!("database `{}` has no migration history", other.name()))
        .expect_stderr("both URLs name one database");
}

#[tokio::test]
async fn an_app_that_cannot_log_in_fails_the_run() {
    let (two, folder) = (Two::new().await, two_files());
    two.database.execute(&format!("ALTER ROLE {} NOLOGIN", two.app)).await;
    let run = two.migrate(&folder).run().await.expect_code(2);
    run.expect_stderr("is not permitted to log in");
    two.database.execute(&format!("ALTER ROLE {} LOGIN", two.app)).await;
    two.migrate(&folder).run().await.expect_code(0);
}

#[tokio::test]
async fn an_app_whose_database_does_not_answer_from_here_is_a_warning() {
    let (two, folder) = (Two::new().await, two_files());
    let closed = crate::support::Url { port: 1, ..two.database.url_as(&two.app) };
    let run = two.migrate(&folder).url(&closed).run().await.expect_code(0);
    run.expect_stderr("what the app finds could not be checked");
}

#[tokio::test]
async fn a_search_path_that_a_file_sets_for_later_sessions_is_noticed() {
    let (database, folder) = (Database::fresh().await, two_files());
    folder.put(
        "0003_c.sql",
        format!("CREATE SCHEMA app; ALTER DATABASE {} SET search_path = app", database.name()),
    );
    let run = Corveil::migrate(&database, &folder).run().await.expect_code(4);
    let run = run.expect_stderr("has a migration history in schema `public`");
    run.expect_stderr("--history-schema public");
    // Nothing is applied again.
    Corveil::migrate(&database, &folder).run().await.expect_code(4);
    assert!(database.value::<bool>("SELECT to_regclass('app.a') IS NULL").await);
    let run = Corveil::migrate(&database, &folder).env("CORVEIL_HISTORY_SCHEMA", "public");
    run.run().await.expect_code(0).expect_stdout("nothing to do");
}

#[tokio::test]
async fn what_exit_0_reports_survives_a_crash_of_the_server() {
    let server = Server::private();
    // Nothing but a durable commit writes to the disk.
    let url = server.url("postgres");
    let mut session = url.connect().await.unwrap();
    for setting in ["wal_writer_delay = '10s'", "checkpoint_timeout = '1h'"] {
        sqlx::raw_sql(AssertSqlSafe(format!("ALTER SYSTEM SET {setting}")))
            .execute(&mut session)
            .await
            .unwrap();
    }
    server.restart();
    for (form, last_file) in [
        ("a transaction", "CREATE TABLE b (id int)"),
        ("a file that sets it itself", "SET LOCAL synchronous_commit = off; CREATE TABLE b (id int)"),
        ("statement by statement", "-- no-transaction\nCREATE TABLE b (id int);"),
        (
            "statement by statement, set by the file",
            "-- no-transaction\nSET synchronous_commit = off;\nCREATE TABLE b (id int);",
        ),
    ] {
        let database = Database::on(&server).await;
        database
            .execute(&format!("ALTER DATABASE {} SET synchronous_commit = off; CHECKPOINT", database.name()))
            .await;
        let folder =
            Folder::new().file("0001_a.sql", "CREATE TABLE a (id int)").file("0002_b.sql", last_file);
        Corveil::migrate(&database, &folder).run().await.expect_code(0);
        server.crash();
        server.start();
        assert_eq!(database.applied().await, [1, 2], "{form}");
        assert!(database.has("b").await, "{form}");
    }
    // The trap works: without that a commit is lost.
    let database = Database::on(&server).await;
    database.execute("CHECKPOINT").await;
    database.execute("SET synchronous_commit = off; CREATE TABLE lost ()").await;
    server.crash();
    server.start();
    assert!(
        !database.has("lost").await,
        "a commit that need not be durable was not lost, so nothing was tested"
    );
}

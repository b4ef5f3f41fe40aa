//! Scratch databases: where the files of a folder are replayed, and that nothing of it stays.

use std::time::Duration;

use crate::support::{Corveil, Database, Folder, Server, Url, wait_until};

/// Files in all the ways of applying them.
fn folder() -> Folder {
    Folder::new()
        .file("1_a.sql", "CREATE TABLE a (id int GENERATED ALWAYS AS IDENTITY, name text UNIQUE)")
        .file("2_b.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY a_id ON a (id);\nCREATE TABLE b ();")
        .file("3_c.sql", "BEGIN; ALTER TABLE b ADD COLUMN x int; SET search_path = nowhere; COMMIT; -- done")
}

fn verify(database: &Database, folder: &Folder) -> Corveil {
    Corveil::with("verify", database, folder).arg("--schema")
}

const SCRATCHES: &str =
    "SELECT datname::text FROM pg_database WHERE datname LIKE 'corveil_scratch_%' ORDER BY 1";

#[tokio::test]
async fn a_folder_is_replayed_next_to_the_live_database_and_nothing_is_left() {
    let server = Server::private();
    let (database, folder) = (Database::on(&server).await, folder());
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    verify(&database, &folder).run().await.expect_code(0);
    assert_eq!(database.values::<String>(SCRATCHES).await, [""; 0]);

    database.execute("ALTER TABLE b DROP COLUMN x").await;
    let found = verify(&database, &folder).run().await.expect_code(4);
    found
        .expect_stdout("- column-public.b.x-missing: ")
        .expect_stdout("ALTER TABLE public.b ADD COLUMN x integer;");
    assert_eq!(database.values::<String>(SCRATCHES).await, [""; 0]);

    // Only what is applied counts.
    folder.put("4_d.sql", "CREATE TABLE d ()");
    database.execute("ALTER TABLE b ADD COLUMN x int").await;
    verify(&database, &folder).run().await.expect_code(0);
}

#[tokio::test]
async fn a_role_that_may_not_make_a_database_gets_the_name_of_the_missing_right() {
    let (database, folder) = (Database::fresh().await, folder());
    let role = database.create_role("").await;
    database.execute(&format!("GRANT ALL ON SCHEMA public TO {role}")).await;
    Corveil::migrate(&database, &folder).url(&database.url_as(&role)).run().await.expect_code(0);
    let as_role = || verify(&database, &folder).url(&database.url_as(&role));
    let refused = as_role().run().await.expect_code(2);
    refused
        .expect_stderr(&format!("role `{role}` may not make one"))
        .expect_stderr(&format!("hint: `ALTER ROLE \"{role}\" CREATEDB`, or set `CORVEIL_SCRATCH_URL`"));

    // The role that migrates may have the right.
    let other = database.create_role("CREATEDB").await;
    as_role().env("MIGRATE_DATABASE_URL", database.url_as(&other).to_string()).run().await.expect_code(0);
    as_role().args(["--scratch-url", &database.url().to_string()]).run().await.expect_code(0);
}

#[tokio::test]
async fn what_reaches_beyond_its_database_is_tried_on_no_server_in_use() {
    let database = Database::fresh().await;
    let role = database.create_role("").await;
    let folder = Folder::new().file("1_a.sql", "CREATE TABLE a ()").file(
        "2_role.sql",
        format!(
            "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
               EXECUTE 'ALTER ROLE {role} SET work_mem = ''' || (2 + random() * 1000)::int || 'MB'''; END IF; END $$"
        ),
    );
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    let settings = format!("SELECT rolconfig[1]::text FROM pg_roles WHERE rolname = '{role}'");
    let before: String = database.value(&settings).await;

    let refused = verify(&database, &folder).run().await.expect_code(2);
    refused
        .expect_stderr("`2_role.sql` is replayed on no server that is in use")
        .expect_stderr("hint: set `CORVEIL_SCRATCH_URL` to a server that is not in use");
    assert_eq!(database.value::<String>(&settings).await, before);

    let elsewhere = Server::private();
    let url = elsewhere.url("postgres").to_string();
    verify(&database, &folder).env("CORVEIL_SCRATCH_URL", url).run().await.expect_code(0);
    assert_eq!(database.value::<String>(&settings).await, before);
}

#[tokio::test]
async fn files_that_cannot_be_replayed_are_named_with_the_reason() {
    let database = Database::fresh().await;
    let here = database.name();
    let folder = Folder::new().file(
        "1_a.sql",
        format!("DO $$ BEGIN IF current_database() <> '{here}' THEN RAISE 'no rows'; END IF; END $$"),
    );
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    let refused = verify(&database, &folder).run().await.expect_code(2);
    refused.expect_stderr("`1_a.sql` cannot be replayed in a scratch database").expect_stderr("no rows");
}

#[tokio::test]
async fn encoding_and_locale_are_those_of_the_live_database() {
    let (keeper, folder) = (Database::fresh().await, Folder::new());
    // The files make a schema of the locale itself.
    folder.put(
        "1_a.sql",
        "DO $$ BEGIN EXECUTE (SELECT format('CREATE TABLE %I ()',
           concat_ws('_', pg_encoding_to_char(encoding), datcollate, datctype, to_jsonb(d)->>'datlocprovider',
             coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale')))
         FROM pg_database d WHERE datname = current_database()); END $$",
    );
    let version: i32 = keeper.value("SELECT current_setting('server_version_num')::int").await;
    let has_icu: bool =
        keeper.value("SELECT EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i')").await;
    let locales = [
        (true, "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'POSIX'"),
        (
            has_icu && version >= 150_000,
            "ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'de'",
        ),
        (version >= 170_000, "ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'"),
    ];
    for (_, locale) in locales.iter().filter(|(is_there, _)| *is_there) {
        let name = format!("{}_locale", keeper.name());
        keeper.execute(&format!("CREATE DATABASE {name} TEMPLATE template0 {locale}")).await;
        let url = Url { database: name.clone(), ..keeper.url() };
        Corveil::migrate(&keeper, &folder).url(&url).run().await.expect_code(0);
        let verified = verify(&keeper, &folder).url(&url).run().await;
        keeper.execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
        verified.expect_code(0);
    }
}

#[tokio::test]
async fn what_a_killed_run_left_is_dropped_and_what_another_run_uses_is_not() {
    let server = Server::private();
    let (database, folder) = (Database::on(&server).await, Folder::new());
    folder.put(
        "1_a.sql",
        "DO $$ BEGIN IF current_database() LIKE 'corveil_scratch_%' THEN PERFORM pg_sleep(600); END IF; END $$",
    );
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    let busy = async |count: i64| {
        let sql =
            "SELECT count(DISTINCT datname) FROM pg_stat_activity WHERE datname LIKE 'corveil_scratch_%'
                   AND wait_event = 'PgSleep'";
        wait_until("as many replays are under way", Duration::from_mins(1), async || {
            database.value::<i64>(sql).await == count
        })
        .await;
    };
    let killed = verify(&database, &folder).spawn();
    busy(1).await;
    let left: String = database.value(SCRATCHES).await;
    killed.kill().await;
    // The server notices within a second that its client is gone.
    busy(0).await;

    let running = verify(&database, &folder).spawn();
    busy(1).await;
    let used = database.values::<String>(SCRATCHES).await;
    assert!(used.len() == 1 && used[0] != left, "{used:?}");

    // Another run leaves alone what is in use.
    let other = Folder::new().file("1_a.sql", "SELECT 1");
    let another = Database::on(&server).await;
    Corveil::migrate(&another, &other).run().await.expect_code(0);
    verify(&another, &other).run().await.expect_code(0);
    assert_eq!(database.values::<String>(SCRATCHES).await, used);

    // One that is stopped by a signal cleans up.
    running.signal("TERM").await;
    running.wait().await.expect_code(75);
    assert_eq!(database.values::<String>(SCRATCHES).await, [""; 0]);
}

#[tokio::test]
async fn a_wrong_scratch_url_is_named_and_its_password_is_not() {
    let (database, folder) = (Database::fresh().await, folder());
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    let url = Url { password: "s3cr3t".into(), ..database.url() };
    for url in ["mysql://u:s3cr3t@h/d".to_owned(), String::new(), url.to_string()] {
        let refused =
            verify(&database, &folder).args(["--scratch-url", &url, "--wait-for-db", "1s"]).run().await;
        let refused = refused.expect_code(2);
        assert!(!format!("{refused}").contains("s3cr3t"), "{refused}");
    }
}

#[tokio::test]
async fn what_the_app_makes_while_it_runs_is_left_out_and_counted() {
    let (database, folder) = (Database::fresh().await, Folder::new());
    folder.put("1_a.sql", "CREATE TABLE events (at date, id int, UNIQUE (at, id)) PARTITION BY RANGE (at)");
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    database
        .execute(
            "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
             CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
             CREATE SCHEMA tenant_1; CREATE TABLE tenant_1.t (id serial PRIMARY KEY);
             CREATE TABLE tmp_1 (id serial); CREATE INDEX tmp_idx ON events (id)",
        )
        .await;
    let found = verify(&database, &folder).run().await.expect_code(4);
    let found = found.expect_stderr("not compared: 2 partitions of tables that migrations create");
    assert!(!found.stdout.contains("events_1") && found.stdout.contains("tenant_1"), "{found}");

    folder.put("ignored.txt", "# Made at run time.\ntenant_*\nnothing.*\n");
    let file = folder.path().join("ignored.txt");
    let ignoring = || {
        let run = verify(&database, &folder).arg("--ignore-file").arg(&file);
        run.args(["--ignore", "public.tmp_[0-9]", "--ignore", "*.tmp_idx"])
    };
    let well = ignoring().run().await.expect_code(0);
    well.expect_stderr("and 4 objects that `--ignore` names")
        .expect_stderr("`nothing.*` of `--ignore` matches nothing");
    let json = ignoring().args(["--output", "json"]).run().await.expect_code(0).json();
    let expected = serde_json::json!({ "partitions": 2, "ignored": 4, "unused_patterns": ["nothing.*"] });
    assert_eq!(json["not_compared"], expected);

    let variable = verify(&database, &folder).env("CORVEIL_IGNORE", "tenant_*,public.tmp_*").run().await;
    variable.expect_code(0);
    for (arguments, expected) in [
        (["--ignore", "a.b.c"], "`a.b.c` has more than one dot"),
        (["--ignore-file", "/nowhere"], "`/nowhere` cannot be read"),
    ] {
        verify(&database, &folder).args(arguments).run().await.expect_code(2).expect_stderr(expected);
    }
}

#[tokio::test]
async fn hundreds_of_differences_are_a_list_that_can_be_read_and_json_has_them_all() {
    let (database, folder) = (Database::fresh().await, Folder::new());
    folder.put("1_a.sql", "CREATE TABLE a ()");
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    database
        .execute("DO $$ BEGIN FOR i IN 1..100 LOOP EXECUTE 'CREATE TABLE t' || i || ' ()'; END LOOP; END $$")
        .await;
    let found = verify(&database, &folder).run().await.expect_code(4);
    assert_eq!(found.stdout.lines().count(), 21, "{found}");
    let found = found.expect_stdout("- and 80 more of table-…-extra; `--output json` lists them all");
    drop(found);
    let json = verify(&database, &folder).args(["--output", "json"]).run().await.expect_code(4).json();
    assert_eq!(json["differences"].as_array().unwrap().len(), 100);
}

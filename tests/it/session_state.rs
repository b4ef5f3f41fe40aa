//! What a file does to its session does not reach the next file, nor the lock.

use std::time::Duration;

use sqlx::Executor;

use crate::support::{Corveil, Database, Folder, wait_until};

/// As `pg_dump` 15 writes it.
const DUMP: &str = "--
-- PostgreSQL database dump
--

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 60000;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = error;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
SET TimeZone = 'Europe/Berlin';
SET tcp_keepalives_idle = 77;

CREATE TABLE public.dumped_$ (id bigint NOT NULL);

--
-- PostgreSQL database dump complete
--
";

/// What a file sees of its session, as rows of a table. The session's name has the file that is being applied.
const SEE: &str = "CREATE TABLE public.seen_$ AS
    SELECT name, setting FROM pg_settings WHERE name <> 'application_name'
    UNION ALL VALUES ('current_user', current_user), ('session_user', session_user)
    UNION ALL SELECT 'prepared', name FROM pg_prepared_statements WHERE name = 'left_over'
    UNION ALL SELECT 'cursor', name FROM pg_cursors WHERE name = 'left_over'
    UNION ALL SELECT 'channel', channel FROM pg_listening_channels() AS l (channel)
    UNION ALL SELECT 'temporary', to_regclass('pg_temp.left_over')::text
    UNION ALL SELECT 'advisory locks', count(*)::text FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'";

/// Applies each of these files, with and without a transaction, and checks whether the file after it sees what the first
/// file of the run sees, and what the first file of the next run sees.
async fn expect_the_same_start_after(database: &Database, files: &[&str]) {
    let folder = Folder::new();
    let mut version = 100;
    let mut put = |sql: &str, mode: &str| {
        version += 1;
        let sql = format!("{mode}{}", sql.replace('$', &version.to_string()));
        folder.put(&format!("{version}_file.sql"), sql);
        version
    };
    let first = put(SEE, "");
    let mut others = Vec::new();
    for mode in ["", "-- no-transaction\n"] {
        for file in files {
            for see_mode in ["", "-- no-transaction\n"] {
                put(file, mode);
                others.push(put(SEE, see_mode));
            }
        }
    }
    let target = version.to_string();
    others.push(version + 1);
    folder.put(&format!("{}_file.sql", version + 1), SEE.replace('$', &(version + 1).to_string()));
    Corveil::migrate(database, &folder).args(["--target", &target]).run().await.expect_code(0);
    Corveil::migrate(database, &folder).run().await.expect_code(0);

    assert!(database.value::<i64>(&format!("SELECT count(*) FROM seen_{first}")).await > 300);
    for other in others {
        let difference = format!(
            "SELECT t::text FROM (TABLE seen_{other} EXCEPT TABLE seen_{first}) AS t
             UNION ALL SELECT 'not ' || t::text FROM (TABLE seen_{first} EXCEPT TABLE seen_{other}) AS t"
        );
        let difference: Vec<String> = database.values(&difference).await;
        assert!(difference.is_empty(), "{other}: {difference:#?}");
    }
    let locks = format!("SELECT setting FROM seen_{first} WHERE name = 'advisory locks'");
    assert_eq!(database.value::<String>(&locks).await, "1");
}

#[tokio::test]
async fn a_file_after_a_dump_starts_as_the_first_one_of_a_run() {
    expect_the_same_start_after(&Database::fresh().await, &[DUMP]).await;
}

#[tokio::test]
async fn an_ordinary_file_after_a_dump_finds_its_schema() {
    let database = Database::fresh().await;
    let folder = Folder::new()
        .file("1_dump.sql", DUMP.replace('$', "1"))
        .file("2_plain.sql", "CREATE TABLE plain (); ALTER TABLE dumped_1 ADD a int");
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    assert!(database.has("public.plain").await);
}

#[tokio::test]
async fn what_a_file_leaves_in_the_session_is_gone_for_the_next_one() {
    let left = "CREATE TEMP TABLE left_over (); CREATE SEQUENCE s$; SELECT nextval('s$'); \
                PREPARE left_over AS SELECT 1; LISTEN left_over; DECLARE left_over CURSOR WITH HOLD FOR SELECT 1;";
    expect_the_same_start_after(&Database::fresh().await, &[left]).await;
}

#[tokio::test]
async fn a_role_that_a_file_takes_on_is_put_down_again() {
    let database = Database::fresh().await;
    let role = database.create_role("").await;
    database.execute(&format!("GRANT CREATE ON SCHEMA public TO {role}")).await;
    let files = ["SET ROLE ?;", "SET SESSION AUTHORIZATION ?;", "SET SESSION AUTHORIZATION ?; SET ROLE ?;"]
        .map(|set| format!("{} CREATE TABLE theirs_$ ();", set.replace('?', &role)));
    expect_the_same_start_after(&database, &files.each_ref().map(String::as_str)).await;
}

#[tokio::test]
async fn a_file_that_failed_leaves_nothing_to_its_retry() {
    let database = Database::fresh().await;
    // Fails once: the second try finds the sequence advanced, as sequences are not rolled back.
    database.execute("CREATE SEQUENCE tries").await;
    let sql = "-- corveil:statement-timeout 50ms
        CREATE TABLE seen AS SELECT current_setting('search_path') AS path, to_regclass('pg_temp.left_over') IS NULL AS gone;
        CREATE TEMP TABLE left_over (); SET search_path = nowhere;
        DO $$ BEGIN IF nextval('public.tries') = 1 THEN PERFORM pg_sleep(60); END IF; END $$;";
    let run = Corveil::migrate(&database, &Folder::new().file("1_a.sql", sql)).run().await.expect_code(0);
    run.expect_stderr("retry 1 of 10");
    assert!(database.value::<bool>("SELECT path = '\"$user\", public' AND gone FROM seen").await);
}

#[tokio::test]
async fn the_lock_outlives_what_is_reset_between_files() {
    let database = Database::fresh().await;
    let mut gate = database.connect().await;
    gate.execute("SELECT pg_advisory_lock(42)").await.unwrap();
    let waiting = "-- corveil:lock-timeout none\nSELECT pg_advisory_xact_lock(42)";
    let folder = Folder::new()
        .file("1_dump.sql", DUMP.replace('$', "1"))
        .file("2_without.sql", "-- no-transaction\nCREATE TEMP TABLE t (); PREPARE p AS SELECT 1")
        .file("3_waits.sql", waiting);
    let run = Corveil::migrate(&database, &folder).spawn();

    let runner = "SELECT count(*) FROM pg_locks w JOIN pg_locks h USING (pid) JOIN pg_database d ON d.oid = h.database \
                  WHERE d.datname = current_database() AND w.locktype = 'advisory' AND NOT w.granted \
                  AND h.locktype = 'advisory' AND h.granted AND h.mode = 'ExclusiveLock'";
    wait_until(
        "the third file waits while its session holds the migration lock",
        Duration::from_secs(20),
        async || database.value::<i64>(runner).await == 1,
    )
    .await;
    gate.execute("SELECT pg_advisory_unlock(42)").await.unwrap();
    run.wait().await.expect_code(0);
}

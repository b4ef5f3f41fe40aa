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

CREATE TABLE public.dumped (id bigint NOT NULL);

--
-- PostgreSQL database dump complete
--
";

/// What a file sees of its session, as rows of a table.
const SEE: &str = "CREATE TABLE public.seen AS
    SELECT name, setting FROM pg_settings WHERE name NOT IN ('transaction_read_only')
    UNION ALL VALUES ('current_user', current_user), ('session_user', session_user)
    UNION ALL SELECT 'prepared', name FROM pg_prepared_statements WHERE name = 'left_over'
    UNION ALL SELECT 'cursor', name FROM pg_cursors WHERE name = 'left_over'
    UNION ALL SELECT 'channel', channel FROM pg_listening_channels() AS l (channel)
    UNION ALL SELECT 'temporary', relname FROM pg_class WHERE relpersistence = 't' AND relname = 'left_over'
    UNION ALL SELECT 'advisory locks', count(*)::text FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'";

/// What the file `2_see.sql` saw after a first file, in the same run or in one of its own.
async fn seen_after(first: &str, see: &str, in_one_run: bool) -> Vec<String> {
    let database = Database::fresh().await;
    let role = database.create_role("").await;
    database.execute(&format!("GRANT CREATE ON SCHEMA public TO {role}")).await;
    let folder = Folder::new().file("1_first.sql", first.replace("$ROLE", &role)).file("2_see.sql", see);
    if !in_one_run {
        Corveil::migrate(&database, &folder).args(["--target", "1"]).run().await.expect_code(0);
    }
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    database.values("SELECT name || ' = ' || setting FROM public.seen ORDER BY 1").await
}

async fn expect_the_same_start_after(first: &str) {
    for see in [SEE.to_owned(), format!("-- no-transaction\n{SEE}")] {
        let (together, apart) = (seen_after(first, &see, true).await, seen_after(first, &see, false).await);
        assert!(together.len() > 300);
        let differences: Vec<_> = together
            .iter()
            .filter(|row| !apart.contains(row))
            .chain(apart.iter().filter(|row| !together.contains(row)))
            .collect();
        assert!(differences.is_empty(), "after {first}: {differences:#?}");
        assert!(together.contains(&"advisory locks = 1".to_owned()));
    }
}

#[tokio::test]
async fn a_file_after_a_dump_starts_as_in_a_run_of_its_own() {
    expect_the_same_start_after(DUMP).await;
    expect_the_same_start_after(&format!("-- no-transaction\n{DUMP}")).await;
}

#[tokio::test]
async fn an_ordinary_file_after_a_dump_finds_its_schema() {
    let database = Database::fresh().await;
    let folder = Folder::new()
        .file("1_dump.sql", DUMP)
        .file("2_plain.sql", "CREATE TABLE plain (); ALTER TABLE dumped ADD a int");
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    assert!(database.has("public.plain").await);
}

#[tokio::test]
async fn what_a_file_leaves_in_the_session_is_gone_for_the_next_one() {
    let left = "CREATE TEMP TABLE left_over (); CREATE SEQUENCE s; SELECT nextval('s'); \
                PREPARE left_over AS SELECT 1; LISTEN left_over; \
                DECLARE left_over CURSOR WITH HOLD FOR SELECT 1;";
    expect_the_same_start_after(left).await;
    expect_the_same_start_after(&format!("-- no-transaction\n{left}")).await;
}

#[tokio::test]
async fn a_role_that_a_file_takes_on_is_put_down_again() {
    for role in [
        "SET ROLE $ROLE;",
        "SET SESSION AUTHORIZATION $ROLE;",
        "SET SESSION AUTHORIZATION $ROLE; SET ROLE $ROLE;",
    ] {
        expect_the_same_start_after(&format!("{role} CREATE TABLE theirs ();")).await;
        expect_the_same_start_after(&format!("-- no-transaction\n{role} CREATE TABLE theirs ();")).await;
    }
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
        .file("1_dump.sql", DUMP)
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

//! Statements that work concurrently and end half way: cancelled, killed, timed out; then sent again, edited, or removed.

use sqlx::{Connection, PgConnection};

use crate::support::corveil::Outcome;
use crate::support::inspect::backend;
use crate::support::{Corveil, Database, Folder, SOON, wait_until};

/// What every database here starts with: indexes of constraints and with a name as long as names may be, a TOAST table, and
/// partitions.
const FIRST: &str = "
    CREATE TABLE t (id int PRIMARY KEY, b text UNIQUE, c int);
    CREATE INDEX an_index_with_a_name_of_nearly_sixty_three_bytes_in_all_of_it_x ON t (c);
    INSERT INTO t VALUES (1, 'x', 1);
    CREATE TABLE m (id int, ts int) PARTITION BY RANGE (ts);
    CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10);
    CREATE INDEX m_id ON m (id);
    INSERT INTO m VALUES (1, 1);
    CREATE SCHEMA app;
    CREATE TABLE app.m (id int, ts int) PARTITION BY RANGE (ts);
    CREATE TABLE app.m1 PARTITION OF app.m FOR VALUES FROM (0) TO (10);";

fn folder(second: &str) -> Folder {
    Folder::new().file("1_first.sql", FIRST).file("2_second.sql", format!("-- no-transaction\n{second}"))
}

async fn migrate(database: &Database, folder: &Folder) -> Outcome {
    Corveil::migrate(database, folder).run().await
}

/// A database in which only the first file is applied.
async fn first_only(folder: &Folder) -> Database {
    let database = Database::fresh().await;
    Corveil::migrate(&database, folder).args(["--target", "1"]).run().await.expect_code(0);
    database
}

/// How a run ends in the middle.
#[derive(Clone, Copy, Debug)]
enum End {
    Signal,
    Deadline,
    Kill,
}

const ENDS: [End; 2] = [End::Signal, End::Kill];

/// A writer lets a statement create its new indexes, and no more.
const WRITER: &str = "LOCK TABLE t, m1 IN ROW EXCLUSIVE MODE";

/// A reader without a snapshot lets it build and swap them, and blocks the last phase. It also blocks the last phase of DROP INDEX and DETACH
/// PARTITION.
const READER: &str = "SELECT FROM t, m, app.m";

/// Ends a run whose last statement waits for a session that has done `blocker`.
async fn end(database: &Database, folder: &Folder, blocker: &str, end: End) {
    end_with(database, folder, blocker, end, 0).await;
}

/// The same once there are so many INVALID indexes: a statement for several tables waits more than once.
async fn end_with(database: &Database, folder: &Folder, blocker: &str, end: End, left: usize) {
    let mut blocker: PgConnection = database.begin(blocker).await;
    let pid = backend(&mut blocker).await;
    let run = Corveil::migrate(database, folder);
    let run = if matches!(end, End::Deadline) { run.args(["--deadline", "4s"]) } else { run }.spawn();
    // It waits for others too, for moments, while a schema is worked through.
    let is_blocked = format!("query ILIKE '%concurrently%' AND {pid} = ANY (pg_blocking_pids(pid))");
    database.runner(&is_blocked).await;
    wait_until("the copies are there", SOON, async || invalid(database).await.len() >= left).await;
    match end {
        End::Signal => {
            run.signal("TERM").await;
            run.wait().await.expect_code(75);
        }
        End::Deadline => {
            run.wait().await.expect_code(75);
        }
        End::Kill => {
            run.kill().await;
        }
    }
    // After a kill the server keeps waiting until it notices that its client is gone.
    database.wait_until_left(SOON).await;
    blocker.close().await.unwrap();
}

/// The INVALID indexes, those of TOAST tables as `toast`.
async fn invalid(database: &Database) -> Vec<String> {
    database
        .values(
            "SELECT CASE c.relnamespace::regnamespace::text WHEN 'pg_toast' THEN 'toast' ELSE c.relname END
             FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE NOT i.indisvalid ORDER BY 1",
        )
        .await
}

async fn records(database: &Database) -> i64 {
    database.value("SELECT count(*) FROM _corveil_statements").await
}

/// The partitions of `m`, and whether each is half detached.
async fn partitions(database: &Database, parent: &str) -> Vec<bool> {
    let sql = format!("SELECT inhdetachpending FROM pg_inherits WHERE inhparent = '{parent}'::regclass");
    database.values(&sql).await
}

async fn is_well(database: &Database, folder: &Folder) {
    assert!(invalid(database).await.is_empty());
    assert_eq!(records(database).await, 0);
    Corveil::with("verify", database, folder).run().await.expect_code(0);
}

#[tokio::test]
async fn every_form_of_reindex_that_is_repeated_leaves_no_copy() {
    let long = "an_index_with_a_name_of_nearly_sixty_three_bytes_in_all_of_it_x";
    for (statement, blocker, end_by, left) in [
        ("REINDEX TABLE CONCURRENTLY t", WRITER, End::Deadline, 4),
        ("REINDEX TABLE CONCURRENTLY t", READER, End::Signal, 4),
        ("REINDEX (VERBOSE, CONCURRENTLY) TABLE public.t", WRITER, End::Kill, 4),
        ("REINDEX INDEX CONCURRENTLY t_pkey", READER, End::Kill, 1),
        (&format!("REINDEX INDEX CONCURRENTLY {long}"), WRITER, End::Signal, 1),
        ("REINDEX INDEX CONCURRENTLY m_id", READER, End::Signal, 1),
        ("REINDEX SCHEMA CONCURRENTLY public", READER, End::Signal, 1),
        ("REINDEX (CONCURRENTLY) DATABASE $", READER, End::Kill, 1),
    ] {
        let folder = folder("");
        let database = first_only(&folder).await;
        let statement = statement.replace('$', database.name());
        folder.put("2_second.sql", format!("-- no-transaction\n{statement};\nCREATE TABLE after ();"));
        end_with(&database, &folder, blocker, end_by, left).await;
        let seen = invalid(&database).await;
        assert!(seen.len() >= left, "{statement} {end_by:?}: {seen:?}");

        migrate(&database, &folder).await.expect_code(0).expect_stderr("dropping INVALID index \"");
        is_well(&database, &folder).await;
        assert!(database.has("after").await);
        let pkey = "SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass";
        assert_eq!(database.value::<i64>(pkey).await, 3, "{statement}");
    }
}

#[tokio::test]
async fn copies_of_several_tries_are_all_dropped() {
    let folder = folder("REINDEX TABLE CONCURRENTLY t");
    let database = first_only(&folder).await;
    // An administrator's own try, which is numbered on.
    database.execute("CREATE INDEX t_pkey_ccnew ON t (id)").await;
    database
        .execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_pkey_ccnew'::regclass")
        .await;
    let writer = database.begin(WRITER).await;
    let run = Corveil::migrate(&database, &folder).args(["--statement-timeout", "300ms"]).spawn();
    run.until_it_logs("retry 2 of 10").await;
    writer.close().await.unwrap();
    run.wait().await.expect_code(0);
    is_well(&database, &folder).await;
}

#[tokio::test]
async fn a_copy_on_a_toast_table_that_the_owner_may_not_drop_ends_with_advice_that_works() {
    let database = Database::fresh().await;
    let owner = database.create_role("").await;
    database
        .execute(&format!(
            "GRANT CREATE ON SCHEMA public TO {owner}; GRANT CREATE ON DATABASE {} TO {owner}",
            database.name()
        ))
        .await;
    let folder = folder("REINDEX TABLE CONCURRENTLY t");
    let migrate = || Corveil::migrate(&database, &folder).url(&database.url_as(&owner));
    migrate().args(["--target", "1"]).run().await.expect_code(0);
    let writer = database.begin(WRITER).await;
    migrate().args(["--statement-timeout", "300ms", "--retries", "0"]).run().await.expect_code(75);
    writer.close().await.unwrap();
    assert!(invalid(&database).await.contains(&"toast".to_owned()));

    let run = migrate()
        .run()
        .await
        .expect_code(4)
        .expect_stderr("cannot be dropped: permission denied for schema pg_toast");
    assert_eq!(invalid(&database).await, ["toast"]);
    assert_eq!(database.applied().await, [1, 2]);
    // Nor does any later run end well.
    migrate().run().await.expect_code(4);
    let drop = run.stderr.split('\'').find(|part| part.starts_with("DROP INDEX CONCURRENTLY")).unwrap();
    assert!(run.stderr.contains("a member of `pg_read_all_data`"), "{run}");
    database.execute(&format!("GRANT pg_read_all_data TO {owner}")).await;
    let mut session = database.url_as(&owner).connect().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(drop.to_owned())).execute(&mut session).await.unwrap();
    migrate().run().await.expect_code(0);
}

#[tokio::test]
async fn the_hint_for_a_copy_creates_no_second_index() {
    let folder = folder("REINDEX TABLE CONCURRENTLY t");
    let database = Database::fresh().await;
    migrate(&database, &folder).await.expect_code(0);
    // The cancellation is not recorded. According to its text, the file rebuilds the indexes of this table.
    for blocker in [WRITER, READER] {
        let session = database.begin(blocker).await;
        let mut reindex = database.connect().await;
        let sql = "SET statement_timeout = '300ms'";
        sqlx::raw_sql(sql).execute(&mut reindex).await.unwrap();
        sqlx::raw_sql("REINDEX TABLE CONCURRENTLY t").execute(&mut reindex).await.unwrap_err();
        session.close().await.unwrap();
    }
    assert_eq!(invalid(&database).await.len(), 8);
    migrate(&database, &folder).await.expect_code(4).expect_stderr("in 8 places");
    let verify = || Corveil::with("verify", &database, &folder);
    let text = verify().run().await.expect_code(4);
    assert_eq!(text.stdout.matches("hint: ").count(), 1, "one for eight of a kind: {text}");
    let json = verify().args(["--output", "json"]).run().await.expect_code(4).json();
    let hints: Vec<_> =
        json["findings"].as_array().unwrap().iter().map(|it| it["hint"].as_str().unwrap()).collect();
    assert!(hints.iter().all(|hint| !hint.contains("'REINDEX")), "{hints:?}");
    for drop in hints.iter().flat_map(|hint| hint.split('\'')).filter(|part| part.starts_with("DROP INDEX")) {
        database.execute(drop).await;
    }
    migrate(&database, &folder).await.expect_code(0);
    is_well(&database, &folder).await;
    assert_eq!(
        database.value::<i64>("SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass").await,
        3
    );
}

#[tokio::test]
async fn copies_that_a_statement_left_are_dropped_when_it_is_edited_away() {
    for (edited, name) in [
        ("-- no-transaction\nCREATE TABLE other ()", "2_second.sql"),
        ("CREATE TABLE other ()", "2_second.sql"),
        ("CREATE TABLE other ()", "3_third.sql"),
    ] {
        let folder = folder("REINDEX TABLE CONCURRENTLY t");
        let database = first_only(&folder).await;
        end(&database, &folder, WRITER, End::Signal).await;
        folder.remove("2_second.sql");
        folder.put(name, edited);
        migrate(&database, &folder).await.expect_code(0);
        is_well(&database, &folder).await;
    }
}

#[tokio::test]
async fn a_copy_whose_original_was_renamed_still_ends_a_run_with_4() {
    let folder = folder("REINDEX TABLE CONCURRENTLY t");
    let database = first_only(&folder).await;
    end(&database, &folder, WRITER, End::Signal).await;
    database.execute("ALTER INDEX t_pkey RENAME TO t_key").await;
    let run = migrate(&database, &folder).await.expect_code(4);
    run.expect_stderr("DROP INDEX CONCURRENTLY \"public\".\"t_pkey_ccnew\"'` if a REINDEX");
    assert_eq!(invalid(&database).await, ["t_pkey_ccnew"]);
    database.execute("DROP INDEX t_pkey_ccnew").await;
    migrate(&database, &folder).await.expect_code(0);
}

#[tokio::test]
async fn dropping_what_an_edited_statement_left_waits_for_readers_regardless_of_the_roles_timeout() {
    let folder = folder("REINDEX INDEX CONCURRENTLY t_pkey");
    let database = first_only(&folder).await;
    end(&database, &folder, WRITER, End::Signal).await;
    let name = database.name();
    database.execute(&format!("ALTER DATABASE {name} SET lock_timeout = '10ms'")).await;
    folder.put("2_second.sql", "CREATE TABLE after ()");
    let reader = database.begin(READER).await;
    let run = Corveil::migrate(&database, &folder).spawn();
    run.until_it_logs("waiting behind pid").await;
    reader.close().await.unwrap();
    run.wait().await.expect_code(0);
    is_well(&database, &folder).await;
}

#[tokio::test]
async fn an_index_that_is_half_dropped_is_dropped_by_the_next_run() {
    for end_by in ENDS {
        let folder = folder("DROP INDEX CONCURRENTLY m1_old;\nCREATE TABLE after ();");
        folder.put("1_first.sql", format!("{FIRST} CREATE INDEX m1_old ON m1 (ts);"));
        let database = first_only(&folder).await;
        end(&database, &folder, READER, end_by).await;
        assert_eq!(invalid(&database).await, ["m1_old"]);
        migrate(&database, &folder).await.expect_code(0);
        assert!(!database.has("m1_old").await && database.has("after").await);
        is_well(&database, &folder).await;
    }
}

#[tokio::test]
async fn an_index_that_was_dropped_when_the_run_died_is_not_asked_for() {
    let folder = folder("DROP INDEX CONCURRENTLY m1_old;\nCREATE TABLE after ();");
    folder.put("1_first.sql", format!("{FIRST} CREATE INDEX m1_old ON m1 (ts);"));
    let database = first_only(&folder).await;
    end(&database, &folder, READER, End::Kill).await;
    database.execute("DROP INDEX m1_old").await;
    migrate(&database, &folder).await.expect_code(0).expect_stderr("is done: DROP INDEX CONCURRENTLY m1_old");
    assert!(database.has("after").await);
}

#[tokio::test]
async fn an_index_that_is_half_dropped_and_to_stay_is_rebuilt_by_hand() {
    let folder = folder("DROP INDEX CONCURRENTLY m1_old");
    folder.put(
        "1_first.sql",
        format!("{FIRST} CREATE INDEX ON m1 (ts); ALTER INDEX m1_ts_idx RENAME TO m1_old;"),
    );
    let database = first_only(&folder).await;
    end(&database, &folder, READER, End::Signal).await;
    folder.put("2_second.sql", "CREATE TABLE after ()");
    let run = migrate(&database, &folder).await.expect_code(4);
    run.expect_stderr("REINDEX INDEX CONCURRENTLY \"public\".\"m1_old\"");
    assert!(!database.has("after").await);
    database.execute("REINDEX INDEX CONCURRENTLY m1_old").await;
    migrate(&database, &folder).await.expect_code(0);
    is_well(&database, &folder).await;
}

#[tokio::test]
async fn an_index_that_is_half_dropped_may_be_dropped_in_a_transaction() {
    let folder = folder("DROP INDEX CONCURRENTLY m1_old");
    folder.put("1_first.sql", format!("{FIRST} CREATE INDEX m1_old ON m1 (ts);"));
    let database = first_only(&folder).await;
    end(&database, &folder, READER, End::Signal).await;
    folder.put("2_second.sql", "DROP INDEX public.m1_old");
    migrate(&database, &folder).await.expect_code(0);
    is_well(&database, &folder).await;
}

#[tokio::test]
async fn a_partition_that_is_half_detached_is_detached_by_the_next_run() {
    for (begin, detach, parent, dropped) in [
        ("", "ALTER TABLE m DETACH PARTITION m1 CONCURRENTLY", "m", "m1"),
        (
            "CREATE TABLE before ();",
            "ALTER TABLE IF EXISTS ONLY public.m /* é */ DETACH PARTITION public.m1 CONCURRENTLY",
            "m",
            "m1",
        ),
        ("SET search_path = app;", "alter table m detach partition m1 concurrently", "app.m", "m1"),
        (
            "CREATE TABLE before ();",
            "ALTER TABLE app.m DETACH PARTITION app.m1 CONCURRENTLY",
            "app.m",
            "app.m1",
        ),
    ] {
        for end_by in ENDS {
            let folder = folder(&format!("{begin} {detach};\nDROP TABLE {dropped};"));
            let database = first_only(&folder).await;
            end(&database, &folder, READER, end_by).await;
            assert_eq!(partitions(&database, parent).await, [true], "{detach} {end_by:?}");
            let run = Corveil::with("verify", &database, &folder).run().await.expect_code(4);
            run.expect_stdout("is half detached from").expect_stdout("FINALIZE'");

            migrate(&database, &folder).await.expect_code(0).expect_stderr("completing with FINALIZE");
            assert_eq!(partitions(&database, parent).await, [false; 0], "{detach} {end_by:?}");
            assert!(!database.has(&format!("{parent}1")).await);
            is_well(&database, &folder).await;
        }
    }
}

#[tokio::test]
async fn a_detachment_that_its_deadline_ended_is_completed_by_the_next_run() {
    let folder = folder("ALTER TABLE m DETACH PARTITION m1 CONCURRENTLY");
    let database = first_only(&folder).await;
    end(&database, &folder, READER, End::Deadline).await;
    assert_eq!(partitions(&database, "m").await, [true]);
    migrate(&database, &folder).await.expect_code(0);
    is_well(&database, &folder).await;
}

#[tokio::test]
async fn a_detachment_that_times_out_is_completed_while_the_reader_is_still_there() {
    for timeout in ["statement-timeout", "lock-timeout"] {
        let folder = folder(&format!(
            "-- corveil:{timeout} 300ms\nALTER TABLE m DETACH PARTITION m1 CONCURRENTLY;\nDROP TABLE m1;"
        ));
        let database = first_only(&folder).await;
        let reader = database.begin(READER).await;
        let run = Corveil::migrate(&database, &folder).spawn();
        run.until_it_logs("retry 2 of 10").await;
        reader.close().await.unwrap();
        run.wait().await.expect_code(0);
        assert!(!database.has("m1").await);
        is_well(&database, &folder).await;
    }
}

#[tokio::test]
async fn a_partition_that_was_detached_by_hand_counts_as_done() {
    for end_by in ENDS {
        let folder = folder("ALTER TABLE m DETACH PARTITION m1 CONCURRENTLY;\nDROP TABLE m1;");
        let database = first_only(&folder).await;
        end(&database, &folder, READER, end_by).await;
        database.execute("ALTER TABLE m DETACH PARTITION m1 FINALIZE").await;
        migrate(&database, &folder).await.expect_code(0).expect_stderr("is done: ALTER TABLE m DETACH");
        assert!(!database.has("m1").await);
    }
}

#[tokio::test]
async fn a_detachment_that_an_administrator_began_is_completed() {
    let folder = folder("ALTER TABLE m DETACH PARTITION m1 CONCURRENTLY");
    let database = first_only(&folder).await;
    let reader = database.begin(READER).await;
    let mut session = database.connect().await;
    sqlx::raw_sql("SET statement_timeout = '300ms'").execute(&mut session).await.unwrap();
    let detach = "ALTER TABLE m DETACH PARTITION m1 CONCURRENTLY";
    sqlx::raw_sql(detach).execute(&mut session).await.unwrap_err();
    reader.close().await.unwrap();
    migrate(&database, &folder).await.expect_code(0).expect_stderr("completing with FINALIZE");
    is_well(&database, &folder).await;
}

#[tokio::test]
async fn a_table_that_never_was_a_partition_is_no_success_by_the_second_try() {
    let folder = folder("ALTER TABLE m DETACH PARTITION t CONCURRENTLY");
    let database = first_only(&folder).await;
    for _ in 0..2 {
        migrate(&database, &folder).await.expect_code(3).expect_stderr("(SQLSTATE 42P01)");
    }
    assert_eq!(database.applied().await, [1]);
}

#[tokio::test]
async fn a_detachment_that_no_run_completes_ends_with_the_command_that_does() {
    let detach = "ALTER TABLE m DETACH PARTITION m1 CONCURRENTLY";
    for (name, content) in [
        ("2_second.sql", "-- no-transaction\nCREATE TABLE after ()"),
        ("2_second.sql", "CREATE TABLE after ()"),
        ("3_third.sql", "CREATE TABLE after ()"),
    ] {
        let folder = folder(detach);
        let database = first_only(&folder).await;
        end(&database, &folder, READER, End::Signal).await;
        folder.remove("2_second.sql");
        folder.put(name, content);
        let run = migrate(&database, &folder).await.expect_code(4);
        let hint = run.stderr.split('\'').find(|part| part.starts_with("ALTER TABLE")).unwrap();
        assert_eq!(hint, "ALTER TABLE public.m DETACH PARTITION public.m1 FINALIZE");
        assert!(!database.has("after").await);
        database.execute(hint).await;
        migrate(&database, &folder).await.expect_code(0);
        is_well(&database, &folder).await;
    }
}

#[tokio::test]
async fn a_newer_build_that_is_half_way_does_not_block_an_older_one() {
    let newer = folder("CREATE TABLE before ();\nALTER TABLE m DETACH PARTITION m1 CONCURRENTLY;");
    let older = Folder::new().file("1_first.sql", FIRST);
    let database = first_only(&newer).await;
    end(&database, &newer, READER, End::Kill).await;
    migrate(&database, &older).await.expect_code(0);
    Corveil::migrate(&database, &newer).args(["--target", "1"]).run().await.expect_code(0);
    // And the newer build runs again.
    migrate(&database, &newer).await.expect_code(0);
    assert_eq!(partitions(&database, "m").await, [false; 0]);
    is_well(&database, &newer).await;

    let newer = folder("CREATE TABLE before ();\nCREATE INDEX CONCURRENTLY t_c ON t (c);");
    let database = first_only(&newer).await;
    end(&database, &newer, WRITER, End::Kill).await;
    assert_eq!(invalid(&database).await, ["t_c"]);
    migrate(&database, &older).await.expect_code(0);
    assert!(invalid(&database).await.is_empty());
    migrate(&database, &newer).await.expect_code(0);
    assert!(database.has("t_c").await);
    is_well(&database, &newer).await;
}

#[tokio::test]
async fn statements_that_may_be_repeated_are_repeated_when_the_run_died() {
    for statement in [
        "VACUUM t",
        "ANALYZE",
        "REINDEX TABLE m",
        "REINDEX TABLE CONCURRENTLY t",
        "CLUSTER t USING t_pkey",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY v",
    ] {
        let folder = folder(&format!("{statement};\nCREATE TABLE after ();"));
        folder.put(
            "1_first.sql",
            format!("{FIRST} CREATE MATERIALIZED VIEW v AS SELECT 1 AS a; CREATE UNIQUE INDEX ON v (a);"),
        );
        let database = first_only(&folder).await;
        database
            .execute(&format!(
                "INSERT INTO _corveil_statements (version, ordinal, checksum, state)
                 VALUES (2, 1, sha384(convert_to('{statement}', 'UTF8')), 'started')"
            ))
            .await;
        migrate(&database, &folder).await.expect_code(0);
        assert!(database.has("after").await, "{statement}");
    }
}

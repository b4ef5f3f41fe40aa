//! `-- no-transaction`: statement by statement, transactions that are one whole, and what such files may contain.

use serde_json::json;

use crate::support::{Corveil, Database, Folder, Server};

#[tokio::test]
async fn statements_are_split_as_the_server_splits_them() {
    let database = Database::fresh().await;
    let sql = r#"-- no-transaction
        -- VACUUM shows that nothing here is in a transaction.
        CREATE TABLE t (a text DEFAULT ';');;
        VACUUM t;
        /* one; /* two; */ still a comment; */
        CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $body$
        BEGIN
          PERFORM $$;$$; -- not; the end
          RETURN 1;
        END $body$;
        CREATE FUNCTION g(i int) RETURNS int
        BEGIN ATOMIC
          SELECT CASE WHEN i = 1 THEN 2 ELSE 3 END;
          SELECT i + 1;
        END;
        CREATE PROCEDURE p() BEGIN ATOMIC INSERT INTO t VALUES ('p;'); END;
        VACUUM t;
        INSERT INTO t VALUES (E'it\';s'), (U&'\003B'), ('two
        lines;');
        CREATE TABLE "semi;colon" ();
        CREATE RULE r AS ON DELETE TO t DO ALSO (INSERT INTO t VALUES ('r1'); INSERT INTO t VALUES ('r2'));
        CALL p();
        VACUUM t -- without a semicolon"#;
    let folder = Folder::new().file("1_a.sql", sql);
    let dry =
        Corveil::migrate(&database, &folder).args(["--dry-run", "--output=json"]).run().await.expect_code(0);
    assert_eq!(dry.json()["pending"][0]["statements"], json!(11));
    Corveil::migrate(&database, &folder).run().await.expect_code(0);

    assert_eq!(database.value::<i32>("SELECT f() + g(4)").await, 6);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM t").await, 4);
    assert_eq!(database.applied().await, [1]);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM _corveil_statements").await, 0);
}

#[tokio::test]
async fn begin_to_commit_is_one_whole() {
    let database = Database::fresh().await;
    let sql = "-- no-transaction\nCREATE TABLE t (a int);\nBEGIN;\nINSERT INTO t VALUES (1);\nINSERT INTO t VALUES (1 / $);\nCOMMIT;\nVACUUM t;";
    let folder = Folder::new().file("1_a.sql", sql.replace('$', "0"));
    let run = Corveil::migrate(&database, &folder).args(["--output=json"]).run().await.expect_code(3);
    assert_eq!(run.json()["error"]["failure"]["left"], json!({"state": "statements", "done": 1, "total": 3}));
    assert_eq!(database.value::<i64>("SELECT count(*) FROM t").await, 0);

    folder.put("1_a.sql", sql.replace('$', "1"));
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM t").await, 2);
    // Both rows are of one transaction.
    assert_eq!(database.value::<i64>("SELECT count(DISTINCT xmin::text) FROM t").await, 1);
}

#[tokio::test]
async fn code_blocks_and_procedures_may_commit() {
    let database = Database::fresh().await;
    let sql = "-- no-transaction
        CREATE TABLE t (a int);
        DO $$ BEGIN FOR i IN 1..3 LOOP INSERT INTO t VALUES (i); COMMIT; END LOOP; END $$;
        CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (4); COMMIT; INSERT INTO t VALUES (5); ROLLBACK; END $$;
        CALL p();";
    let folder = Folder::new().file("1_a.sql", sql);
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    assert_eq!(database.values::<i32>("SELECT a FROM t ORDER BY a").await, [1, 2, 3, 4]);
    assert_eq!(database.value::<i64>("SELECT count(DISTINCT xmin::text) FROM t").await, 4);
}

#[tokio::test]
async fn roles_and_paths_of_the_file_do_not_reach_its_records() {
    let database = Database::fresh().await;
    let role = database.create_role("").await;
    database.execute(&format!("CREATE SCHEMA theirs AUTHORIZATION {role}")).await;
    let folder = Folder::new();
    for (version, set) in ["SET ROLE $", "SET SESSION AUTHORIZATION $"].iter().enumerate() {
        let sql = format!(
            "-- no-transaction\n{}; SET search_path = theirs; CREATE TABLE t{version} ();\n\
             BEGIN; INSERT INTO t{version} DEFAULT VALUES; COMMIT; CREATE INDEX CONCURRENTLY ON t{version} ((1));",
            set.replace('$', &role)
        );
        folder.put(&format!("{version}_a.sql"), sql);
        Corveil::migrate(&database, &folder).run().await.expect_code(0);
        let owner =
            format!("SELECT relowner::regrole::text FROM pg_class WHERE oid = 'theirs.t{version}'::regclass");
        assert_eq!(database.value::<String>(&owner).await, role);
        assert_eq!(database.value::<i64>(&format!("SELECT count(*) FROM theirs.t{version}")).await, 1);
        assert_eq!(database.applied().await.len(), version + 1);
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_edited_runs_without_a_transaction_on_demand() {
    let (database, folder) = (Database::fresh().await, Folder::new());
    folder.put("1_a.sql", "CREATE TABLE t (a int)");
    folder.put("2_b.sql", "CREATE INDEX CONCURRENTLY i ON t (a)");
    folder.put("3_c.sql", "VACUUM t");
    let corveil = || Corveil::migrate(&database, &folder);
    let run = corveil().run().await.expect_code(2);
    run.expect_stderr("`2_b.sql` line 1")
        .expect_stderr("`3_c.sql` line 1")
        .expect_stderr("-- no-transaction");
    assert!(!database.is_touched().await);

    corveil().args(["--no-transaction", "2", "--target", "2"]).run().await.expect_code(0);
    corveil().env("CORVEIL_NO_TRANSACTION", "2,3").run().await.expect_code(0);
    assert_eq!(database.applied().await, [1, 2, 3]);
    // Once they are applied, the flag is no longer needed.
    corveil().run().await.expect_code(0);
}

#[tokio::test]
async fn transaction_control_that_does_not_pair_up_is_refused() {
    let database = Database::fresh().await;
    for (sql, line) in [
        ("BEGIN;\nSELECT 1;", 2),
        ("SELECT 1;\nCOMMIT;", 3),
        ("BEGIN;\nBEGIN;\nCOMMIT;", 3),
        ("BEGIN;\nROLLBACK;", 3),
        ("BEGIN;\nVACUUM;\nCOMMIT;", 3),
        ("BEGIN;\nCREATE INDEX CONCURRENTLY i ON t (a);\nCOMMIT;", 3),
        ("SELECT 1;\nDISCARD ALL;", 3),
    ] {
        let folder = Folder::new().file("1_a.sql", format!("-- no-transaction\n{sql}"));
        let run = Corveil::migrate(&database, &folder).run().await.expect_code(2);
        run.expect_stderr(&format!("`1_a.sql` line {line}"));
    }
    assert!(!database.is_touched().await);
}

#[tokio::test]
async fn a_blocked_statement_is_tried_again_alone() {
    let database = Database::fresh().await;
    database.execute("CREATE TABLE runs (a int); CREATE SEQUENCE tries").await;
    let sql = "-- no-transaction\n-- corveil:statement-timeout 50ms\nINSERT INTO runs VALUES (1);\n\
               DO $$ BEGIN IF nextval('tries') = 1 THEN PERFORM pg_sleep(60); END IF; END $$;";
    Corveil::migrate(&database, &Folder::new().file("1_a.sql", sql))
        .run()
        .await
        .expect_code(0)
        .expect_stderr("retry 1 of 10");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM runs").await, 1);
}

#[tokio::test]
async fn a_database_is_copied_although_a_run_has_two_connections_to_it() {
    let server = Server::private();
    let (database, folder) = (Database::on(&server).await, Folder::new());
    let name = database.name();
    let copy = format!("{name}_copy");
    folder.put(
        "1_copy.sql",
        format!("-- no-transaction\nCREATE TABLE a ();\nCREATE DATABASE {copy} TEMPLATE {name};"),
    );
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    assert!(database.value::<bool>(&format!("SELECT true FROM pg_database WHERE datname = '{copy}'")).await);
}

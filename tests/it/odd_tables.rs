//! Tables of the history that are not as sqlx and Corveil make them, or that may not be written to.

use crate::support::{Corveil, Database, Folder};

fn folder() -> Folder {
    Folder::new().file("0001_a.sql", "CREATE TABLE a ()")
}

#[tokio::test]
async fn columns_that_cannot_be_read_are_the_configurations_fault_and_named() {
    for (change, named) in [
        (
            "ALTER COLUMN checksum TYPE text USING encode(checksum, 'hex')",
            "column `checksum` is of type text",
        ),
        ("ALTER COLUMN version TYPE int", "column `version` is of type int4"),
        ("ALTER COLUMN success TYPE text", "column `success` is of type text"),
        ("ALTER COLUMN execution_time DROP NOT NULL", "column `execution_time` is NULL"),
        ("DROP COLUMN checksum", "column \"checksum\" does not exist"),
    ] {
        let (database, folder) = (Database::fresh().await, folder());
        Corveil::migrate(&database, &folder).run().await.expect_code(0);
        database.execute(&format!("ALTER TABLE _sqlx_migrations {change}")).await;
        if change.contains("DROP NOT NULL") {
            database.execute("UPDATE _sqlx_migrations SET execution_time = NULL").await;
        }
        folder.put("0002_b.sql", "CREATE TABLE b ()");
        for (subcommand, flag) in [
            ("migrate", "--wait-for-db"),
            ("status", "--wait-for-db"),
            ("verify", "--wait-for-db"),
            ("wait", "--timeout"),
        ] {
            let run = Corveil::with(subcommand, &database, &folder).args([flag, "60s"]).run().await;
            run.expect_code(2).expect_stderr(named).expect_stderr("hint: compare the columns");
        }
        assert!(!database.has("b").await);
    }
}

#[tokio::test]
async fn a_history_that_cannot_take_a_row_is_no_fault_of_the_file() {
    for (make, named) in [
        (
            "ALTER TABLE _sqlx_migrations ALTER COLUMN checksum TYPE int USING 0",
            "is of type integer but expression",
        ),
        ("ALTER TABLE _sqlx_migrations ADD COLUMN who text NOT NULL", "\"who\""),
    ] {
        let (database, folder) = (Database::fresh().await, folder());
        Corveil::migrate(&database, &folder).run().await.expect_code(0);
        // Without a row nothing is wrong to read.
        database.execute(&format!("DELETE FROM _sqlx_migrations; DROP TABLE a; {make}")).await;
        for no_transaction in ["", "-- no-transaction\n"] {
            folder.put("0001_a.sql", format!("{no_transaction}CREATE TABLE IF NOT EXISTS a ()"));
            let run = Corveil::migrate(&database, &folder).run().await.expect_code(2);
            let run = run.expect_stderr("recording the migration failed").expect_stderr(named);
            assert!(!run.stderr.contains("fix `0001_a.sql`"), "{run}");
        }
        let failed = "SELECT count(*) FROM _corveil_runs WHERE failed_version IS NOT NULL";
        assert_eq!(database.value::<i64>(failed).await, 0, "{make}");
    }
}

#[tokio::test]
async fn a_history_that_may_not_be_written_is_no_fault_of_the_file() {
    let (database, folder) = (Database::fresh().await, folder());
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    let role = database.create_role("").await;
    let as_role = |subcommand| Corveil::with(subcommand, &database, &folder).url(&database.url_as(&role));
    database
        .execute(&format!(
            "GRANT ALL ON SCHEMA public TO {role};
             GRANT SELECT ON _sqlx_migrations, _corveil_runs, _corveil_statements TO {role}"
        ))
        .await;
    // Nothing is to be written.
    as_role("migrate").run().await.expect_code(0);

    for file in ["CREATE TABLE b ()", "-- no-transaction\nCREATE TABLE b ()"] {
        folder.put("0002_b.sql", file);
        for (table, rights) in [
            ("_sqlx_migrations", "INSERT"),
            ("_corveil_runs", "INSERT, UPDATE"),
            ("_corveil_statements", "INSERT, UPDATE, DELETE"),
        ] {
            database
                .execute(&format!(
                    "GRANT ALL ON _sqlx_migrations, _corveil_runs, _corveil_statements TO {role}"
                ))
                .await;
            database.execute(&format!("REVOKE INSERT ON {table} FROM {role}")).await;
            let run = as_role("migrate").run().await.expect_code(2);
            let run = run.expect_stderr(&format!("may not write to table public.{table}"));
            run.expect_stderr(&format!("`GRANT {rights} ON \"public\".\"{table}\" TO`"))
                .expect_stderr("hint: migrate as role `postgres`");
            assert!(!database.has("b").await);
        }
    }
    let runs = "SELECT count(*) FROM _corveil_runs WHERE failed_version IS NOT NULL";
    assert_eq!(database.value::<i64>(runs).await, 0);

    database
        .execute(&format!("GRANT ALL ON _sqlx_migrations, _corveil_runs, _corveil_statements TO {role}"))
        .await;
    as_role("migrate").run().await.expect_code(0);
    assert_eq!(database.applied().await, [1, 2]);
    database.execute(&format!("DROP OWNED BY {role}")).await;
}

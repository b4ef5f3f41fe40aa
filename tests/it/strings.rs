//! Backslashes in plain strings, which `standard_conforming_strings` decides about: in the session, and within a file.

use crate::support::settings::{KEEPERS, with_settings};
use crate::support::{Corveil, Database, Folder};

/// Written for a server whose strings have escapes. `\'` ends no string there, so that the semicolons are part of it.
const ESCAPES: [(&str, &str); 3] = [
    (
        "1_t.sql",
        r"CREATE TABLE t (s text DEFAULT 'c:\\'); INSERT INTO t VALUES ('it\'s; fine'); INSERT INTO t DEFAULT VALUES",
    ),
    (
        "2_statements.sql",
        "-- no-transaction\nINSERT INTO t VALUES ('a\\';b');\nINSERT INTO t VALUES ('tab\\t;')",
    ),
    ("3_block.sql", "-- no-transaction\nBEGIN;\nINSERT INTO t VALUES ('\\'; COMMIT; SELECT \\'');\nCOMMIT;"),
];

const READ: [&str; 5] = ["it's; fine", r"c:\", "a';b", "tab\t;", "'; COMMIT; SELECT '"];

#[tokio::test]
async fn a_right_file_is_applied_where_backslashes_are_escapes() {
    for (what, alter) in KEEPERS {
        let off =
            |role: &str, name: &str| format!("{} SET standard_conforming_strings = off", alter(role, name));
        let (database, role) = with_settings(off).await;
        let folder = ESCAPES.iter().fold(Folder::new(), |folder, (name, sql)| folder.file(name, sql));
        let run =
            |subcommand: &str| Corveil::with(subcommand, &database, &folder).url(&database.url_as(&role));

        let previewed = run("migrate").args(["--dry-run"]).run().await;
        assert_eq!(previewed.code, Some(0), "{what}: {previewed}");
        let migrated = run("migrate").run().await;
        assert_eq!(migrated.code, Some(0), "{what}: {migrated}");
        assert_eq!(database.values::<String>("SELECT s FROM t ORDER BY ctid").await, READ, "{what}");
        // The files are replayed in a scratch database, which has to read them likewise.
        let verified = run("verify").args(["--schema"]).run().await;
        assert_eq!(verified.code, Some(0), "{what}: {verified}");

        database.execute("DROP TABLE _sqlx_migrations, _corveil_runs, _corveil_statements").await;
        let adopted = run("adopt").args(["--to", "3"]).run().await;
        assert_eq!(adopted.code, Some(0), "{what}: {adopted}");
        assert!(!adopted.stderr.contains("as they are"), "{what}: {adopted}");
    }
}

#[tokio::test]
async fn a_file_that_sets_how_its_strings_are_read_is_read_so() {
    let database = Database::fresh().await;
    let body = "SET standard_conforming_strings = off;\nCREATE TABLE t (s text);\nINSERT INTO t VALUES ('it\\'s; é');\n\
                SET standard_conforming_strings = on;\nINSERT INTO t VALUES ('c:\\');\n";
    let folder = Folder::new().file("1_t.sql", format!("{body}SELECT 1/0;"));
    let failed = Corveil::migrate(&database, &folder).run().await.expect_code(3);
    failed.expect_stderr("1_t.sql:6:1");
    assert!(!database.has("t").await);

    folder.put("1_t.sql", format!("{body}SELECT nothing;"));
    Corveil::migrate(&database, &folder).run().await.expect_code(3).expect_stderr("1_t.sql:6:8");

    for (version, wrapped) in
        [(1, body.to_owned()), (2, format!("BEGIN;\n{}COMMIT;\n", body.replace(" t ", " u ")))]
    {
        folder.put(&format!("{version}_t.sql"), wrapped);
    }
    folder.put("3_t.sql", format!("-- no-transaction\n{}", body.replace(" t ", " v ")));
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    for table in ["t", "u", "v"] {
        let read = database.values::<String>(&format!("SELECT s FROM {table} ORDER BY ctid")).await;
        assert_eq!(read, ["it's; é", r"c:\"], "{table}");
    }
    // All of a file is one transaction, with its row, however many batches it takes.
    let transactions = "SELECT count(DISTINCT id) FROM (SELECT xmin::text FROM t UNION ALL \
                        SELECT xmin::text FROM _sqlx_migrations WHERE version = 1) AS t (id)";
    assert_eq!(database.value::<i64>(transactions).await, 1);
}

#[tokio::test]
async fn a_block_that_changes_how_its_own_strings_are_read_is_refused() {
    let database = Database::fresh().await;
    let folder = Folder::new().file(
        "1_t.sql",
        "-- no-transaction\nBEGIN;\nSET standard_conforming_strings = off;\nSELECT 'it\\'s';\nCOMMIT;",
    );
    let refused = Corveil::migrate(&database, &folder).run().await.expect_code(2);
    refused.expect_stderr("`1_t.sql` line 4").expect_stderr("set it before the `BEGIN`");

    let set =
        "SET standard_conforming_strings = off;\nBEGIN;\nCREATE TABLE t AS SELECT 'it\\'s' AS s;\nCOMMIT;";
    folder.put("1_t.sql", format!("-- no-transaction\n{set}"));
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    assert_eq!(database.value::<String>("SELECT s FROM t").await, "it's");
}

#[tokio::test]
async fn what_reaches_beyond_its_database_is_found_behind_an_escaped_quote() {
    let (database, role) = with_settings(|role, _| {
        format!("ALTER ROLE {role} CREATEROLE; ALTER ROLE {role} SET standard_conforming_strings = off")
    })
    .await;
    let made = format!("{role}_made");
    let sql = format!("SELECT 'it\\'s'; CREATE ROLE {made}; SELECT 'it\\'s'");
    let folder = Folder::new().file("1_role.sql", sql);
    let run = |subcommand: &str| Corveil::with(subcommand, &database, &folder).url(&database.url_as(&role));
    run("migrate").run().await.expect_code(0);
    run("verify").args(["--schema"]).run().await.expect_code(2).expect_stderr("reaches beyond its database");
    database.execute(&format!("DROP ROLE {made}")).await;
}

//! Files that are refused before anything runs, and a history that does not match them.

use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::support::corveil::Outcome;
use crate::support::{Corveil, Database, Folder};

/// Bad files: the name, the content, the line in the message, and the message.
const BAD: [(&str, &[u8], Option<usize>, &str); 18] = [
    ("2_latin1.sql", b"SELECT '\xe4'", None, "is not UTF-8: the byte at offset 8"),
    ("2_utf16.sql", b"\xff\xfeS\0E\0", None, "is UTF-16"),
    ("2_utf16be.sql", b"\0S\0E\0L", None, "iconv -f utf-16be -t utf-8 2_utf16be.sql"),
    (
        "2_copy.sql",
        b"SELECT 1;\nCOPY t FROM stdin;\n1\tit's\n\\.\n",
        Some(2),
        "`COPY … FROM STDIN` waits for rows",
    ),
    ("2_copy.sql", b"COPY t (a) FROM STDIN WITH (FORMAT csv)", Some(1), "`COPY … FROM STDIN` waits for rows"),
    ("2_copy.sql", b"COPY t TO STDOUT;", Some(1), "`COPY … TO STDOUT` sends rows"),
    ("2_psql.sql", b"\\set ON_ERROR_STOP on\nSELECT 1;\n\\i more.sql\n", Some(1), "delete lines 1 and 3"),
    (
        "2_dump.sql",
        b"--\n\n\\restrict it's\n\nSELECT 1;\n\n\\unrestrict it's\n",
        Some(3),
        "delete lines 3 and 7",
    ),
    ("2_gexec.sql", b"SELECT 'SELECT 1' \\gexec\n", Some(1), "rewrite line 1 without it"),
    (
        "2_commit.sql",
        b"SELECT 1;\nCOMMIT;\nSELECT 2;\nBEGIN;",
        Some(2),
        "delete lines 2 and 4, or make `-- no-transaction`",
    ),
    ("2_rollback.sql", b"BEGIN;\nROLLBACK;", Some(1), "would break up the transaction"),
    (
        "2_two.sql",
        b"BEGIN; SELECT 1; COMMIT;\nBEGIN; SELECT 2; COMMIT;",
        Some(1),
        "would break up the transaction",
    ),
    ("2_quote.sql", b"SELECT 1;\nSELECT 'it''s;\n", Some(2), "close the"),
    ("2_dollar.sql", b"DO $$ BEGIN\n$_$", Some(1), "close the"),
    ("2_vacuum.sql", b"SELECT 1;\nVACUUM;", Some(2), "cannot run inside a transaction"),
    ("2_bom.sql", b"\xef\xbb\xbfSELECT 1", Some(1), "byte order mark"),
    ("2_nul.sql", b"SELECT\n\0", Some(2), "NUL"),
    ("2_discard.sql", b"DISCARD ALL", Some(1), "releases the lock"),
];

fn with_good_file() -> Folder {
    Folder::new().file("1_good.sql", "CREATE TABLE good ()")
}

async fn migrate(database: &Database, folder: &Folder) -> Outcome {
    Corveil::migrate(database, folder).run().await
}

async fn expect_untouched(database: &Database) {
    assert!(!database.is_touched().await && !database.has("good").await);
}

#[tokio::test]
async fn a_bad_file_is_refused_with_its_line_and_what_to_do() {
    let database = Database::fresh().await;
    for (name, content, line, message) in BAD {
        let run = migrate(&database, &with_good_file().file(name, content)).await.expect_code(2);
        let place = line.map_or_else(|| format!("`{name}` "), |line| format!("`{name}` line {line} "));
        run.expect_stderr(&place).expect_stderr(message).expect_stderr("hint: ");
    }
    expect_untouched(&database).await;
}

#[tokio::test]
async fn all_bad_files_are_named_at_once() {
    let (database, folder) = (Database::fresh().await, with_good_file());
    for (at, (name, content, ..)) in BAD.iter().enumerate() {
        folder.put(&format!("{}{}", at + 2, &name[1..]), content);
    }
    let run = Corveil::migrate(&database, &folder).args(["--output", "json"]).run().await.expect_code(2);
    let json = run.json();
    let findings = json["error"]["findings"].as_array().unwrap();
    let versions: Vec<_> = findings.iter().map(|finding| finding["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, (2..20).collect::<Vec<u64>>(), "{run}");
    expect_untouched(&database).await;
}

#[tokio::test]
async fn names_that_cannot_be_are_refused() {
    let database = Database::fresh().await;
    for (name, message) in [
        ("v2_users.sql", "`v2_users.sql` has a name that starts with no version number"),
        ("20240101-a_b.sql", "`20240101-a_b.sql` has a name"),
        ("99999999999999999999_a.sql", "`99999999999999999999_a.sql` has a name"),
        ("_a.sql", "`_a.sql` has a name"),
        ("x_a.down.sql", "`x_a.down.sql` has a name"),
        ("01_again.sql", "`1_good.sql` has the same version 1 as `01_again.sql`"),
        ("1_again.up.sql", "`1_good.sql` has the same version 1 as `1_again.up.sql`"),
    ] {
        let run = migrate(&database, &with_good_file().file(name, "SELECT 1")).await.expect_code(2);
        run.expect_stderr(message).expect_stderr("hint: ");
    }
    let folder = with_good_file().file("1_again.sql", "").file("v_a.sql", "").file("w_b.sql", "");
    migrate(&database, &folder).await.expect_code(2).expect_stderr("in 3 places");
    expect_untouched(&database).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_refused() {
    let (database, folder) = (Database::fresh().await, with_good_file());
    symlink("nowhere", folder.path().join("2_gone.sql")).unwrap();
    // What is no migration need not be readable.
    symlink("nowhere", folder.path().join("README.md")).unwrap();
    let run = migrate(&database, &folder).await.expect_code(2);
    run.expect_stderr("`2_gone.sql` cannot be read: No such file")
        .expect_stderr("hint: ")
        .expect_no_stderr("README");
    expect_untouched(&database).await;
}

#[tokio::test]
async fn a_folder_that_is_missing_empty_or_no_folder_is_refused() {
    let (database, empty) =
        (Database::fresh().await, Folder::new().file("README.md", "").file("1_a.down.sql", ""));
    let run = migrate(&database, &empty).await.expect_code(2);
    run.expect_stderr("holds no migration").expect_stderr("hint: ");

    let corveil = || Corveil::new("migrate").url(&database.url());
    for nowhere in ["missing", "/dev/null", ""] {
        let run = corveil().args(["--source", nowhere]).run().await.expect_code(2);
        assert!(run.stderr.contains("cannot be read") || nowhere.is_empty(), "{run}");
    }
    corveil().env("CORVEIL_SOURCE", "missing").run().await.expect_code(2);
    expect_untouched(&database).await;
}

#[tokio::test]
async fn a_folder_of_links_is_followed_as_config_maps_have_it() {
    let (database, folder, real) = (Database::fresh().await, Folder::new(), with_good_file());
    std::fs::create_dir(folder.path().join("..data")).unwrap();
    std::fs::copy(real.path().join("1_good.sql"), folder.path().join("..data/1_good.sql")).unwrap();
    symlink("..data/1_good.sql", folder.path().join("1_good.sql")).unwrap();
    migrate(&database, &folder).await.expect_code(0);
    assert_eq!(database.applied().await, [1]);
}

#[tokio::test]
async fn what_is_applied_already_is_not_refused() {
    let (database, folder) = (Database::fresh().await, with_good_file());
    migrate(&database, &folder).await.expect_code(0);
    for (at, (name, content, ..)) in BAD.iter().enumerate() {
        let version = at + 2;
        folder.put(&format!("{version}{}", &name[1..]), content);
        let hex = corveil::hex(content);
        let row = format!("({version}, 'by another tool', true, sha384(decode('{hex}', 'hex')), -1)");
        database
            .execute(&format!("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES {row}"))
            .await;
    }
    for command in ["migrate", "status", "verify", "wait"] {
        Corveil::with(command, &database, &folder).run().await.expect_code(0);
    }
    folder.put("99_new.sql", "CREATE TABLE new ()");
    migrate(&database, &folder).await.expect_code(0);
}

/// A database that has versions 1, 2 and 4 of this folder of 1 to 4.
async fn with_a_gap() -> (Database, Folder) {
    let (database, folder) = (Database::fresh().await, Folder::new());
    for version in [1, 2, 4] {
        folder.put(&format!("{version}_t.sql"), format!("CREATE TABLE t{version} ()"));
    }
    migrate(&database, &folder).await.expect_code(0);
    folder.put("3_t.sql", "CREATE TABLE t3 ()");
    (database, folder)
}

async fn findings(database: &Database, folder: &Folder, code: i32) -> Vec<(Value, Value)> {
    let run = Corveil::migrate(database, folder).args(["--output", "json"]).run().await.expect_code(code);
    let json = run.json();
    let findings = json["error"]["findings"].as_array().unwrap();
    findings.iter().map(|finding| (finding["kind"].clone(), finding["version"].clone())).collect()
}

#[tokio::test]
async fn a_version_below_the_newest_applied_one_needs_a_flag() {
    let (database, folder) = with_a_gap().await;
    let run = migrate(&database, &folder).await.expect_code(4);
    run.expect_stderr("`3_t.sql` is pending, although the newer version 4 is applied")
        .expect_stderr("--out-of-order apply");
    assert_eq!(database.applied().await, [1, 2, 4]);
    Corveil::migrate(&database, &folder).args(["--out-of-order", "fail"]).run().await.expect_code(4);

    Corveil::migrate(&database, &folder).env("CORVEIL_OUT_OF_ORDER", "apply").run().await.expect_code(0);
    assert_eq!(database.applied().await, [1, 2, 3, 4]);
    migrate(&database, &folder).await.expect_code(0);
}

#[tokio::test]
async fn edited_and_missing_files_are_found_all_at_once_and_nothing_is_applied() {
    let (database, folder) = with_a_gap().await;
    folder.put("1_t.sql", "CREATE TABLE t1 (); -- edited");
    folder.remove("2_t.sql");
    folder.put("5_t.sql", "CREATE TABLE t5 ()");
    let expected = [("edited", 1), ("missing", 2), ("out_of_order", 3)]
        .map(|(kind, version)| (json!(kind), json!(version)));
    assert_eq!(findings(&database, &folder, 4).await, expected);
    let run = migrate(&database, &folder).await.expect_code(4);
    run.expect_stderr("`1_t.sql` was edited after it was applied on 2")
        .expect_stderr("version 2 (t) was applied on 2")
        .expect_stderr("git checkout");
    assert!(!database.has("t5").await);
}

#[tokio::test]
async fn a_file_that_git_checked_out_with_other_line_endings_is_not_called_edited() {
    let (database, folder) =
        (Database::fresh().await, Folder::new().file("1_t.sql", "SELECT 1;\nSELECT 2;\n"));
    migrate(&database, &folder).await.expect_code(0);
    folder.put("1_t.sql", "SELECT 1;\r\nSELECT 2;\r\n");
    let run = migrate(&database, &folder).await.expect_code(4);
    let run = run
        .expect_stderr("differs only in its line endings from the file applied on")
        .expect_stderr(": CR LF here, LF there");
    run.expect_stderr("*.sql text eol=lf").expect_no_stderr("was edited");
}

#[tokio::test]
async fn an_applied_file_that_cannot_be_read_is_not_called_edited() {
    let (database, folder) = with_a_gap().await;
    folder.remove("1_t.sql");
    symlink("nowhere", folder.path().join("1_t.sql")).unwrap();
    folder.remove("3_t.sql");
    let run = migrate(&database, &folder).await.expect_code(4);
    run.expect_stderr("`1_t.sql` is applied and cannot be read here").expect_no_stderr("edited");
}

#[tokio::test]
async fn unknown_newer_versions_are_a_rollback_and_unknown_older_ones_an_error() {
    let (database, folder) = with_a_gap().await;
    folder.remove("3_t.sql");
    folder.remove("4_t.sql");
    let run = migrate(&database, &folder).await.expect_code(0);
    assert_eq!(run.stderr.matches("WARN").count(), 1, "{run}");
    run.expect_stderr("does not know version 4");

    folder.remove("1_t.sql");
    assert_eq!(findings(&database, &folder, 4).await, [(json!("missing"), json!(1))]);
}

#[tokio::test]
async fn a_version_that_another_tool_left_failed_is_named() {
    let (database, folder) = with_a_gap().await;
    folder.remove("3_t.sql");
    database.execute("UPDATE _sqlx_migrations SET success = false WHERE version = 4").await;
    let run = migrate(&database, &folder).await.expect_code(4);
    run.expect_stderr("`4_t.sql` is recorded as failed")
        .expect_stderr("UPDATE _sqlx_migrations SET success = true");
}

#[tokio::test]
async fn a_mismatch_comes_before_a_refusal() {
    let (database, folder) = with_a_gap().await;
    folder.remove("3_t.sql");
    folder.put("1_t.sql", "edited");
    folder.put("5_t.sql", "COPY t FROM STDIN");
    migrate(&database, &folder).await.expect_code(4);
}

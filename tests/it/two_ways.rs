//! Files that another tool reads as a way up and a way down: run whole, they undo themselves.

use crate::support::{Corveil, Database, Folder, Proxy, Server, Url};

const UP: &str = "CREATE TABLE users (id bigint PRIMARY KEY);";
const DOWN: &str = "DROP TABLE users;";

/// Each tool, with what it writes before the way up and before the way down, and the line that is named.
const TOOLS: [(&str, &str, &str, u8); 17] = [
    ("goose", "-- +goose Up", "-- +goose Down", 1),
    ("goose", "-- +goose up\n-- +goose StatementBegin", "-- +goose StatementEnd\n-- +goose down", 1),
    ("dbmate", "-- migrate:up", "-- migrate:down", 1),
    ("dbmate", "\n-- migrate:up transaction:false", "-- migrate:down transaction:false", 2),
    ("sql-migrate", "-- +migrate Up", "-- +migrate Down", 1),
    ("sql-migrate", "-- +migrate Up notransaction", "-- +migrate Down", 1),
    ("micrate", "-- +micrate Up", "-- +micrate Down", 1),
    ("mig", "-- +mig Up", "-- +mig Down", 1),
    ("rambler", "-- rambler up", "-- rambler down", 1),
    ("tern", "-- users", "---- create above / drop below ----", 3),
    ("node-pg-migrate", "-- Up Migration", "-- Down Migration", 1),
    ("MyBatis", "-- // users", "-- //@UNDO", 3),
    ("php-database-migration", "-- // users", "-- @UNDO", 3),
    ("Play", "-- !Ups", "-- !Downs", 1),
    ("Mojo::Pg", "-- 1 up", "-- 1 down", 1),
    ("shmig", "-- ====  UP  ====", "-- ==== DOWN ====", 1),
    ("Atlas", "-- atlas:txtar\n\n-- migration.sql --", "-- down.sql --", 1),
];

/// Every command that reads files, as far as it needs no more to end.
const COMMANDS: [&[&str]; 9] = [
    &["migrate"],
    &["migrate", "--dry-run"],
    &["migrate", "--adopt"],
    &["status"],
    &["verify"],
    &["verify", "--schema"],
    &["wait"],
    &["adopt", "--dry-run"],
    &["serve", "--listen", "127.0.0.1:0"],
];

fn both(up: &str, down: &str) -> Folder {
    Folder::new().file("0001_users.sql", format!("{up}\n{UP}\n{down}\n{DOWN}\n"))
}

fn run(command: &[&str], database: &Database, folder: &Folder) -> Corveil {
    Corveil::with(command[0], database, folder).args(&command[1..])
}

#[tokio::test]
async fn the_files_of_each_tool_are_refused_and_the_tool_and_line_are_named() {
    let database = Database::fresh().await;
    for (tool, up, down, line) in TOOLS {
        for command in [&["migrate"][..], &["status"], &["wait"]] {
            let run = run(command, &database, &both(up, down)).run().await.expect_code(2);
            run.expect_stderr(&format!("`0001_users.sql` line {line} is the mark `"))
                .expect_stderr(&format!("` of {tool}"))
                .expect_stderr("hint: put the way up alone into `0001_users.up.sql`");
        }
    }
    assert!(!database.is_touched().await);
}

#[tokio::test]
async fn every_command_that_reads_files_refuses_them() {
    let (database, folder) = (Database::fresh().await, both("-- +goose Up", "-- +goose Down"));
    folder.put("0002_keys.sql", "-- migrate:up\nCREATE TABLE keys ();");
    for command in COMMANDS {
        let run = run(command, &database, &folder).run().await.expect_code(2);
        run.expect_stderr("in 2 places")
            .expect_stderr(
                "`0001_users.sql` line 1 is the mark `-- +goose Up` of goose, and line 3 `-- +goose Down`",
            )
            .expect_stderr("`0002_keys.sql` line 1 is the mark `-- migrate:up` of dbmate");
    }
    let json = run(&["migrate", "--output", "json"], &database, &folder).run().await.expect_code(2).json();
    let finding = &json["error"]["findings"][0];
    assert_eq!((&finding["kind"], &finding["line"]), (&"two_ways".into(), &1.into()), "{json}");
    // A file that is not asked for yet is one of the set.
    folder.put("0001_users.sql", UP);
    run(&["migrate", "--target", "1"], &database, &folder).run().await.expect_code(2);
    assert!(!database.is_touched().await);

    // What reads no file is not concerned.
    run(&["wait", "--for", "db"], &database, &folder).run().await.expect_code(0);
}

/// A database that goose has migrated to version 1, with rows.
async fn live() -> Database {
    let database = Database::fresh().await;
    database
        .execute(&format!(
            "{UP} INSERT INTO users SELECT generate_series(1, 1000);
             CREATE TABLE goose_db_version (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, version_id bigint NOT NULL,
               is_applied boolean NOT NULL, tstamp timestamp DEFAULT now());
             INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true), (1, true)"
        ))
        .await;
    database
}

#[tokio::test]
async fn a_database_of_goose_keeps_its_rows_and_is_adopted_once_the_files_are_split() {
    let (database, folder) = (live().await, both("-- +goose Up", "-- +goose Down"));
    folder.put(
        "0002_seed.sql",
        "-- +goose Up\nINSERT INTO users VALUES (0);\n-- +goose Down\nDELETE FROM users;\n",
    );
    let commands = [
        &["adopt"][..],
        &["adopt", "--dry-run"],
        &["adopt", "--to", "1"],
        &["migrate", "--adopt=goose"],
        &["migrate"],
        &["status"],
        &["verify", "--schema"],
        &["wait"],
    ];
    for command in commands {
        let run = run(command, &database, &folder).run().await.expect_code(2);
        assert!(!format!("{run}").contains("DROP TABLE"), "{run}");
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM users").await, 1000);
    assert!(!database.is_touched().await);

    // As in the hint.
    for (name, up, down) in
        [("users", UP, DOWN), ("seed", "INSERT INTO users VALUES (0);", "DELETE FROM users;")]
    {
        let version = if name == "users" { 1 } else { 2 };
        folder.remove(&format!("000{version}_{name}.sql"));
        folder.put(&format!("000{version}_{name}.up.sql"), up);
        folder.put(&format!("000{version}_{name}.down.sql"), down);
    }
    let run = run(&["migrate", "--adopt=goose"], &database, &folder).run().await.expect_code(0);
    run.expect_stdout("recorded 1 migration, which was not run\napplied 1 migration ");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM users").await, 1001);
}

#[tokio::test]
async fn a_file_that_is_applied_as_it_is_blocks_no_command() {
    let database = Database::fresh().await;
    // One way, with a mark that was left from another tool.
    let folder = Folder::new().file("1_users.sql", format!("-- migrate:up\n{UP}"));
    run(&["migrate"], &database, &folder).run().await.expect_code(2);
    run(&["migrate", "--run-whole", "1"], &database, &folder).run().await.expect_code(0);

    folder.put("2_keys.sql", "CREATE TABLE keys ()");
    run(&["status"], &database, &folder).run().await.expect_code(1);
    run(&["migrate"], &database, &folder).run().await.expect_code(0).expect_stdout("applied 1 migration ");
    for command in
        [&["status"][..], &["verify"], &["verify", "--schema"], &["wait"], &["adopt"], &["migrate"]]
    {
        run(command, &database, &folder).run().await.expect_code(0);
    }
    // The next one is refused again.
    folder.put("3_more.sql", "-- migrate:up\nCREATE TABLE more ()");
    run(&["migrate"], &database, &folder).run().await.expect_code(2).expect_stderr("`3_more.sql` line 1 is");
    assert!(!database.has("more").await);

    // For a new database the variable sets it, for every command alike.
    let new = Database::fresh().await;
    for (command, code) in [(&["status"][..], 1), (&["verify"], 0), (&["migrate"], 0), (&["wait"], 0)] {
        run(command, &new, &folder).env("CORVEIL_RUN_WHOLE", "1,3").run().await.expect_code(code);
    }
    assert!(new.has("more").await);
    let unknown = run(&["status", "--run-whole", "1,7"], &new, &folder).run().await.expect_code(2);
    unknown.expect_stderr("`--run-whole 7` is not the version of a migration file");
}

#[tokio::test]
async fn what_the_way_up_of_a_recorded_file_made_is_not_offered_to_be_dropped() {
    let (database, folder) = (live().await, both("-- +goose Up", "-- +goose Down"));
    // As an older build adopted it.
    let to_one = ["adopt", "--run-whole", "1", "--accept"];
    let refused = run(&to_one[..3], &database, &folder).run().await.expect_code(4);
    let line = "- table-public.users-extra: table public.users exists but no migration creates it; `0001_users.sql` also has a \
                down migration of goose, which ran when the files were replayed but may not have run here\n";
    refused.expect_stderr(line);
    run(&to_one, &database, &folder).arg("table-public.users-extra").run().await.expect_code(0);

    let verified = run(&["verify", "--schema"], &database, &folder).run().await.expect_code(4);
    assert_eq!(verified.stdout, line);
    run(&["status"], &database, &folder).run().await.expect_code(0);
}

#[tokio::test]
async fn a_server_of_probes_ends_as_soon_as_the_database_shows_that_a_file_is_refused() {
    let (database, folder) = (Database::fresh().await, both("-- +goose Up", "-- +goose Down"));
    let proxy = Proxy::before(Server::shared().port());
    proxy.refuse(true);
    let serve = |url: &Url| {
        let serve = Corveil::new("serve").url(url).arg("--source").arg(folder.path());
        serve.args(["--listen", "127.0.0.1:0"]).spawn()
    };
    let serving = serve(&proxy.url(&database));
    serving.until_it_logs("not ready: ").await;
    proxy.refuse(false);
    serving.wait().await.expect_code(2).expect_stderr("error: `0001_users.sql` line 1 is the mark");

    // One that is applied is served.
    run(&["migrate", "--run-whole", "1"], &database, &folder).run().await.expect_code(0);
    let serving = serve(&database.url());
    serving.until_it_logs("ready: every migration of this build is applied").await;
    serving.signal("TERM").await;
    serving.wait().await.expect_code(0);
}

#[tokio::test]
async fn ordinary_comments_are_applied() {
    let (database, folder) = (Database::fresh().await, Folder::new());
    folder.put(
        "1_up.sql",
        "-- up\nCREATE TABLE a ();\n-- down\n-- see -- +goose Down\nCREATE TABLE b (); -- migrate:down\n",
    );
    folder.put(
        "2_text.sql",
        "CREATE TABLE c AS SELECT '\n-- +goose Down\n' AS a, $$\n-- migrate:down\n$$ AS b; /*\n-- @UNDO\n*/",
    );
    folder.put("3_more.up.sql", "-- Down migrations are in 3_more.down.sql\nALTER TABLE a ADD x int;");
    folder.put("3_more.down.sql", "-- Down Migration\nALTER TABLE a DROP x;");
    Corveil::migrate(&database, &folder).run().await.expect_code(0).expect_stdout("applied 3 migrations ");
}

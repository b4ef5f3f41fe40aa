//! `corveil adopt`: the baseline of a database that another tool migrated compares the schema, records the version and runs
//! no migration.

use serde_json::Value;

use crate::support::corveil::Outcome;
use crate::support::{Corveil, Database, Folder, schema};

/// The history of golang-migrate at a version.
fn golang_migrate(version: i64, dirty: bool) -> String {
    format!(
        "CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL);
         INSERT INTO schema_migrations VALUES ({version}, {dirty});"
    )
}

const USERS: &str = "CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL)";
const KEYS: &str = "CREATE TABLE keys (id int PRIMARY KEY, owner int REFERENCES users)";
const FILL: &str = "INSERT INTO users VALUES (0, 'system')";
const NAME: &str = "ALTER TABLE users ADD name text";

/// Two files that create tables, one that fills one of them, and one that alters it.
fn folder() -> Folder {
    Folder::new()
        .file("1_users.sql", USERS)
        .file("2_keys.sql", KEYS)
        .file("3_fill.sql", FILL)
        .file("4_name.sql", NAME)
}

/// A database at version 2, according to golang-migrate's history.
async fn at_two() -> Database {
    let database = Database::fresh().await;
    database.execute(&format!("{USERS}; {KEYS}; {}", golang_migrate(2, false))).await;
    database
}

fn adopt(database: &Database, folder: &Folder) -> Corveil {
    Corveil::with("adopt", database, folder)
}

/// The run ends with this code and these messages, and changes nothing in the database.
async fn expect_refused(database: &Database, run: Corveil, code: i32, messages: &[&str]) -> Outcome {
    let before = (schema::dump(database).await, rows(database).await);
    let mut outcome = run.run().await.expect_code(code);
    for part in messages {
        outcome = outcome.expect_stderr(part);
    }
    assert_eq!((schema::dump(database).await, rows(database).await), before, "{outcome}");
    assert!(database.is_unlocked().await, "{outcome}");
    outcome
}

/// Every row of every table.
async fn rows(database: &Database) -> Vec<String> {
    let sql = "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables
               WHERE schemaname !~ '^(pg_|information_schema)' ORDER BY 1";
    let tables: Vec<String> = database.values(sql).await;
    let mut rows = Vec::new();
    for table in tables {
        rows.extend(
            database.values::<String>(&format!("SELECT '{table} ' || t FROM {table} t ORDER BY 1")).await,
        );
    }
    rows
}

#[tokio::test]
async fn what_another_tool_applied_is_recorded_and_the_rest_is_for_migrate() {
    let (database, folder) = (at_two().await, folder());
    let theirs = "SELECT row(version, dirty, xmin)::text FROM schema_migrations";
    let before: String = database.value(theirs).await;

    let run = adopt(&database, &folder).run().await.expect_code(0);
    run.expect_stdout("recorded 2 migrations, none of which was run: the schema is at version 2\n")
        .expect_stderr("table public.schema_migrations, the migration history of golang-migrate, is at `2`")
        .expect_stderr("which is `2_keys.sql` here");
    assert_eq!(database.applied().await, [1, 2]);
    assert_eq!(database.value::<String>(theirs).await, before);

    Corveil::migrate(&database, &folder).run().await.expect_code(0).expect_stdout("applied 2 migrations ");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM users").await, 1);
    for command in ["migrate", "status", "verify", "wait"] {
        Corveil::with(command, &database, &folder).run().await.expect_code(0);
    }
    let runs = "SELECT concat_ws(' ', outcome, exit_code, from_version, to_version, ended_at >= started_at)
                FROM _corveil_runs ORDER BY id";
    assert_eq!(database.values::<String>(runs).await, ["succeeded 0 2 t", "succeeded 0 2 4 t"]);
    assert_eq!(database.value::<String>(theirs).await, before);
}

#[tokio::test]
async fn a_dry_run_prints_what_it_would_record_and_neither_writes_nor_waits_for_the_lock() {
    let (database, folder) = (at_two().await, folder());
    let mut other = database.connect().await;
    sqlx::migrate::Migrate::lock(&mut other).await.unwrap();
    let (before, all) = (schema::dump(&database).await, rows(&database).await);

    let run = adopt(&database, &folder).args(["--dry-run", "--lock-wait", "0s"]).run().await.expect_code(0);
    assert_eq!(run.stdout, "would record 1_users.sql\nwould record 2_keys.sql\n");
    assert_eq!((schema::dump(&database).await, rows(&database).await), (before, all));
    sqlx::migrate::Migrate::unlock(&mut other).await.unwrap();
}

#[tokio::test]
async fn an_empty_database_has_nothing_to_adopt() {
    let (database, folder) = (Database::fresh().await, folder());
    for arguments in [&[][..], &["--to", "2"], &["--dry-run"]] {
        let run = adopt(&database, &folder).args(arguments);
        expect_refused(&database, run, 2, &["the database is empty", "hint: `corveil migrate`"]).await;
    }
    // The history of a tool that has applied nothing.
    database.execute(&golang_migrate(2, false)).await;
    let messages = ["public.schema_migrations of golang-migrate and nothing else", "right database"];
    expect_refused(&database, adopt(&database, &folder), 4, &messages).await;
}

#[tokio::test]
async fn corveils_history_is_enough_or_contradicts() {
    let (database, folder) = (at_two().await, folder());
    adopt(&database, &folder).run().await.expect_code(0);
    for arguments in [&[][..], &["--to", "2"], &["--to", "1"], &["--from", "golang-migrate"], &["--dry-run"]]
    {
        let run = adopt(&database, &folder).args(arguments).run().await.expect_code(0);
        run.expect_stdout(
            "nothing to adopt: the database already has a migration history, and is at version 2\n",
        );
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM _corveil_runs").await, 1);

    let run = adopt(&database, &folder).args(["--to", "3"]);
    expect_refused(
        &database,
        run,
        4,
        &["`3_fill.sql` cannot be baselined", "the newest version there is 2", "corveil migrate"],
    )
    .await;
    folder.put("1_users.sql", "CREATE TABLE edited ()");
    expect_refused(&database, adopt(&database, &folder), 4, &["`1_users.sql` was edited"]).await;
}

#[tokio::test]
async fn wrong_arguments_are_refused_before_anything_is_compared() {
    let (database, folder) = (at_two().await, folder());
    for (arguments, message) in [
        (["--to", "7"], "no migration file has the requested version 7"),
        (["--from", "goose"], "there is no migration history of goose in this database"),
        (
            ["--accept", "nothing"],
            "`--accept nothing` is not the ID of a difference between the schema and version 2",
        ),
        (["--from", "make"], "[possible values: auto, golang-migrate, goose"),
    ] {
        expect_refused(&database, adopt(&database, &folder).args(arguments), 2, &[message]).await;
    }
}

#[tokio::test]
async fn what_a_tool_left_half_done_is_refused_with_the_reason() {
    let (database, folder) = (Database::fresh().await, folder());
    database.execute(&format!("{USERS}; {KEYS}; {}", golang_migrate(2, true))).await;
    // `--to` does not help either.
    for arguments in [&[][..], &["--to", "2"], &["--dry-run"]] {
        let run = adopt(&database, &folder).args(arguments);
        expect_refused(&database, run, 4, &["version 2 is marked dirty", "hint: "]).await;
    }
}

#[tokio::test]
async fn of_several_histories_one_has_to_be_named() {
    let (database, folder) = (at_two().await, folder());
    database
        .execute(
            "CREATE TABLE goose_db_version (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, version_id bigint NOT NULL,
               is_applied boolean NOT NULL, tstamp timestamp NOT NULL DEFAULT now());
             INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true), (1, true)",
        )
        .await;
    let messages =
        ["public.goose_db_version of goose", "public.schema_migrations of golang-migrate", "`--from goose`"];
    expect_refused(&database, adopt(&database, &folder), 2, &messages).await;
    // The wrong one does not count.
    let run = adopt(&database, &folder).args(["--from", "goose"]);
    expect_refused(
        &database,
        run,
        4,
        &["differs from what the migrations up to `1_users.sql` create", "public.keys"],
    )
    .await;

    let run = adopt(&database, &folder).args(["--from", "golang-migrate"]).run().await.expect_code(0);
    run.expect_stdout("the schema is at version 2");
    assert_eq!(database.applied().await, [1, 2]);
}

/// The history of Corveil 1.0.0, whose columns differ between its releases.
const UNKNOWN: &str =
    "CREATE TABLE schema_migrations (name text PRIMARY KEY, applied_at timestamptz DEFAULT now());
                       INSERT INTO schema_migrations VALUES ('initial'), ('keys');";

#[tokio::test]
async fn without_versions_the_only_matching_schema_decides() {
    for (history, why) in [
        ("", "the database has no history of a known tool"),
        (UNKNOWN, "table public.schema_migrations, the migration history of an app that migrates itself"),
    ] {
        let (database, folder) = (Database::fresh().await, folder());
        database.execute(&format!("{USERS}; {history}")).await;
        let run = adopt(&database, &folder).run().await.expect_code(0);
        run.expect_stderr(why).expect_stderr("the schema matches `1_users.sql` and no other version");
        assert_eq!(database.applied().await, [1]);
        Corveil::migrate(&database, &folder)
            .run()
            .await
            .expect_code(0)
            .expect_stdout("applied 3 migrations ");
    }
}

#[tokio::test]
async fn a_history_whose_numbers_mean_other_migrations_is_not_trusted() {
    let (database, folder) = (Database::fresh().await, folder());
    database.execute(&format!("{USERS}; {}", golang_migrate(4, false))).await;
    let messages = [
        "differs from what the migrations up to `4_name.sql` create: 2 differences",
        "the schema matches `1_users.sql` and no other version",
        "--to 1`",
    ];
    expect_refused(&database, adopt(&database, &folder), 4, &messages).await;
    adopt(&database, &folder).args(["--to", "1"]).run().await.expect_code(0);
    assert_eq!(database.applied().await, [1]);
}

#[tokio::test]
async fn versions_that_only_change_data_are_ambiguous() {
    let (database, folder) = (Database::fresh().await, folder());
    database.execute(&format!("{USERS}; {KEYS}; {UNKNOWN}")).await;
    let messages = ["2 versions (`2_keys.sql`, `3_fill.sql`)", "`migrate.adopt.to`: 3 if"];
    expect_refused(&database, adopt(&database, &folder), 2, &messages).await;

    adopt(&database, &folder).args(["--to", "3"]).run().await.expect_code(0);
    assert_eq!(database.applied().await, [1, 2, 3]);
    Corveil::migrate(&database, &folder).run().await.expect_code(0).expect_stdout("applied 1 migration ");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM users").await, 0);
}

#[tokio::test]
async fn for_a_schema_that_matches_no_version_the_nearest_is_shown() {
    let (database, folder) = (Database::fresh().await, folder());
    database.execute(&format!("{USERS}; {KEYS}; {NAME}; ALTER TABLE keys ADD hash text; {UNKNOWN}")).await;
    let messages = ["differs from what the migrations up to `4_name.sql` create", "hash", "--to 4 --accept"];
    expect_refused(&database, adopt(&database, &folder), 4, &messages).await;

    // Its only table differs, but still counts as an object that the migrations create.
    let renamed = Database::fresh().await;
    renamed.execute(&format!("{USERS}; ALTER TABLE users RENAME email TO mail")).await;
    expect_refused(&renamed, adopt(&renamed, &folder), 4, &["up to `1_users.sql` create", "mail"]).await;

    // Something else altogether.
    let other = Database::fresh().await;
    other.execute("CREATE TABLE something (id int)").await;
    expect_refused(
        &other,
        adopt(&other, &folder),
        4,
        &["no object that these migrations create", "right database"],
    )
    .await;
}

/// Four versions of 14 digits and, as text between the first two of them, one of 18.
const AS_TEXT: [(&str, &str); 5] = [
    ("20230101000000_a.sql", "CREATE TABLE a (id int)"),
    ("202301020000001234_b.sql", "CREATE TABLE b (id int); ALTER TABLE a ADD b int"),
    ("20230201000000_c.sql", "CREATE TABLE c (id int)"),
    ("20230301000000_d.sql", "CREATE TABLE d (id int)"),
    ("20230401000000_e.sql", "CREATE TABLE e (id int)"),
];

#[tokio::test]
async fn sql_drops_nothing_that_a_tool_applied_earlier_because_it_compares_versions_as_text() {
    let folder = AS_TEXT.iter().fold(Folder::new(), |folder, (name, sql)| folder.file(name, sql));
    let prisma = "CREATE TABLE _prisma_migrations (id text, checksum text, finished_at timestamptz, migration_name text,
        logs text, rolled_back_at timestamptz, started_at timestamptz, applied_steps_count int);";
    let diesel = "CREATE TABLE __diesel_schema_migrations (version varchar(50) PRIMARY KEY, run_on timestamp DEFAULT now());";
    for tool in ["prisma", "diesel"] {
        let database = Database::fresh().await;
        database.execute(if tool == "prisma" { prisma } else { diesel }).await;
        for (name, sql) in &AS_TEXT[..2] {
            database.execute(sql).await;
            let (version, stem) = (name.split_once('_').unwrap().0, name.trim_end_matches(".sql"));
            database
                .execute(&if tool == "prisma" {
                    format!("INSERT INTO _prisma_migrations (migration_name, finished_at) VALUES ('{stem}', now())")
                } else {
                    format!("INSERT INTO __diesel_schema_migrations VALUES ('{version}')")
                })
                .await;
        }
        let made = "`202301020000001234_b.sql` is a later file that makes this change";
        for arguments in [&[][..], &["--to", "20230101000000"]] {
            let run = adopt(&database, &folder).args(arguments);
            let messages = [
                "table-public.b-extra: table public.b exists but no migration creates it; ",
                "column-public.a.b-extra: column public.a.b exists but no migration creates it; ",
                made,
                "hint: ",
                "if `202301020000001234_b.sql` was applied before files that sort before it here, rename it",
            ];
            let outcome = expect_refused(&database, run, 4, &messages).await;
            assert!(!outcome.stderr.contains("DROP"), "{outcome}");
        }
        let json = adopt(&database, &folder).args(["--output", "json"]).run().await.expect_code(4).json();
        let differences = json["error"]["differences"].as_array().unwrap();
        assert!(
            differences.iter().all(|one| one["created_by"] == "202301020000001234_b.sql" && one["sql"] == ""),
            "{json}"
        );
    }
    // An object that no migration creates is still extra.
    let database = Database::fresh().await;
    database.execute("CREATE TABLE a (id int); CREATE TABLE x (id int)").await;
    let run = adopt(&database, &folder).args(["--to", "20230101000000"]);
    expect_refused(&database, run, 4, &["DROP TABLE public.x;"]).await;
}

#[tokio::test]
async fn sql_drops_nothing_where_later_files_cannot_be_replayed() {
    let (database, folder) = (Database::fresh().await, Folder::new().file("1_a.sql", "CREATE TABLE a ()"));
    folder.put("2_fails.sql", "SELECT 1/0");
    database.execute("CREATE TABLE a (); CREATE TABLE x ()").await;
    let run = adopt(&database, &folder).args(["--to", "1"]);
    let messages = [
        "table-public.x-extra",
        "a later file may create it, but that is unknown: `2_fails.sql` cannot be replayed",
    ];
    let outcome = expect_refused(&database, run, 4, &messages).await;
    assert!(!outcome.stderr.contains("DROP"), "{outcome}");
}

/// A database with all kinds of objects, and changes by hand.
const EVERYTHING: &str = "
    CREATE TYPE mood AS ENUM ('good', 'bad');
    CREATE SEQUENCE numbers INCREMENT 2;
    CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TABLE t (id int PRIMARY KEY, m mood DEFAULT 'bad', n text NOT NULL CONSTRAINT n_check CHECK (n <> ''), gone int);
    CREATE TABLE u (id int);
    CREATE INDEX t_n ON t (n);
    CREATE VIEW v AS SELECT id FROM t;
    CREATE TRIGGER touch BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch();";

const CHANGES: [(&str, &str); 14] = [
    ("a table that is missing", "DROP TABLE u"),
    ("a table that is there", "CREATE TABLE extra (id int)"),
    ("a column that is missing", "ALTER TABLE t DROP gone"),
    ("a column that is there", "ALTER TABLE t ADD extra int"),
    ("a type", "ALTER TABLE u ALTER id TYPE bigint"),
    ("a default", "ALTER TABLE t ALTER m SET DEFAULT 'good'"),
    ("NOT NULL", "ALTER TABLE t ALTER n DROP NOT NULL"),
    ("a constraint", "ALTER TABLE t DROP CONSTRAINT n_check"),
    ("an index", "DROP INDEX t_n"),
    ("an enum", "ALTER TYPE mood ADD VALUE 'odd'"),
    ("a sequence", "ALTER SEQUENCE numbers INCREMENT 3"),
    ("a function", "CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 2'"),
    ("a view", "CREATE OR REPLACE VIEW v AS SELECT id FROM t WHERE id > 0"),
    ("a trigger", "DROP TRIGGER touch ON t"),
];

/// The IDs of the differences that a failed run with `--output json` reports.
fn ids(outcome: &Outcome) -> Vec<String> {
    let json = outcome.json();
    let differences = json["error"]["differences"].as_array().unwrap_or_else(|| panic!("none: {outcome}"));
    differences.iter().map(|difference| text(&difference["id"])).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

#[tokio::test]
async fn each_kind_of_difference_is_reported_refused_and_can_be_accepted() {
    let folder =
        Folder::new().file("1_everything.sql", EVERYTHING).file("2_next.sql", "CREATE TABLE next ()");
    for (what, change) in CHANGES {
        let database = Database::fresh().await;
        database.execute(EVERYTHING).await;
        database.execute(change).await;
        let to_one = || adopt(&database, &folder).args(["--to", "1", "--output", "json"]);
        let outcome = expect_refused(
            &database,
            to_one(),
            4,
            &["differs from what the migrations up to `1_everything.sql` create"],
        )
        .await;
        let ids = ids(&outcome);
        assert_eq!(ids.len(), 1, "{what}: {outcome}");
        // One line has all of it, or begins with it.
        let sql = text(&outcome.json()["error"]["differences"][0]["sql"]);
        let mut lines = outcome.stderr.lines().filter(|line| line.starts_with("- "));
        let line = lines.next().unwrap_or_default();
        let first = sql.lines().next().unwrap_or_default();
        assert!(line.starts_with(&format!("- {}: ", ids[0])) && line.ends_with(first), "{what}: {outcome}");
        assert_eq!(lines.next(), None, "{what}");

        let run = to_one().args(["--accept", &ids[0]]).run().await.expect_code(0);
        assert_eq!(text(&run.json()["accepted"][0]["id"]), ids[0], "{what}");
        assert_eq!(database.applied().await, [1], "{what}");
        Corveil::migrate(&database, &folder).run().await.expect_code(0).expect_stdout("applied 1 migration ");
    }
}

#[tokio::test]
async fn every_difference_has_to_be_accepted() {
    let folder = Folder::new().file("1_everything.sql", EVERYTHING);
    let database = Database::fresh().await;
    database.execute(EVERYTHING).await;
    for (_, change) in CHANGES.iter().rev() {
        database.execute(change).await;
    }
    let to_one = || adopt(&database, &folder).args(["--to", "1", "--output", "json"]);
    let all = ids(&expect_refused(&database, to_one(), 4, &[]).await);
    // With its table the type of a column is gone.
    assert_eq!(all.len(), CHANGES.len() - 1, "{all:?}");

    let but_one = to_one().args(["--accept", &all[1..].join(",")]);
    assert_eq!(ids(&expect_refused(&database, but_one, 4, &[&all[0]]).await), all[..1]);
    let unknown = to_one().args(["--accept", "nothing"]);
    expect_refused(&database, unknown, 2, &[&format!("the differences are {}", all.join(", "))]).await;
    // The variable has the same effect, also in a dry run.
    to_one().arg("--dry-run").env("CORVEIL_ACCEPT", all.join(",")).run().await.expect_code(0);
    let run = all.iter().fold(to_one(), |run, id| run.args(["--accept", id]));
    run.run().await.expect_code(0);
    assert_eq!(database.applied().await, [1]);
}

#[tokio::test]
async fn the_sql_of_each_difference_fixes_it() {
    let folder = Folder::new().file("1_everything.sql", EVERYTHING);
    for (what, change) in CHANGES.into_iter().filter(|(what, _)| *what != "an enum") {
        let database = Database::fresh().await;
        database.execute(EVERYTHING).await;
        database.execute(change).await;
        let run =
            adopt(&database, &folder).args(["--to", "1", "--output", "json"]).run().await.expect_code(4);
        let sql = text(&run.json()["error"]["differences"][0]["sql"]);
        database.execute(&sql).await;
        adopt(&database, &folder).args(["--to", "1"]).run().await.expect_code(0);
        assert_eq!(database.applied().await, [1], "{what}: {sql}");
    }
}

#[tokio::test]
async fn what_does_not_matter_is_no_difference() {
    let (database, folder) = (Database::fresh().await, folder());
    // Another order of columns, constraints of other names, comments, grants, rows, and what the gate and others keep.
    database
        .execute(&format!(
            "CREATE TABLE users (email text NOT NULL, id int, PRIMARY KEY (id));
             CREATE TABLE keys (id int PRIMARY KEY, owner int);
             ALTER TABLE keys ADD CONSTRAINT keys_owner_fkey1 FOREIGN KEY (owner) REFERENCES users;
             COMMENT ON TABLE users IS 'people'; GRANT SELECT ON users TO PUBLIC; INSERT INTO users VALUES ('a', 1);
             CREATE TABLE _corveil_notes (); CREATE TABLE alembic_version (version_num text); {}",
            golang_migrate(2, false)
        ))
        .await;
    adopt(&database, &folder).args(["--from", "golang-migrate"]).run().await.expect_code(0);
    assert_eq!(database.applied().await, [1, 2]);
}

#[tokio::test]
async fn the_answer_for_programs_is_stable() {
    let (database, folder) = (at_two().await, folder());
    let run = || adopt(&database, &folder).args(["--output", "json"]);
    for (arguments, outcome) in [(&["--dry-run"][..], "would_adopt"), (&[], "adopted")] {
        let json = run().args(arguments).run().await.expect_code(0).json();
        assert_eq!(json["outcome"], outcome);
        assert_eq!((&json["version"], &json["exit_code"]), (&2.into(), &0.into()));
        assert_eq!(
            json["histories"],
            serde_json::json!([
                {"tool": "golang-migrate", "table": "public.schema_migrations"}
            ])
        );
        assert_eq!(
            json["recorded"],
            serde_json::json!([
                {"version": 1, "description": "users", "file": "1_users.sql"},
                {"version": 2, "description": "keys", "file": "2_keys.sql"},
            ])
        );
        assert_eq!(json["accepted"], serde_json::json!([]));
        assert!(json["how"].is_string() && json["duration_ms"].is_number(), "{json}");
    }
    let json = run().run().await.expect_code(0).json();
    assert_eq!((&json["outcome"], &json["version"]), (&"current".into(), &2.into()));

    let (other, folder) = (at_two().await, folder);
    other.execute("ALTER TABLE keys ADD hash text").await;
    let run = adopt(&other, &folder).args(["--output", "json"]).run().await.expect_code(4);
    let json = run.json();
    assert_eq!((&json["outcome"], &json["exit_code"]), (&"failed".into(), &4.into()));
    assert_eq!(json["error"]["kind"], "differs");
    for key in ["id", "object", "message", "sql"] {
        assert!(json["error"]["differences"][0][key].is_string(), "{json}");
    }
    // Kubernetes shows the same.
    assert_eq!(run.termination_json()["error"]["differences"], json["error"]["differences"]);
}

#[tokio::test]
async fn the_embedded_migrations_need_no_scratch_database() {
    let database = Database::fresh().await;
    let files = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut names: Vec<_> = std::fs::read_dir(&files).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|ending| ending == "sql"));
    names.sort();
    for file in &names[..6] {
        database.execute(&std::fs::read_to_string(file).unwrap()).await;
    }
    database.execute(UNKNOWN).await;
    // Only the rights of the schema's owner.
    let owner = database.create_role("NOCREATEDB").await;
    database
        .execute(&format!(
            "ALTER SCHEMA public OWNER TO {owner}; GRANT SELECT ON schema_migrations TO {owner}"
        ))
        .await;
    let as_owner = |command| Corveil::new(command).url(&database.url_as(&owner));

    let run = as_owner("adopt").run().await.expect_code(0);
    run.expect_stderr("the schema matches `0006_add_api_keys_name.sql` and no other version");
    assert_eq!(database.applied().await, [1, 2, 3, 4, 5, 6]);
    as_owner("status").run().await.expect_code(1);
}

#[tokio::test]
async fn files_that_a_new_database_would_refuse_are_listed_before_they_are_recorded() {
    let folder = Folder::new()
        .file("1_users.sql", USERS)
        .file("2_index.sql", "CREATE INDEX CONCURRENTLY users_email ON users (email)")
        .file("3_keys.sql", KEYS);
    for (arguments, code) in [(&["--dry-run"][..], 0), (&[], 0)] {
        let database = Database::fresh().await;
        let made = format!(
            "{USERS}; CREATE INDEX users_email ON users (email); {KEYS}; {}",
            golang_migrate(3, false)
        );
        database.execute(&made).await;
        let run = adopt(&database, &folder).args(arguments).run().await.expect_code(code);
        let run = run
            .expect_stderr("`corveil migrate` refuses one of these files")
            .expect_stderr("- `2_index.sql` line 1 ")
            .expect_stderr("hint: leave the file as it is")
            .expect_stderr("`corveil migrate --no-transaction 2`");
        assert_eq!(database.has("_sqlx_migrations").await, arguments.is_empty(), "{run}");
        let json = adopt(&database, &folder)
            .args(arguments)
            .args(["--output", "json"])
            .run()
            .await
            .expect_code(0)
            .json();
        let refused = json["refused"].as_array().unwrap().len();
        assert_eq!(refused, arguments.len(), "what is recorded already is not reported again: {json}");
    }
    // That is the way.
    let empty = Database::fresh().await;
    Corveil::migrate(&empty, &folder).run().await.expect_code(2);
    Corveil::migrate(&empty, &folder).args(["--no-transaction", "2"]).run().await.expect_code(0);
}

#[tokio::test]
async fn partitions_that_the_app_creates_do_not_prevent_a_baseline() {
    let folder = folder();
    for lead in [golang_migrate(2, false), String::new()] {
        let database = Database::fresh().await;
        database
            .execute(&format!("{USERS}; {KEYS}; CREATE SCHEMA tenant_1; CREATE TABLE tenant_1.t (); {lead}"))
            .await;
        adopt(&database, &folder).args(["--to", "2"]).run().await.expect_code(4);
        let ignoring = || adopt(&database, &folder).args(["--to", "2", "--ignore", "tenant_*"]);
        ignoring()
            .arg("--dry-run")
            .run()
            .await
            .expect_code(0)
            .expect_stderr("2 objects that `--ignore` names");
        ignoring().run().await.expect_code(0);
        assert_eq!(database.applied().await, [1, 2]);
    }
}

#[tokio::test]
async fn a_long_comparison_reports_its_progress() {
    let folder = Folder::new()
        .file("1_users.sql", USERS)
        .file("2_slow.sql", "SELECT pg_sleep(5.1)")
        .file("3_keys.sql", KEYS)
        .file("4_name.sql", NAME);
    let database = Database::fresh().await;
    database.execute(&format!("{USERS}; {KEYS}")).await;
    let run = adopt(&database, &folder).arg("--dry-run").run().await.expect_code(0);
    run.expect_stderr("compared 2 of 4 versions, up to `2_slow.sql`");
    let run = adopt(&database, &folder).args(["--dry-run", "--to", "3"]).run().await.expect_code(0);
    run.expect_stderr("replayed 2 of 3 files, up to `2_slow.sql`");
}

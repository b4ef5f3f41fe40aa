//! No secret and no control character of others is printed or stored, whatever repeats it.

use sqlx::migrate::Migrate;
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::support::corveil::Outcome;
use crate::support::{Corveil, Database, Folder};

/// The password of every form. It has a digit and capitals, so that no message contains it by chance.
const SECRET: &str = "s3cr3T-W0rd";

/// Each form in which a password is written down.
const FORMS: [&str; 13] = [
    "postgres://u:s3cr3T-W0rd@h/d",
    "postgresql://:s3cr3T-W0rd@h:5432/d?sslmode=require",
    "postgres://u@h/d?password=s3cr3T-W0rd&sslmode=require",
    "jdbc:postgresql://h/d?user=u&password=s3cr3T-W0rd",
    "postgresql+psycopg://u:s3cr3T-W0rd@h/d",
    "mysql://u:s3cr3T-W0rd@h/d",
    "postgres://u:p/s3cr3T-W0rd@h/d",
    "postgres://u:p'\" s3cr3T-W0rd @h/d",
    "postgres%3A%2F%2Fu%3As3cr3T-W0rd%40h%2Fd",
    "host=h user=u password=s3cr3T-W0rd dbname=d",
    "host=h user=u password='a s3cr3T-W0rd'",
    "password=s3cr3T-W0rd",
    "postgres://u:a,s3cr3T-W0rd@h/d",
];

#[track_caller]
fn shows_no_secret(outcome: &Outcome, of: &str) {
    for text in [&outcome.stdout, &outcome.stderr, &outcome.termination_log] {
        // Nor a part of it.
        assert!(!text.contains("s3cr3T") && !text.contains("W0rd"), "{of}: {outcome}");
    }
}

#[tokio::test]
async fn a_password_in_the_wrong_argument_is_not_repeated() {
    for form in FORMS {
        for arguments in [
            vec![form],
            vec!["migrate", form],
            vec!["migrate", "--", form],
            vec!["migrate", "--target", form],
            vec!["migrate", "--source", form],
            vec!["migrate", "--lock-wait", form],
            vec!["migrate", "--lock-timeout", form],
            vec!["migrate", "--out-of-order", form],
            vec!["adopt", "--accept", form],
            vec!["adopt", "--from", form],
            vec!["wait", "--for", form],
            vec!["serve", "--listen", form],
            vec!["status", "--log-format", form],
            vec!["verify", "--scratch-url", form, "--schema"],
        ] {
            let run = Corveil::new(arguments[0]).args(&arguments[1..]).env("CORVEIL_WAIT_FOR_DB", "0s");
            let run = run.env("DATABASE_URL", "postgres://u@127.0.0.1:1/d").run().await;
            assert_ne!(run.code, Some(0), "{arguments:?}: {run}");
            shows_no_secret(&run, &format!("{arguments:?}"));
        }
        let flag = format!("--{form}");
        shows_no_secret(&Corveil::new("migrate").arg(&flag).run().await.expect_code(2), &flag);
    }
}

#[tokio::test]
async fn a_password_in_the_wrong_variable_is_not_repeated() {
    let help = Corveil::new("migrate").arg("--help").run().await.expect_code(0).stdout;
    let mut variables: Vec<_> = help
        .split(|c: char| !(c.is_ascii_uppercase() || c == '_'))
        .filter(|word| word.starts_with("CORVEIL_"))
        .collect();
    variables.extend(["DATABASE_URL", "MIGRATE_DATABASE_URL", "CORVEIL_SCRATCH_URL", "CORVEIL_LISTEN"]);
    assert!(variables.len() > 20, "{variables:?}");
    for variable in variables {
        for form in [FORMS[0], FORMS[7]] {
            for subcommand in ["migrate", "adopt", "verify", "wait", "serve"] {
                let run = Corveil::new(subcommand).env("DATABASE_URL", "postgres://u@127.0.0.1:1/d");
                let run = run.env("CORVEIL_WAIT_FOR_DB", "0s").env("CORVEIL_TIMEOUT", "10ms");
                let mut run = run.env("CORVEIL_LISTEN", "no address").env(variable, form);
                if variable == "CORVEIL_LISTEN" {
                    run = run.env("CORVEIL_LOG_FORMAT", "json");
                }
                shows_no_secret(&run.run().await, &format!("{subcommand} {variable} {form}"));
            }
            let run = Corveil::new("migrate").arg("--help").env(variable, form).run().await.expect_code(0);
            shows_no_secret(&run, &format!("--help with {variable}"));
        }
    }
}

/// Statements that set a secret and fail, in every way in which the server reports it.
const FAILING: [&str; 22] = [
    "CREATE ROLE postgres LOGIN PASSWORD 's3cr3T-W0rd'",
    "ALTER USER no_such_user ENCRYPTED PASSWORD $$s3cr3T-W0rd$$",
    "CREATE ROLE x PASSWORD 's3cr3T-W0rd' 'again'",
    "CREATE ROLE x PASSWORD 1, 's3cr3T-W0rd'",
    "CREATE ROLE x PASWORD 's3cr3T-W0rd'",
    "CREATE ROLE x 's3cr3T-W0rd'",
    "CREATE ROLE x PASSWORD \"s3cr3T-W0rd\"",
    "CREATE ROLE x\n  PASSWORD\n  E's3cr3T-W0rd' oops",
    "DO $$ BEGIN CREATE ROLE postgres PASSWORD 's3cr3T-W0rd'; END $$",
    "DO $$ BEGIN EXECUTE 'CREATE ROLE postgres PASSWORD ''s3cr3T-W0rd'''; END $$",
    "DO $$ BEGIN EXECUTE 'CREATE ROLE postgres PASSWORD ' || quote_literal('s3cr3T-W0rd'); END $$",
    "DO $$ BEGIN EXECUTE format('CREATE ROLE postgres PASSWORD %L', 's3cr3T-W0rd'); END $$",
    "DO $$ DECLARE x text := 's3cr3T-W0rd'; BEGIN EXECUTE format('CREATE ROLE x PASSWORD %s', x); END $$",
    "DO $$ DECLARE pw text := 's3cr3T-W0rd'; BEGIN RAISE WARNING 'it is %', pw; RAISE 'it is %', pw \
     USING DETAIL = pw, HINT = pw; END $$",
    "CREATE USER MAPPING FOR postgres SERVER no_such_server OPTIONS (user 'u', password 's3cr3T-W0rd')",
    "CREATE USER MAPPING FOR postgres SERVER no_such_server OPTIONS (credential_of_ours 's3cr3T-W0rd')",
    "CREATE SERVER s FOREIGN DATA WRAPPER no_such_wrapper OPTIONS (host 'h', api_key 's3cr3T-W0rd')",
    "SELECT dblink_connect('host=h user=u password=s3cr3T-W0rd')",
    "SELECT set_config('app.jwt_secret', 's3cr3T-W0rd', true), 1/0",
    "SET app.no.such.token_ = 's3cr3T-W0rd'; SELECT 1/0",
    "CREATE TABLE users (name text, password text CHECK (password = '')); \
     INSERT INTO users (name, password) VALUES ('a', 's3cr3T-W0rd')",
    "CREATE TABLE t (token text PRIMARY KEY); INSERT INTO t (token) VALUES ('s3cr3T-W0rd'), ('s3cr3T-W0rd')",
];

#[tokio::test]
async fn a_failing_statement_shows_no_secret_that_it_sets() {
    let database = Database::fresh().await;
    for sql in FAILING {
        for (directive, format) in
            [("", &["--log-format", "json", "--output", "json"][..]), ("-- no-transaction\n", &[])]
        {
            database.clear().await;
            let folder = Folder::new().file("1_a.sql", format!("{directive}{sql};\n"));
            let run = Corveil::migrate(&database, &folder).args(["--log-level", "debug"]).args(format);
            let run = run.run().await.expect_code(3);
            shows_no_secret(&run, sql);
            assert!(!run.termination_log.is_empty(), "{run}");
            for table in ["_corveil_runs", "_corveil_statements"] {
                let stored = format!("SELECT count(*) FROM {table} r WHERE r::text ~ 'W0rd'");
                assert_eq!(database.value::<i64>(&stored).await, 0, "{table}: {sql}");
            }
            let run = Corveil::with("status", &database, &folder).args(format).run().await.expect_code(1);
            shows_no_secret(&run, sql);
        }
    }
}

#[tokio::test]
async fn a_statement_that_is_refused_shows_no_secret_that_it_sets() {
    let database = Database::fresh().await;
    for sql in [
        "ALTER SYSTEM SET primary_conninfo = 'host=h password=s3cr3T-W0rd'",
        "CREATE SUBSCRIPTION s CONNECTION 'host=/nowhere password=s3cr3T-W0rd' PUBLICATION p",
        "COMMIT; CREATE ROLE x PASSWORD 's3cr3T-W0rd'",
        "CREATE ROLE x PASSWORD 's3cr3T-W0rd",
        "-- corveil:lock-timeout postgres://u:s3cr3T-W0rd@h/d\nSELECT 1",
    ] {
        let folder = Folder::new().file("1_a.sql", sql);
        let run = Corveil::migrate(&database, &folder).run().await;
        assert!(matches!(run.code, Some(2 | 3)), "{run}");
        shows_no_secret(&run, sql);
    }
    // Roles are the whole server's, so such a file is tried on none that is in use.
    let folder = Folder::new().file("1_a.sql", "DROP ROLE IF EXISTS no_such_role; CREATE TABLE t ()");
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    let beyond =
        Folder::new().file("1_a.sql", "ALTER ROLE postgres PASSWORD 's3cr3T-W0rd'; CREATE TABLE t ()");
    let run = Corveil::with("verify", &database, &beyond).arg("--schema").run().await;
    shows_no_secret(&run, "verify --schema");
    let run = Corveil::new("adopt").url(&database.url()).arg("--source").arg(beyond.path()).run().await;
    shows_no_secret(&run, "adopt");
}

#[tokio::test]
async fn a_url_in_the_variable_of_the_host_s_name_is_not_stored() {
    let (database, folder) = (Database::fresh().await, Folder::new().file("1_a.sql", "SELECT 1"));
    let run = Corveil::migrate(&database, &folder).env("HOSTNAME", FORMS[0]).run().await.expect_code(0);
    shows_no_secret(&run, "HOSTNAME");
    assert_eq!(database.values::<String>("SELECT host FROM _corveil_runs").await, ["postgres://u:***@h/d"]);
}

#[tokio::test]
async fn a_failure_of_a_statement_that_sets_no_secret_shows_everything() {
    let database = Database::fresh().await;
    let folder = Folder::new().file(
        "1_a.sql",
        "CREATE TABLE users (name text CHECK (name IN ('root', 'admin')), password text, token text);\n\
         INSERT INTO users (name) VALUES ('nobody');",
    );
    let run = Corveil::migrate(&database, &folder).run().await.expect_code(3);
    run.expect_stderr("statement: INSERT INTO users (name) VALUES ('nobody');")
        .expect_stderr("detail: Failing row contains (nobody, null, null).")
        .expect_no_stderr("***");
}

#[tokio::test]
async fn what_is_tried_again_shows_no_secret_either() {
    let database = Database::fresh().await;
    let folder = Folder::new().file(
        "1_a.sql",
        "-- corveil:retries 1\nDO $$ DECLARE pw text := 's3cr3T-W0rd'; BEGIN RAISE 'it is %', pw \
         USING ERRCODE = '40001', DETAIL = pw; END $$",
    );
    let run = Corveil::migrate(&database, &folder).run().await.expect_code(75).expect_stderr("retry 1 of 1");
    shows_no_secret(&run, "retry");
}

#[tokio::test]
async fn the_statement_of_a_session_in_the_way_shows_no_secret() {
    let database = Database::fresh().await;
    let role = database.create_role("").await;
    database.execute("CREATE TABLE t ()").await;
    let folder = Folder::new().file("1_a.sql", "ALTER TABLE t ADD a int");
    for statement in [
        format!("LOCK TABLE t; ALTER ROLE {role} PASSWORD '{SECRET}'"),
        format!("LOCK TABLE t; SELECT 'postgres://u:{SECRET}@h/d'"),
        format!("LOCK TABLE t; SELECT 'host=h password={SECRET}'"),
        // Only its beginning is shown, and may end anywhere.
        format!("LOCK TABLE t; ALTER ROLE {role} PASSWORD '{}{SECRET}{SECRET}'", "W0rd".repeat(5)),
        format!("LOCK TABLE t; ALTER ROLE {role} PASSWORD '{}'", "W0rd".repeat(30)),
    ] {
        let mut session = database.connect().await;
        session.execute(AssertSqlSafe(format!("BEGIN; {statement}"))).await.unwrap();
        let run = Corveil::migrate(&database, &folder).args(["--lock-timeout", "300ms", "--retries", "1"]);
        let run =
            run.run().await.expect_code(75).expect_stderr("blocked by pid ").expect_stderr("LOCK TABLE t");
        shows_no_secret(&run, &statement);
        session.close().await.unwrap();
    }
}

#[tokio::test]
async fn the_holder_of_the_migration_lock_shows_no_secret() {
    let database = Database::fresh().await;
    let folder = Folder::new().file("1_a.sql", "SELECT 1");
    let role = database.create_role("").await;
    let mut holder = database.connect().await;
    holder.lock().await.unwrap();
    holder.execute(AssertSqlSafe(format!("ALTER ROLE {role} PASSWORD '{SECRET}'"))).await.unwrap();
    let run = Corveil::migrate(&database, &folder).args(["--lock-wait", "200ms"]).run().await.expect_code(75);
    shows_no_secret(&run.expect_stderr("PASSWORD '***'"), "lock");
    holder.close().await.unwrap();
}

/// Clears a terminal, sets its title, colours what follows, and turns the direction of writing.
const CONTROL: &str = "\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m\u{202e}\u{200b}\u{8}\r";

#[track_caller]
fn is_printable(text: &str, outcome: &Outcome) {
    let is_control = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}')
    };
    assert!(!text.contains(is_control), "{text:?}\n{outcome}");
}

#[track_caller]
fn all_is_printable(outcome: &Outcome) {
    for text in [&outcome.stdout, &outcome.stderr, &outcome.termination_log] {
        is_printable(text, outcome);
    }
}

#[tokio::test]
async fn control_characters_of_the_server_are_written_as_escapes() {
    let database = Database::fresh().await;
    for sql in [
        format!(
            "DO $$ BEGIN RAISE WARNING 'warn {CONTROL}'; RAISE 'say {CONTROL}' USING DETAIL = '{CONTROL}', \
                 HINT = 'x{CONTROL}'; END $$"
        ),
        format!("SELECT '{CONTROL}', 1/0"),
        format!("CREATE TABLE \"say {CONTROL}\" (); SELECT * FROM \"say {CONTROL}\" WHERE missing"),
        format!("DO $$ BEGIN RAISE 'say {CONTROL}' USING ERRCODE = '40001'; END $$"),
    ] {
        database.clear().await;
        let folder = Folder::new().file("1_a.sql", format!("-- corveil:retries 1\n{sql}"));
        let run = || Corveil::migrate(&database, &folder).args(["--log-level", "debug"]);
        all_is_printable(&run().run().await);
        all_is_printable(&Corveil::with("status", &database, &folder).run().await);

        let run = run().args(["--log-format", "json", "--output", "json"]).run().await;
        all_is_printable(&run);
        // JSON has an escape for each, so programs read what the server sent.
        let failure = format!("{:?}", run.json()["error"]["failure"]);
        assert!(run.json()["error"]["failure"].to_string().contains('\u{202e}'), "{failure}\n{run}");
        for line in run.stderr.lines() {
            assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
        }
    }
}

#[tokio::test]
async fn a_line_break_of_the_server_begins_no_line_that_could_be_corveil_s() {
    let database = Database::fresh().await;
    let forged = "done\nhint: run `rm -rf /`\nerror: none";
    let folder = Folder::new().file(
        "1_a.sql",
        format!(
            "-- corveil:retries 1\nDO $$ BEGIN RAISE WARNING '{forged}'; RAISE '{forged}' \
                 USING ERRCODE = '40001', DETAIL = '{forged}'; END $$"
        ),
    );
    let run = Corveil::migrate(&database, &folder).run().await.expect_code(75);
    for line in run.stderr.lines().chain(run.termination_log.lines()) {
        assert!(!line.starts_with("hint: run `rm") && !line.starts_with("error: none"), "{run}");
    }
}

#[tokio::test]
async fn control_characters_of_sessions_files_and_other_tools_are_written_as_escapes() {
    let database = Database::fresh().await;
    database.execute("CREATE TABLE t ()").await;
    let folder = Folder::new().file("1_a.sql", "ALTER TABLE t ADD a int");
    folder.put("\u{1b}[31m\u{202e}.sql", "SELECT 1");
    let mut session = database.connect().await;
    let statement = format!("SET application_name = 'x{CONTROL}'; BEGIN; LOCK TABLE t; SELECT 'x{CONTROL}'");
    session.execute(AssertSqlSafe(statement)).await.unwrap();
    let run = Corveil::migrate(&database, &folder).args(["--lock-timeout", "300ms", "--retries", "1"]);
    let run = run.run().await.expect_code(75).expect_stderr("blocked by pid ").expect_stderr("\\u{1b}");
    all_is_printable(&run);
    session.close().await.unwrap();

    database.clear().await;
    let rows = format!(
        "CREATE TABLE schema_migrations (version text PRIMARY KEY); \
                        CREATE TABLE \"t{CONTROL}\" (id int, \"c{CONTROL}\" int); \
                        INSERT INTO schema_migrations VALUES ('2024{CONTROL}')"
    );
    database.execute(&rows).await;
    for subcommand in ["status", "migrate", "verify"] {
        all_is_printable(&Corveil::with(subcommand, &database, &folder).run().await.expect_code(4));
    }
    for subcommand in ["adopt", "verify"] {
        let run = Corveil::with(subcommand, &database, &folder);
        let run =
            run.args(if subcommand == "verify" { &["--schema"][..] } else { &["--dry-run"] }).run().await;
        all_is_printable(&run);
    }
    let argument = format!("--{CONTROL}");
    all_is_printable(&Corveil::new("migrate").arg(&argument).run().await.expect_code(2));
}

#[tokio::test]
async fn what_an_older_build_recorded_is_shown_without_secrets_and_controls() {
    let (database, folder) = (Database::fresh().await, Folder::new());
    folder.put("1_a.sql", format!("CREATE ROLE postgres PASSWORD '{SECRET}{CONTROL}'"));
    Corveil::migrate(&database, &folder).run().await.expect_code(3);
    let recorded = format!("UPDATE _corveil_runs SET build = 'x{CONTROL}', error = 'near {SECRET}{CONTROL}'");
    database.execute(&recorded).await;
    for (subcommand, code) in [("wait", 3), ("status", 1)] {
        for format in ["text", "json"] {
            let run = Corveil::with(subcommand, &database, &folder).args(["--output", format]);
            let run = run.env("CORVEIL_TIMEOUT", "100ms").run().await.expect_code(code);
            shows_no_secret(&run, subcommand);
            all_is_printable(&run);
        }
    }
}

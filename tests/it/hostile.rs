//! Roles that may create objects and nothing else: they must not run code with Corveil's rights, and their tables are not trusted.

use std::fmt::Write as _;

use sqlx::migrate::Migrate;

use crate::support::corveil::Running;
use crate::support::{Corveil, Database, Folder, Reply, SOON, http, wait_until};

/// A file of each kind, which needs nothing of `pg_catalog` that a rival could offer.
fn folder() -> Folder {
    Folder::new()
        .file("0001_a.sql", "CREATE SCHEMA app; CREATE TABLE app.a (id int)")
        .file(
            "0002_b.sql",
            "-- no-transaction\nCREATE TABLE app.b (id int);\nCREATE INDEX CONCURRENTLY b_id ON app.b (id);\n\
             BEGIN;\nINSERT INTO app.b VALUES (1);\nCOMMIT;",
        )
        .file("0003_c.sql", "CREATE TABLE app.c (id int)")
}

/// All commands, with the exit codes that they may have there.
const COMMANDS: [(&str, &[&str], &[i32]); 9] = [
    ("migrate", &["--dry-run"], &[0]),
    ("status", &[], &[1]),
    ("adopt", &["--dry-run", "--to", "1"], &[2, 4]),
    ("migrate", &[], &[0]),
    ("migrate", &[], &[0]),
    ("status", &[], &[0]),
    ("verify", &["--schema"], &[0, 4]),
    ("wait", &["--timeout", "5s"], &[0]),
    ("wait", &["--for", "db", "--timeout", "5s"], &[0]),
];

#[tokio::test]
async fn no_query_of_corveil_resolves_by_the_search_path() {
    let (database, folder) = (Database::fresh().await, folder());
    let victim = database.create_role("SUPERUSER").await;
    database.execute(include_str!("support/hostile.sql")).await;
    let rivals = "SELECT (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace)
                       + (SELECT count(*) FROM pg_operator WHERE oprnamespace = 'public'::regnamespace)";
    assert!(database.value::<i64>(rivals).await > 3000, "there are rivals");
    database.execute(&format!("ALTER ROLE {victim} SET search_path = public, pg_catalog")).await;
    // The trap works: the simplest query is hijacked.
    let mut asked = database.url_as(&victim).connect().await.unwrap();
    assert!(sqlx::raw_sql("SELECT now()").fetch_all(&mut asked).await.is_err(), "nothing is hijacked");
    let hijacks = "SELECT last_value FROM public.hijacks";
    let before: i64 = database.value(hijacks).await;

    for (command, arguments, codes) in COMMANDS {
        let run = Corveil::with(command, &database, &folder).url(&database.url_as(&victim));
        let run = run.args(arguments.iter().copied()).run().await;
        assert_eq!(database.value::<i64>(hijacks).await, before, "{command} {arguments:?}: {run}");
        assert!(run.code.is_some_and(|code| codes.contains(&code)), "{command} {arguments:?}: {run}");
    }
    assert_eq!(database.applied().await, [1, 2, 3]);

    // The queries of the second connection, and those after a failure.
    let mut reader = database.connect().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE app.a IN ACCESS SHARE MODE").execute(&mut reader).await.unwrap();
    folder.put("0004_d.sql", "DROP TABLE app.a");
    let run = Corveil::migrate(&database, &folder).url(&database.url_as(&victim)).args(["--retries", "1"]);
    let run = run.run().await.expect_code(75).expect_stderr("blocked by pid");
    assert_eq!(database.value::<i64>(hijacks).await, before, "{run}");
}

#[tokio::test]
async fn probes_do_not_resolve_by_the_search_path() {
    let (database, folder) = (Database::fresh().await, folder());
    let victim = database.create_role("SUPERUSER").await;
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    database.execute(include_str!("support/hostile.sql")).await;
    database.execute(&format!("ALTER ROLE {victim} SET search_path = public, pg_catalog")).await;
    let serve = Corveil::with("serve", &database, &folder).url(&database.url_as(&victim));
    let serve = serve.env("CORVEIL_LISTEN", "127.0.0.1:0").spawn();
    let reply = probe(&serve).await;
    assert_eq!(reply.status, 200, "{reply:?}\n{}", serve.stderr());
    let called = "SELECT is_called FROM public.hijacks";
    assert!(!database.value::<bool>(called).await, "{}", serve.stderr());
}

/// The answer of a program that serves to a readiness probe.
async fn probe(serve: &Running) -> Reply {
    let address =
        || serve.stderr().split("listening on http://").nth(1)?.split_whitespace().next()?.parse().ok();
    wait_until("it listens", SOON, async || address().is_some()).await;
    http::get(address().unwrap(), "/health/ready").await.unwrap()
}

/// The overloads that were seen to win although `pg_catalog` is the first schema of the path, each by the arguments that it
/// matches better.
const BETTER_FITTING: [(&str, &str); 5] = [
    ("pg_identify_object_as_address(regclass, oid, int4)", "text"),
    ("has_table_privilege(regclass, text)", "bool"),
    ("left(name, int4)", "text"),
    ("to_regclass(name)", "regclass"),
    ("format_type(oid, int8)", "text"),
];
const BETTER_OPERATORS: [(&str, &str, &str); 4] =
    [("||", "text", "int4"), ("*", "numeric", "int8"), ("=", "oid", "int4"), ("=", "name", "varchar")];

#[tokio::test]
async fn a_role_that_may_create_in_public_does_not_become_a_superuser() {
    let (database, folder) =
        (Database::fresh().await, Folder::new().file("0001_a.sql", "CREATE TABLE a (id int)"));
    let low = database.create_role("").await;
    database.execute(&format!("GRANT CREATE ON SCHEMA public TO {low}")).await;
    let body = format!(
        "LANGUAGE plpgsql AS $f$ BEGIN
           IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
             EXECUTE 'ALTER ROLE {low} SUPERUSER';
           END IF;
           RETURN NULL;
         END $f$"
    );
    let mut sql = String::new();
    for (function, returns) in BETTER_FITTING {
        write!(sql, "CREATE FUNCTION public.{function} RETURNS {returns} {body};").unwrap();
    }
    for (number, (operator, left, right)) in BETTER_OPERATORS.iter().enumerate() {
        let returns = if *operator == "=" { "bool" } else { left };
        write!(
            sql,
            "CREATE FUNCTION public.better_{number}({left}, {right}) RETURNS {returns} {body};
             CREATE OPERATOR public.{operator} (FUNCTION = public.better_{number}, LEFTARG = {left}, RIGHTARG = {right});"
        ).unwrap();
    }
    let mut session = database.url_as(&low).connect().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut session).await.unwrap();
    let is_super = format!("SELECT rolsuper FROM pg_roles WHERE rolname = '{low}'");
    for (command, arguments) in [
        ("status", &[][..]),
        ("migrate", &["--dry-run"]),
        ("migrate", &[]),
        ("verify", &["--schema"]),
        ("wait", &["--timeout", "2s"]),
        ("status", &[]),
    ] {
        let run = Corveil::with(command, &database, &folder).args(arguments.iter().copied()).run().await;
        assert!(!database.value::<bool>(&is_super).await, "{command}: {run}");
    }
    assert_eq!(database.applied().await, [1]);
}

/// A database in which another role, that may only create, has created these objects.
async fn with_planted(sql: &str) -> (Database, String) {
    let database = Database::fresh().await;
    let low = database.create_role("").await;
    database.execute(&format!("GRANT CREATE ON SCHEMA public TO {low}")).await;
    let mut session = database.url_as(&low).connect().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut session).await.unwrap();
    (database, low)
}

const HISTORY: &str =
    "(version bigint PRIMARY KEY, description text NOT NULL, installed_on timestamptz NOT NULL DEFAULT now(),
    success boolean NOT NULL, checksum bytea NOT NULL, execution_time bigint NOT NULL)";

const RUNS: &str = "(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz, outcome text, exit_code smallint, from_version bigint, to_version bigint, failed_version bigint,
    failed_checksum bytea, error text, build text NOT NULL, host text NOT NULL, backend integer NOT NULL)";

fn one_file() -> Folder {
    Folder::new().file("0001_a.sql", "CREATE TABLE a (id int)")
}

#[tokio::test]
async fn a_planted_history_is_not_trusted() {
    let folder = one_file();
    // The right checksum, as anyone can compute it who has the image.
    let honest = Database::fresh().await;
    Corveil::migrate(&honest, &folder).run().await.expect_code(0);
    let checksum: String = honest.value("SELECT encode(checksum, 'hex') FROM _sqlx_migrations").await;
    let (database, low) = with_planted(&format!(
        "CREATE TABLE public._sqlx_migrations {HISTORY};
         INSERT INTO public._sqlx_migrations VALUES (1, 'a', DEFAULT, true, decode('{checksum}', 'hex'), 1);
         GRANT ALL ON public._sqlx_migrations TO PUBLIC;"
    ))
    .await;
    for (command, arguments) in [
        ("migrate", &[][..]),
        ("migrate", &["--dry-run"]),
        ("status", &[]),
        ("verify", &[]),
        ("wait", &["--timeout", "5s"]),
        ("adopt", &["--to", "1"]),
    ] {
        let run = Corveil::with(command, &database, &folder).args(arguments.iter().copied()).run().await;
        let named = format!("table public._sqlx_migrations belongs to role `{low}`");
        run.expect_code(4).expect_stderr(&named).expect_stderr("CORVEIL_HISTORY_OWNER");
    }
    assert!(database.value::<bool>("SELECT to_regclass('a') IS NULL").await);
    // The answer to a probe has no more details for a stranger.
    let serve = Corveil::with("serve", &database, &folder).env("CORVEIL_LISTEN", "127.0.0.1:0").spawn();
    let reply = probe(&serve).await;
    assert!(reply.status == 503 && reply.body.contains("the log has the reason"), "{reply:?}");
    assert!(!reply.body.contains(&low), "{reply:?}");
    serve.until_it_logs(&low).await;
    // The setting of the user counts.
    let run = Corveil::with("wait", &database, &folder).env("CORVEIL_HISTORY_OWNER", &low).run().await;
    run.expect_code(0);
}

#[tokio::test]
async fn the_trigger_of_a_planted_table_does_not_fire() {
    let escalate = |low: &str| format!("ALTER ROLE {low} SUPERUSER");
    for (name, columns) in [("_corveil_runs", RUNS), ("_sqlx_migrations", HISTORY)] {
        let (database, low) = with_planted(&format!("CREATE TABLE public.{name} {columns}")).await;
        let mut session = database.url_as(&low).connect().await.unwrap();
        let trap = format!(
            "CREATE FUNCTION public.trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE '{}'; RETURN NEW; END $$;
             CREATE TRIGGER trap BEFORE INSERT OR UPDATE ON public.{name} FOR EACH ROW EXECUTE FUNCTION public.trap();
             GRANT ALL ON public.{name} TO PUBLIC;",
            escalate(&low)
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(trap)).execute(&mut session).await.unwrap();
        let run = Corveil::migrate(&database, &one_file()).run().await.expect_code(4);
        let run = run.expect_stderr(&format!("table public.{name} belongs to role `{low}`"));
        let is_super = format!("SELECT rolsuper FROM pg_roles WHERE rolname = '{low}'");
        assert!(!database.value::<bool>(&is_super).await, "{run}");
    }
}

#[tokio::test]
async fn a_history_that_is_not_an_ordinary_table_is_refused() {
    for (form, sql) in [
        ("a view", "CREATE VIEW public._sqlx_migrations AS SELECT 1::bigint AS version".to_owned()),
        (
            "a materialized view",
            "CREATE MATERIALIZED VIEW public._sqlx_migrations AS SELECT 1::bigint AS version".into(),
        ),
        (
            "a partitioned table",
            format!("CREATE TABLE public._sqlx_migrations {HISTORY} PARTITION BY RANGE (version)"),
        ),
        ("a view for the runs", "CREATE VIEW public._corveil_runs AS SELECT 1::bigint AS id".into()),
    ] {
        let database = Database::fresh().await;
        database.execute(&sql).await;
        for command in ["migrate", "status", "wait"] {
            let run = Corveil::with(command, &database, &one_file()).run().await;
            assert!(run.code == Some(4) && run.stderr.contains("is not an ordinary table"), "{form}: {run}");
        }
    }
}

#[tokio::test]
async fn what_another_role_attached_to_the_history_is_refused_by_name() {
    let folder = one_file();
    for (attach, reason) in [
        (
            "CREATE TRIGGER spy BEFORE INSERT ON public._sqlx_migrations FOR EACH ROW EXECUTE FUNCTION public.spy()",
            "trigger spy on table public._sqlx_migrations runs code of role",
        ),
        (
            "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON public._corveil_runs DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION public.spy()",
            "trigger late on table public._corveil_runs runs code of role",
        ),
    ] {
        let (database, low) = with_planted(
            "CREATE FUNCTION public.spy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;",
        )
        .await;
        Corveil::migrate(&database, &folder).run().await.expect_code(0);
        database.execute(&format!("GRANT TRIGGER ON ALL TABLES IN SCHEMA public TO {low}")).await;
        let mut session = database.url_as(&low).connect().await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(attach.to_owned())).execute(&mut session).await.unwrap();
        let more = one_file().file("0002_b.sql", "CREATE TABLE b (id int)");
        let run = Corveil::migrate(&database, &more).run().await.expect_code(4);
        run.expect_stderr(&format!("{reason} `{low}`"));
        assert_eq!(database.applied().await, [1]);
    }
}

#[tokio::test]
async fn a_trigger_of_the_history_s_owner_is_accepted() {
    let (database, folder) = (Database::fresh().await, one_file());
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    database
        .execute(
            "CREATE TABLE audit (version bigint);
             CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN INSERT INTO public.audit VALUES (NEW.version); RETURN NEW; END $$;
             CREATE TRIGGER log AFTER INSERT ON _sqlx_migrations FOR EACH ROW EXECUTE FUNCTION log();",
        )
        .await;
    let more = one_file().file("0002_b.sql", "CREATE TABLE b (id int)");
    Corveil::migrate(&database, &more).run().await.expect_code(0);
    assert_eq!(database.values::<i64>("SELECT version FROM audit").await, [2]);
}

#[tokio::test]
async fn an_owner_counts_by_what_it_could_do_anyway() {
    let folder = one_file();
    for (form, make, trusted) in [
        ("nothing", "", false),
        ("a role that the migrating role is a member of", "GRANT {owner} TO {me}", true),
        ("the owner of the database", "ALTER DATABASE {database} OWNER TO {owner}", true),
        ("a superuser", "ALTER ROLE {owner} SUPERUSER", true),
    ] {
        let database = Database::fresh().await;
        let (owner, me) = (database.create_role("").await, database.create_role("").await);
        database.execute(&format!("GRANT ALL ON SCHEMA public TO {owner}, {me}")).await;
        let as_owner = Corveil::migrate(&database, &folder).url(&database.url_as(&owner));
        as_owner.run().await.expect_code(0);
        database.execute(&format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {me}")).await;
        let make =
            make.replace("{owner}", &owner).replace("{me}", &me).replace("{database}", database.name());
        database.execute(&make).await;
        for command in ["migrate", "status", "wait"] {
            let run = Corveil::with(command, &database, &folder).url(&database.url_as(&me)).run().await;
            assert_eq!(run.code, Some(if trusted { 0 } else { 4 }), "{form}, {command}: {run}");
        }
    }
}

#[tokio::test]
async fn a_superuser_is_a_member_only_of_what_it_was_granted() {
    let (database, folder) = (Database::fresh().await, one_file());
    let (owner, me) = (database.create_role("").await, database.create_role("SUPERUSER").await);
    database.execute(&format!("GRANT ALL ON SCHEMA public TO {owner}")).await;
    Corveil::migrate(&database, &folder).url(&database.url_as(&owner)).run().await.expect_code(0);
    let run = || Corveil::migrate(&database, &folder).url(&database.url_as(&me)).run();
    run().await.expect_code(4).expect_stderr(&format!("belongs to role `{owner}`"));
    database.execute(&format!("GRANT {owner} TO {me}")).await;
    run().await.expect_code(0);
}

#[tokio::test]
async fn a_table_that_appears_between_check_and_creation_is_not_used() {
    // The attacker is faster than the run: the table is created while the run waits for the lock.
    let (database, low) = with_planted("").await;
    let folder = one_file();
    let mut holder = database.connect().await;
    holder.lock().await.unwrap();
    let run = Corveil::migrate(&database, &folder).spawn();
    run.until_it_logs("waiting for the migration lock").await;
    let mut session = database.url_as(&low).connect().await.unwrap();
    let plant =
        format!("CREATE TABLE public._corveil_runs {RUNS}; GRANT ALL ON public._corveil_runs TO PUBLIC");
    sqlx::raw_sql(sqlx::AssertSqlSafe(plant)).execute(&mut session).await.unwrap();
    holder.unlock().await.unwrap();
    let run = run.wait().await.expect_code(4);
    run.expect_stderr(&format!("table public._corveil_runs belongs to role `{low}`"));
    assert!(database.value::<bool>("SELECT to_regclass('a') IS NULL").await);
}

#[tokio::test]
async fn the_history_of_another_tool_runs_no_code_when_it_is_read() {
    let folder = one_file();
    let (database, low) = with_planted(
        "CREATE TABLE public.goose_db_version (id int PRIMARY KEY, version_id bigint NOT NULL, is_applied boolean NOT NULL,
           tstamp timestamp DEFAULT now())",
    )
    .await;
    let trap = format!(
        "CREATE TYPE public.evil AS ENUM ('x');
         CREATE FUNCTION public.as_json(public.evil) RETURNS json LANGUAGE plpgsql AS
           $$ BEGIN EXECUTE 'ALTER ROLE {low} SUPERUSER'; RETURN '1'; END $$;
         CREATE CAST (public.evil AS json) WITH FUNCTION public.as_json(public.evil);
         ALTER TABLE public.goose_db_version ADD trap public.evil;
         INSERT INTO public.goose_db_version VALUES (1, 1, true, now(), 'x');
         GRANT ALL ON public.goose_db_version TO PUBLIC;"
    );
    let mut session = database.url_as(&low).connect().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(trap)).execute(&mut session).await.unwrap();
    database.execute("CREATE TABLE a (id int)").await;
    let run = Corveil::with("adopt", &database, &folder).args(["--from", "goose", "--dry-run"]).run().await;
    let is_super = format!("SELECT rolsuper FROM pg_roles WHERE rolname = '{low}'");
    assert!(!database.value::<bool>(&is_super).await, "{run}");
    // The trap works where the whole row is asked for.
    database.execute("SELECT row_to_json(h) FROM public.goose_db_version h").await;
    assert!(database.value::<bool>(&is_super).await, "the cast does nothing, so nothing was tested");
}

//! Reading a schema, and what is and is not a difference: every kind of it, with the SQL that fixes it.

use ::corveil::schema::{Difference, Schema, differences, quoting, read};

use crate::support::Database;

/// A little of everything.
const BASE: &str = r#"
    CREATE SCHEMA app;
    CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE DOMAIN positive AS int DEFAULT 1 CHECK (VALUE > 0);
    CREATE TYPE pair AS (a int, b text);
    CREATE TYPE span AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = float8mi);
    CREATE SEQUENCE ticket START 5;
    CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := 'x'; RETURN NEW; END $$;
    CREATE FUNCTION twice(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * x';
    CREATE PROCEDURE nothing() LANGUAGE sql AS 'SELECT 1';
    CREATE TABLE users (
        id bigserial PRIMARY KEY,
        email text NOT NULL UNIQUE,
        name text DEFAULT 'nobody',
        "Mood" mood NOT NULL DEFAULT 'happy',
        age positive,
        json jsonb,
        CONSTRAINT adult CHECK (age > 17)
    );
    CREATE TABLE app.posts (
        id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        author bigint NOT NULL REFERENCES users ON DELETE CASCADE,
        title varchar(20) COLLATE "C",
        size int,
        doubled int GENERATED ALWAYS AS (size * 2) STORED
    );
    CREATE INDEX ON users (lower(name));
    CREATE INDEX posts_title ON app.posts (title DESC) WHERE title IS NOT NULL;
    CREATE TABLE events (at timestamptz NOT NULL, kind text) PARTITION BY RANGE (at);
    CREATE TABLE events_old PARTITION OF events FOR VALUES FROM (MINVALUE) TO ('2020-01-01Z');
    CREATE INDEX events_at ON events (at);
    CREATE TABLE archive (note text) INHERITS (users);
    CREATE VIEW titles WITH (security_barrier) AS SELECT title, author FROM app.posts WHERE size > 1;
    CREATE VIEW authors AS SELECT u.name, t.title FROM users u JOIN titles t ON t.author = u.id;
    CREATE MATERIALIZED VIEW counted AS SELECT author, count(*) AS n FROM app.posts GROUP BY author;
    CREATE UNIQUE INDEX counted_author ON counted (author);
    CREATE TRIGGER stamp BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION stamp();
    CREATE POLICY mine ON users FOR SELECT TO PUBLIC USING (name = CURRENT_USER);
    ALTER TABLE users ENABLE ROW LEVEL SECURITY;
    CREATE RULE quiet AS ON DELETE TO app.posts DO INSTEAD NOTHING;
"#;

async fn schema(database: &Database) -> Schema {
    read(&mut database.connect().await).await.expect("read the schema")
}

async fn fix(database: &Database, found: &[Difference]) {
    for difference in found {
        database.execute(&difference.sql).await;
    }
}

fn ids(found: &[Difference]) -> Vec<&str> {
    found.iter().map(|difference| difference.id.as_str()).collect()
}

#[tokio::test]
async fn equal_files_make_equal_schemas() {
    let (one, other) = (Database::fresh().await, Database::fresh().await);
    one.execute(BASE).await;
    other.execute(BASE).await;
    let (one, other) = (schema(&one).await, schema(&other).await);
    assert_eq!(one, other);
    assert!(differences(&one, &other).is_empty());
    // The model takes everything through JSON and back, as a snapshot does.
    let text = serde_json::to_string(&one).unwrap();
    assert_eq!(serde_json::from_str::<Schema>(&text).unwrap(), one);
}

#[tokio::test]
async fn a_whole_schema_is_fixed_from_nothing_and_back() {
    let (full, empty) = (Database::fresh().await, Database::fresh().await);
    full.execute(BASE).await;
    let (wanted, nothing) = (schema(&full).await, schema(&empty).await);

    fix(&empty, &differences(&wanted, &nothing)).await;
    assert_eq!(ids(&differences(&wanted, &schema(&empty).await)), [""; 0]);

    fix(&empty, &differences(&nothing, &schema(&empty).await)).await;
    assert_eq!(ids(&differences(&nothing, &schema(&empty).await)), [""; 0]);
}

/// A change to [`BASE`], one statement at a time, and the ids of what then differs.
const CHANGES: &[(&str, &[&str])] = &[
    ("DROP TABLE archive", &["table-public.archive-missing"]),
    ("CREATE TABLE more (id serial, x int)", &["table-public.more-extra"]),
    ("CREATE SCHEMA other CREATE TABLE t (x int)", &["schema-other-extra"]),
    ("ALTER TABLE app.posts DROP COLUMN doubled", &["column-app.posts.doubled-missing"]),
    ("ALTER TABLE app.posts ADD COLUMN x int DEFAULT 3", &["column-app.posts.x-extra"]),
    ("ALTER TABLE users ALTER COLUMN json TYPE json", &["column-public.users.json-type"]),
    (
        "ALTER TABLE app.posts ALTER COLUMN size DROP NOT NULL, ALTER COLUMN author DROP NOT NULL",
        &["column-app.posts.author-null"],
    ),
    ("ALTER TABLE users ALTER COLUMN name SET NOT NULL", &["column-public.users.name-null"]),
    ("ALTER TABLE users ALTER COLUMN name SET DEFAULT 'me'", &["column-public.users.name-default"]),
    ("ALTER TABLE users ALTER COLUMN name DROP DEFAULT", &["column-public.users.name-default"]),
    ("ALTER TABLE users ALTER COLUMN email SET DEFAULT 'me'", &["column-public.users.email-default"]),
    ("ALTER TABLE app.posts ALTER COLUMN id SET GENERATED BY DEFAULT", &["column-app.posts.id-sequence"]),
    ("ALTER TABLE app.posts ALTER COLUMN id SET INCREMENT BY 5", &["column-app.posts.id-sequence"]),
    ("ALTER TABLE app.posts ALTER COLUMN id DROP IDENTITY", &["column-app.posts.id-sequence"]),
    ("ALTER SEQUENCE users_id_seq RENAME TO counter", &["column-public.users.id-sequence"]),
    ("ALTER SEQUENCE users_id_seq CYCLE", &["column-public.users.id-sequence"]),
    ("ALTER TABLE app.posts ALTER COLUMN doubled DROP EXPRESSION", &["column-app.posts.doubled-generated"]),
    ("ALTER TABLE users DROP CONSTRAINT adult", &["constraint-public.users.adult-missing"]),
    ("ALTER TABLE users ADD CONSTRAINT more CHECK (age < 200)", &["constraint-public.users.more-extra"]),
    ("ALTER TABLE users RENAME CONSTRAINT adult TO grown", &["constraint-public.users.adult-name"]),
    (
        "ALTER TABLE users DROP CONSTRAINT adult; ALTER TABLE users ADD CONSTRAINT adult CHECK (age > 20)",
        &["constraint-public.users.adult-definition"],
    ),
    (
        "ALTER TABLE users DROP CONSTRAINT adult; ALTER TABLE users ADD CONSTRAINT adult CHECK (age > 17) NOT VALID",
        &["constraint-public.users.adult-validation"],
    ),
    (
        "ALTER TABLE app.posts DROP CONSTRAINT posts_author_fkey",
        &["constraint-app.posts.posts_author_fkey-missing"],
    ),
    (
        "ALTER TABLE users DROP CONSTRAINT users_email_key; CREATE UNIQUE INDEX users_email_key ON users (email)",
        &["index-public.users_email_key-extra", "constraint-public.users.users_email_key-missing"],
    ),
    ("DROP INDEX app.posts_title", &["index-app.posts_title-missing"]),
    ("CREATE INDEX more ON users (age)", &["index-public.more-extra"]),
    ("ALTER INDEX app.posts_title RENAME TO by_title", &["index-app.posts_title-name"]),
    (
        "DROP INDEX app.posts_title; CREATE INDEX posts_title ON app.posts (title)",
        &["index-app.posts_title-definition"],
    ),
    (
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.posts_title'::regclass",
        &["index-app.posts_title-invalid"],
    ),
    ("DROP INDEX events_at", &["index-public.events_at-missing"]),
    ("ALTER TYPE mood ADD VALUE 'so so' AFTER 'sad'", &["enum-public.mood-labels"]),
    ("ALTER TYPE mood ADD VALUE 'angry' BEFORE 'sad'", &["enum-public.mood-labels"]),
    ("ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'", &["enum-public.mood-labels"]),
    ("CREATE TYPE more AS ENUM ()", &["enum-public.more-extra"]),
    ("ALTER DOMAIN positive DROP DEFAULT", &["domain-public.positive-default"]),
    ("ALTER DOMAIN positive SET NOT NULL", &["domain-public.positive-null"]),
    (
        "ALTER DOMAIN positive DROP CONSTRAINT positive_check",
        &["constraint-public.positive.positive_check-missing"],
    ),
    ("ALTER TYPE pair ADD ATTRIBUTE c int", &["type-public.pair-columns"]),
    ("ALTER TYPE pair DROP ATTRIBUTE a", &["type-public.pair-columns"]),
    ("DROP TYPE span", &["type-public.span-missing"]),
    ("DROP SEQUENCE ticket", &["sequence-public.ticket-missing"]),
    ("CREATE SEQUENCE more AS int", &["sequence-public.more-extra"]),
    ("ALTER SEQUENCE ticket INCREMENT 7", &["sequence-public.ticket-options"]),
    ("ALTER SEQUENCE ticket OWNED BY users.age", &["sequence-public.ticket-owner"]),
    (
        "CREATE OR REPLACE FUNCTION twice(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x + x'",
        &["function-public.twice:integer-definition"],
    ),
    (
        "DROP FUNCTION twice; CREATE FUNCTION twice(y int) RETURNS bigint LANGUAGE sql AS 'SELECT 2::bigint'",
        &["function-public.twice:integer-definition"],
    ),
    ("DROP PROCEDURE nothing", &["procedure-public.nothing:-missing"]),
    (
        "CREATE FUNCTION more(a int, b text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        &["function-public.more:integer:text-extra"],
    ),
    ("DROP VIEW authors", &["view-public.authors-missing"]),
    ("CREATE VIEW more AS SELECT * FROM authors", &["view-public.more-extra"]),
    (
        "CREATE OR REPLACE VIEW authors AS SELECT u.name, t.title FROM users u JOIN titles t ON t.author = u.id + 1",
        &["view-public.authors-query"],
    ),
    (
        "CREATE OR REPLACE VIEW authors AS
           SELECT u.name, t.title, u.age FROM users u JOIN titles t ON t.author = u.id",
        &["view-public.authors-query"],
    ),
    ("ALTER VIEW titles RESET (security_barrier)", &["view-public.titles-options"]),
    ("DROP MATERIALIZED VIEW counted", &["materialized-view-public.counted-missing"]),
    ("DROP INDEX counted_author", &["index-public.counted_author-missing"]),
    (
        "DROP MATERIALIZED VIEW counted;
         CREATE VIEW counted AS SELECT author, count(*) AS n FROM app.posts GROUP BY author",
        &["materialized-view-public.counted-kind"],
    ),
    ("DROP TRIGGER stamp ON users", &["trigger-public.users.stamp-missing"]),
    (
        "CREATE TRIGGER more AFTER UPDATE ON users FOR EACH ROW EXECUTE FUNCTION stamp()",
        &["trigger-public.users.more-extra"],
    ),
    (
        "DROP TRIGGER stamp ON users;
         CREATE TRIGGER stamp BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION stamp()",
        &["trigger-public.users.stamp-definition"],
    ),
    ("ALTER TABLE users DISABLE TRIGGER stamp", &["trigger-public.users.stamp-firing"]),
    ("DROP POLICY mine ON users", &["policy-public.users.mine-missing"]),
    ("ALTER POLICY mine ON users USING (true)", &["policy-public.users.mine-definition"]),
    ("ALTER TABLE users FORCE ROW LEVEL SECURITY", &["table-public.users-row-security"]),
    ("DROP RULE quiet ON app.posts", &["rule-app.posts.quiet-missing"]),
    ("ALTER TABLE events DETACH PARTITION events_old", &["table-public.events_old-partition"]),
    ("ALTER TABLE archive NO INHERIT users", &["table-public.archive-parents"]),
    ("ALTER TABLE archive SET UNLOGGED", &["table-public.archive-logged"]),
];

#[tokio::test]
async fn each_kind_of_difference_is_found_and_fixed() {
    let (good, live) = (Database::fresh().await, Database::fresh().await);
    for (change, expected) in CHANGES {
        good.clear().await;
        live.clear().await;
        is_found_and_fixed(&good, &live, change, expected).await;
    }
}

#[tokio::test]
async fn what_only_newer_servers_have_is_compared_too() {
    let (good, live) = (Database::fresh().await, Database::fresh().await);
    let version: i32 = good.value("SELECT current_setting('server_version_num')::int").await;
    let changes: [(i32, &str, &[&str]); 4] = [
        (150_000, "CREATE UNIQUE INDEX more ON users (age) NULLS NOT DISTINCT", &["index-public.more-extra"]),
        (150_000, "ALTER VIEW titles SET (security_invoker)", &["view-public.titles-options"]),
        (180_000, "ALTER TABLE app.posts ADD NOT NULL size NOT VALID", &["column-app.posts.size-null"]),
        (
            180_000,
            "ALTER TABLE app.posts ADD COLUMN tripled int GENERATED ALWAYS AS (size * 3) VIRTUAL",
            &["column-app.posts.tripled-extra"],
        ),
    ];
    for (_, change, expected) in changes.iter().filter(|(since, ..)| version >= *since) {
        good.clear().await;
        live.clear().await;
        is_found_and_fixed(&good, &live, change, expected).await;
    }
}

async fn is_found_and_fixed(good: &Database, live: &Database, change: &str, expected: &[&str]) {
    good.execute(BASE).await;
    live.execute(BASE).await;
    for statement in change.split_inclusive(';') {
        live.execute(statement).await;
    }
    let (wanted, there) = (schema(good).await, schema(live).await);
    let found = differences(&wanted, &there);
    assert_eq!(ids(&found), expected, "{change}: {found:#?}");

    // The other way round too, so that what is extra here is missing there.
    fix(good, &differences(&there, &wanted)).await;
    let rest = differences(&there, &schema(good).await);
    assert!(rest.is_empty(), "{change}, the other way round: {rest:#?}");
    fix(live, &found).await;
    let rest = differences(&wanted, &schema(live).await);
    assert!(rest.is_empty(), "{change}: {rest:#?}");
}

/// What files make, what is there instead, and the ids of what then differs, each once.
const OTHERWISE: &[(&str, &str, &[&str])] = &[
    (
        "CREATE TABLE t (a varchar(5), b char(2), c bit(3), d varbit(4), e varchar(5)[], f int,
                         g bigint GENERATED ALWAYS AS (f) STORED)",
        "CREATE TABLE t (a text, b varchar(9), c varbit, d varbit, e text[], f int,
                         g int GENERATED ALWAYS AS (f) STORED);
         INSERT INTO t VALUES ('abcde', 'ab', B'101', B'1010', '{abcde}', 1)",
        &[
            "column-public.t.a-type",
            "column-public.t.b-type",
            "column-public.t.c-type",
            "column-public.t.d-type",
            "column-public.t.e-type",
            "column-public.t.g-type",
        ],
    ),
    (
        "CREATE TABLE t (a varchar(5) DEFAULT 'x', b int DEFAULT 1, c text)",
        "CREATE TABLE t (a text DEFAULT 'x', b text DEFAULT 'one', c int DEFAULT 1)",
        &["column-public.t.a-type", "column-public.t.b-type", "column-public.t.c-type"],
    ),
    (
        "CREATE TABLE t (a int, b bigint GENERATED ALWAYS AS (a + 1) STORED NOT NULL)",
        "CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a + 2) STORED)",
        &["column-public.t.b-generated"],
    ),
    (
        "CREATE TABLE t (a int, b int DEFAULT 5, c int DEFAULT 6)",
        "CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY, b int GENERATED ALWAYS AS IDENTITY, c serial)",
        &[
            "column-public.t.a-sequence",
            "column-public.t.a-null",
            "column-public.t.b-sequence",
            "column-public.t.b-null",
            "column-public.t.c-sequence",
            "column-public.t.c-null",
        ],
    ),
    (
        "CREATE TABLE t (a int, id bigserial PRIMARY KEY)",
        "CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)",
        &["column-public.t.id-missing", "constraint-public.t.t_pkey-missing"],
    ),
    (
        "CREATE TYPE mixed AS (\"my mood\" int, \"it \"\"is\" text)",
        "CREATE TYPE mixed AS (\"my mood\" text, \"it \"\"is\" text)",
        &["type-public.mixed-columns"],
    ),
    (
        "CREATE FUNCTION f(a int, b int DEFAULT 2) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TABLE t (a int DEFAULT f(1, 1))",
        "CREATE FUNCTION f(a int, b int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TABLE t (a int DEFAULT f(1, 1))",
        &["function-public.f:integer:integer-definition"],
    ),
    (
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION f(a int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        &["function-public.f:integer-definition"],
    ),
    (
        "CREATE TABLE t (a int); CREATE MATERIALIZED VIEW v AS SELECT a AS b FROM t; CREATE INDEX ON v (b)",
        "CREATE TABLE t (a int); CREATE MATERIALIZED VIEW v AS SELECT a FROM t; CREATE INDEX more ON v (a)",
        &["materialized-view-public.v-query"],
    ),
    (
        "CREATE TABLE t (a int); CREATE INDEX good ON t (a)",
        "CREATE TABLE t (a int); CREATE INDEX good ON t (a); CREATE INDEX other ON t (a);
         UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'good'::regclass",
        &["index-public.good-invalid", "index-public.good-name"],
    ),
    (
        "CREATE TABLE t (a int); CREATE INDEX good ON t (a)",
        "CREATE TABLE t (a int); CREATE INDEX bad ON t (a);
         UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'bad'::regclass",
        &["index-public.bad-invalid", "index-public.good-name"],
    ),
    (
        "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE one PARTITION OF t DEFAULT; CREATE INDEX good ON t (a)",
        "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE one PARTITION OF t DEFAULT; CREATE INDEX good ON ONLY t (a)",
        &["index-public.good-invalid"],
    ),
    (
        "CREATE TYPE z AS ENUM ('a'); CREATE DOMAIN y AS z; CREATE TYPE a AS (y y)",
        "",
        &["enum-public.z-missing", "domain-public.y-missing", "type-public.a-missing"],
    ),
    (
        "",
        "CREATE TYPE z AS ENUM ('a'); CREATE DOMAIN y AS z; CREATE TYPE a AS (y y)",
        &["type-public.a-extra", "domain-public.y-extra", "enum-public.z-extra"],
    ),
    (
        "CREATE TABLE a (id int); CREATE TABLE t (a int)",
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE t (a int REFERENCES a)",
        &[
            "constraint-public.t.t_a_fkey-extra",
            "constraint-public.a.a_pkey-extra",
            "column-public.a.id-null",
        ],
    ),
    (
        "",
        "CREATE TABLE x_y (a int); CREATE TABLE \"x y\" (a int)",
        &["table-public.x_y-extra", "table-public.x%20y-extra"],
    ),
];

#[tokio::test]
async fn one_cause_is_one_difference_and_its_sql_fixes_it() {
    let (good, live) = (Database::fresh().await, Database::fresh().await);
    for (files, instead, expected) in OTHERWISE {
        good.clear().await;
        live.clear().await;
        is_fixed(&good, &live, files, instead, expected).await;
    }
}

async fn is_fixed(good: &Database, live: &Database, files: &str, instead: &str, expected: &[&str]) {
    good.execute(files).await;
    live.execute(instead).await;
    let wanted = schema(good).await;
    let found = differences(&wanted, &schema(live).await);
    assert_eq!(ids(&found), expected, "{instead}: {found:#?}");
    fix(live, &found).await;
    let rest = differences(&wanted, &schema(live).await);
    assert!(rest.is_empty(), "{instead}: {rest:#?}");
}

#[tokio::test]
async fn a_value_that_is_too_long_for_the_right_type_is_never_cut() {
    let (good, live) = (Database::fresh().await, Database::fresh().await);
    for (right, wrong, value) in [
        ("varchar(5)", "text", "'abcdef'"),
        ("varchar(5)", "varchar(9)", "'abcdef'"),
        ("varchar(2)", "int", "123"),
        ("char(2)", "text", "'abc'"),
        ("char(1)", "char(2)", "'ab'"),
        ("bit(3)", "varbit", "B'1010'"),
        ("bit(3)", "bit(4)", "B'1010'"),
        ("varbit(3)", "varbit", "B'1010'"),
        ("varchar(5)[]", "text[]", "'{abcdef}'"),
    ] {
        good.clear().await;
        live.clear().await;
        good.execute(&format!("CREATE TABLE t (a {right})")).await;
        live.execute(&format!("CREATE TABLE t (a {wrong}); INSERT INTO t VALUES ({value})")).await;
        let before: String = live.value("SELECT a::text FROM t").await;
        let found = differences(&schema(&good).await, &schema(&live).await);
        assert_eq!(ids(&found), ["column-public.t.a-type"], "{wrong} to {right}");
        let mut connection = live.connect().await;
        let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(found[0].sql.clone())).execute(&mut connection).await;
        assert!(refused.is_err(), "{wrong} to {right}: {}", found[0].sql);
        assert_eq!(live.value::<String>("SELECT a::text FROM t").await, before, "{wrong} to {right}");
    }
}

#[tokio::test]
async fn a_sequence_with_another_owner_keeps_counting() {
    const FREE: &str = "CREATE SEQUENCE t_id_seq;
        CREATE TABLE t (id bigint NOT NULL DEFAULT nextval('t_id_seq'));";
    const OWNED: &str = "CREATE TABLE t (id bigserial);";
    let (good, live) = (Database::fresh().await, Database::fresh().await);
    for (files, instead, change, expected) in [
        (FREE, OWNED, "", &["sequence-public.t_id_seq-owner"][..]),
        (OWNED, OWNED, "ALTER SEQUENCE t_id_seq OWNED BY NONE", &["sequence-public.t_id_seq-owner"]),
        (
            OWNED,
            OWNED,
            "ALTER SEQUENCE t_id_seq OWNED BY NONE; ALTER TABLE t ALTER id DROP DEFAULT",
            &["column-public.t.id-default", "sequence-public.t_id_seq-owner"],
        ),
        (
            OWNED,
            OWNED,
            "ALTER SEQUENCE t_id_seq OWNED BY NONE INCREMENT 5; DROP TABLE t",
            &["sequence-public.t_id_seq-options", "table-public.t-missing", "sequence-public.t_id_seq-owner"],
        ),
        ("CREATE SEQUENCE t_id_seq", OWNED, "", &["sequence-public.t_id_seq-owner", "table-public.t-extra"]),
    ] {
        good.clear().await;
        live.clear().await;
        let instead = format!("{instead} SELECT setval('t_id_seq', 41); {change}");
        is_fixed(&good, &live, files, &instead, expected).await;
        assert_eq!(live.value::<i64>("SELECT nextval('t_id_seq')").await, 42, "{instead}");
    }
}

#[tokio::test]
async fn a_schema_with_what_is_not_compared_is_never_dropped() {
    let (good, live) = (Database::fresh().await, Database::fresh().await);
    live.execute(
        "CREATE SCHEMA hist; CREATE TABLE hist.schema_migrations (version text);
         CREATE SCHEMA mixed; CREATE TABLE mixed.schema_migrations (version text);
         CREATE TABLE mixed.t (id serial); CREATE FUNCTION mixed.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    )
    .await;
    live.execute("CREATE SCHEMA extensions; CREATE EXTENSION citext SCHEMA extensions").await;
    let wanted = schema(&good).await;
    let found = differences(&wanted, &schema(&live).await);
    assert_eq!(ids(&found), ["table-mixed.t-extra", "function-mixed.f:-extra"], "{found:#?}");
    fix(&live, &found).await;
    assert_eq!(ids(&differences(&wanted, &schema(&live).await)), [""; 0]);
    assert_eq!(live.value::<i64>("SELECT count(*) FROM mixed.schema_migrations").await, 0);
}

#[tokio::test]
async fn a_default_of_a_domain_is_the_same_whatever_the_search_path_was() {
    let (good, live) = (Database::fresh().await, Database::fresh().await);
    let function = "CREATE SCHEMA app; CREATE FUNCTION app.one() RETURNS int LANGUAGE sql AS 'SELECT 1'";
    good.execute(&format!(
        "{function}; SET search_path = app, public; CREATE DOMAIN app.d AS int DEFAULT one()"
    ))
    .await;
    live.execute(&format!("{function}; CREATE DOMAIN app.d AS int DEFAULT app.one()")).await;
    let found = differences(&schema(&good).await, &schema(&live).await);
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test]
async fn what_does_not_matter_is_no_difference() {
    let (one, other) = (Database::fresh().await, Database::fresh().await);
    one.execute(BASE).await;
    one.execute("CREATE TABLE t (a int CHECK (a > 0), b serial, c text UNIQUE); CREATE INDEX ON t (a)").await;
    other.execute(BASE).await;
    let role = other.create_role("").await;
    other
        .execute(&format!(
            "CREATE TABLE taken (); CREATE SEQUENCE t_b_seq; CREATE INDEX t_a_idx ON users (id);
             CREATE TABLE t (c text, b serial, a int);
             ALTER TABLE t ADD CHECK (a > 5), ADD CHECK (a > 0), ADD UNIQUE (c);
             ALTER TABLE t DROP CONSTRAINT t_a_check; CREATE INDEX ON t (a);
             DROP TABLE taken; DROP SEQUENCE t_b_seq; DROP INDEX t_a_idx;
             ALTER TABLE users OWNER TO {role}; GRANT SELECT ON t TO {role}; COMMENT ON TABLE t IS 'x';
             ALTER TABLE users SET (fillfactor = 70); ALTER TABLE users ALTER COLUMN name SET STATISTICS 500;
             CREATE TABLE _sqlx_migrations (version int); CREATE TABLE _corveil_runs (id serial);
             CREATE TABLE goose_db_version (id serial PRIMARY KEY); CREATE TABLE schema_migrations (version text);
             ANALYZE; SELECT nextval('ticket'); INSERT INTO users (email, age) VALUES ('x', 20)"
        ))
        .await;
    let found = differences(&schema(&one).await, &schema(&other).await);
    assert!(found.is_empty(), "{found:#?}");
    // The role has to own nothing when it is dropped.
    other.execute("ALTER TABLE users OWNER TO CURRENT_USER; REVOKE ALL ON t FROM PUBLIC").await;
    other.execute(&format!("DROP OWNED BY {role}")).await;
}

#[tokio::test]
async fn a_reading_leaves_the_session_as_it_was() {
    let database = Database::fresh().await;
    database.execute(BASE).await;
    let mut connection = database.connect().await;
    for setting in
        ["quote_all_identifiers = on", "search_path = app", "DateStyle = German", "bytea_output = escape"]
    {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("SET {setting}"))).execute(&mut connection).await.unwrap();
    }
    assert_eq!(read(&mut connection).await.unwrap(), schema(&database).await);
    let path: String = sqlx::query_scalar("SHOW search_path").fetch_one(&mut connection).await.unwrap();
    assert_eq!(path, "\"app\"", "quoted, as it is set");
}

#[tokio::test]
async fn names_are_quoted_as_this_server_does_it_or_the_oldest() {
    let database = Database::fresh().await;
    let words: Vec<String> = database.values("SELECT word::text FROM pg_get_keywords()").await;
    let quoted: Vec<String> = database.values("SELECT quote_ident(word) FROM pg_get_keywords()").await;
    assert!(words.len() > 400);
    for (word, quoted) in words.iter().zip(&quoted) {
        assert_eq!(quoting::quoted(word), quoting::plain(quoted));
    }
}

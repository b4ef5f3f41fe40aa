//! Finds statements that reach beyond their database. They must not be replayed on a server that is in use.
//!
//! Code inside strings is checked too where it is run: the bodies of DO blocks, functions and procedures, and the strings
//! in them that may reach an EXECUTE. The text of an exception does not. The code behind a name cannot be checked: an
//! existing function, or another server's.

use crate::core::sql::lex::{Kind, Token, tokens};
use crate::core::sql::parens::Parens;
use crate::core::sql::reader::starts_with;
use crate::core::sql::split::{Statement, each, first_line};
use crate::core::sql::strings::Strings;

/// Objects of the whole cluster, as they follow CREATE, ALTER, DROP, COMMENT ON and SECURITY LABEL ON.
const OBJECTS: [&str; 6] = ["role", "user", "group", "database", "tablespace", "subscription"];

/// Functions of the server itself, apart from those for replication: settings, files, sessions, the write-ahead log.
const FUNCTIONS: [&str; 14] = [
    "lo_export",
    "pg_backup_start",
    "pg_cancel_backend",
    "pg_create_restore_point",
    "pg_file_write",
    "pg_promote",
    "pg_reload_conf",
    "pg_replication_origin_create",
    "pg_replication_origin_drop",
    "pg_rotate_logfile",
    "pg_start_backup",
    "pg_switch_wal",
    "pg_terminate_backend",
    "pg_wal_replay_resume",
];

/// How deep strings in strings are checked.
const DEPTH: usize = 4;

/// A statement that reaches beyond its database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClusterWide {
    /// Where the statement of the file starts, in bytes.
    pub(crate) start: usize,
    pub(crate) statement: String,
    /// The words that show it, which may be deep in a body.
    pub(crate) words: String,
}

/// The first statement of a file that reaches beyond its database; none where the file ends inside a token. `strings` is how
/// its session reads strings.
pub(crate) fn cluster_wide(sql: &str, strings: Strings) -> Option<ClusterWide> {
    let mut first = None;
    for statement in each(sql, strings) {
        let statement = statement.ok()?;
        if first.is_none() {
            first = reaches_out(&statement).map(|words| ClusterWide {
                start: statement.start,
                statement: first_line(statement.text),
                words,
            });
        }
    }
    first
}

/// The words with which a statement reaches beyond its database, if it does.
fn reaches_out(statement: &Statement<'_>) -> Option<String> {
    let holds_code = holds_code(statement);
    is_cluster_wide(&statement.tokens)
        .then(|| words(&statement.tokens))
        .or_else(|| statement.find_map(calls_the_server))
        .or_else(|| holds_code.then(|| statement.find_map(|tokens| code(&tokens[..1], DEPTH))).flatten())
}

/// The words at the beginning of a cluster-wide statement.
fn words(tokens: &[Token<'_>]) -> String {
    const MOST: usize = 3;
    let words = tokens.iter().take(MOST).take_while(|token| matches!(token.kind, Kind::Word | Kind::Quoted));
    words.map(|token| token.text).collect::<Vec<_>>().join(" ")
}

/// Whether strings of the statement are run, now or later.
fn holds_code(statement: &Statement<'_>) -> bool {
    let heads: [&[&str]; 6] = [
        &["do"],
        &["execute"],
        &["create", "function"],
        &["create", "procedure"],
        &["create", "or", "replace", "function"],
        &["create", "or", "replace", "procedure"],
    ];
    heads.iter().any(|head| statement.starts_with(head))
}

/// The words of a cluster-wide statement that starts anywhere in the code of these strings.
fn code(of: &[Token<'_>], depth: usize) -> Option<String> {
    let strings = of.iter().filter(|token| token.kind == Kind::String).filter_map(|token| {
        // Of a string with escapes, what stands between its quotes is near enough.
        token.string().or_else(|| Some(token.text.split_once('\'')?.1.to_owned()))
    });
    strings.into_iter().find_map(|text| {
        let Ok(inside) = tokens(&text) else { return mentions(&text) };
        let found = |at: usize| {
            let rest = &inside[at..];
            is_cluster_wide(rest).then(|| words(rest)).or_else(|| calls_the_server(rest))
        };
        (0..inside.len())
            .find_map(found)
            .or_else(|| (depth > 0).then(|| code(&executed(&inside), depth - 1)).flatten())
    })
}

/// The tokens of a body whose strings may be run. Where EXECUTE has another argument than strings and calls, such as a
/// variable, that is every string but those of RAISE; otherwise those after EXECUTE.
fn executed<'a>(body: &[Token<'a>]) -> Vec<Token<'a>> {
    let statements = || body.split(|token| token.kind == Kind::Semicolon);
    let runs = |token: &Token<'_>| token.is("execute") || token.text.starts_with("dblink");
    let behind = |statement: &[Token<'a>]| {
        let at = statement.iter().position(runs).map(|at| at + 1);
        at.map(|at| statement[at..].to_vec())
    };
    let operands: Vec<_> = statements().filter_map(behind).flatten().collect();
    let is_name = |pair: &[Token<'_>]| pair[0].kind == Kind::Word && pair[1].kind != Kind::OpenParen;
    if operands.windows(2).any(is_name) || operands.last().is_some_and(|last| last.kind == Kind::Word) {
        let before_raise = |statement: &[Token<'a>]| {
            statement.iter().take_while(|token| !token.is("raise")).copied().collect::<Vec<_>>()
        };
        return statements().flat_map(before_raise).collect();
    }
    operands
}

/// Code that cannot be read as SQL, such as another language's: the words alone.
fn mentions(text: &str) -> Option<String> {
    let words: Vec<_> =
        text.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_ascii_lowercase).collect();
    let is_found = |pair: &&[String]| {
        (["create", "alter", "drop"].contains(&pair[0].as_str()) && OBJECTS.contains(&pair[1].as_str()))
            || (pair[0] == "alter" && pair[1] == "system")
    };
    words.windows(2).find(is_found).map(|pair| pair.join(" "))
}

/// Whether a cluster-wide statement starts here.
fn is_cluster_wide(tokens: &[Token<'_>]) -> bool {
    let Some((head, rest)) = tokens.split_first() else { return false };
    let is_any = |at: usize| rest.get(at).is_some_and(|token| OBJECTS.iter().any(|object| token.is(object)));
    let is = |at: usize, word: &str| rest.get(at).is_some_and(|token| token.is(word));
    if head.is("create") || head.is("alter") || head.is("drop") {
        // A mapping of a user belongs to a foreign server of the database.
        return (is_any(0) && !is(1, "mapping")) || is(0, "system") || is(0, "owned");
    }
    if head.is("comment") {
        return is(0, "on") && is_any(1);
    }
    if head.is("security") {
        return starts_with(rest, &["label"])
            && rest.windows(2).take(4).any(|pair| pair[0].is("on") && OBJECTS.iter().any(|o| pair[1].is(o)));
    }
    if head.is("reassign") {
        return is(0, "owned");
    }
    if head.is("grant") || head.is("revoke") {
        return grants_beyond(rest);
    }
    head.is("copy") && copies_out(rest)
}

/// The name of the server's own function that is called here.
fn calls_the_server(tokens: &[Token<'_>]) -> Option<String> {
    let [name, open, ..] = tokens else { return None };
    let lower = name.text.to_ascii_lowercase();
    let is_one = name.kind == Kind::Word
        && open.kind == Kind::OpenParen
        && (lower.starts_with("pg_") && lower.ends_with("_replication_slot")
            || FUNCTIONS.contains(&lower.as_str()));
    is_one.then_some(lower)
}

/// COPY to a file or to and from a program: what they do stays, wherever the database is.
fn copies_out(rest: &[Token<'_>]) -> bool {
    let Some((at, way)) = outside_parens(rest).find(|(_, token)| token.is("to") || token.is("from")) else {
        return false;
    };
    rest.get(at + 1).is_some_and(|next| next.is("program") || (way.is("to") && next.kind == Kind::String))
}

/// GRANT of a role, which has no ON; and of what the cluster has.
fn grants_beyond(rest: &[Token<'_>]) -> bool {
    const MOST: usize = 64;
    let mut words = outside_parens(&rest[..rest.len().min(MOST)]);
    let Some((at, word)) = words.find(|(_, token)| ["on", "to", "from"].iter().any(|word| token.is(word)))
    else {
        return false;
    };
    !word.is("on")
        || rest
            .get(at + 1)
            .is_some_and(|next| ["database", "tablespace", "parameter"].iter().any(|object| next.is(object)))
}

/// The tokens of a statement that are in no parentheses, each with its place.
fn outside_parens<'t, 'a>(tokens: &'t [Token<'a>]) -> impl Iterator<Item = (usize, &'t Token<'a>)> {
    let mut parens = Parens::default();
    let of_this = tokens.iter().enumerate().take_while(|(_, token)| token.kind != Kind::Semicolon);
    of_this.filter(move |(_, token)| {
        parens.follow(token.kind);
        !parens.is_open() && token.kind != Kind::CloseParen
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sql: &str) -> bool {
        cluster_wide(sql, Strings::Standard).is_some()
    }

    #[test]
    fn what_reaches_beyond_its_database() {
        for sql in [
            "CREATE ROLE app",
            "ALTER ROLE app SET search_path = x",
            "DROP USER IF EXISTS app",
            "CREATE GROUP g",
            "ALTER DATABASE app SET timezone = 'UTC'",
            "CREATE TABLESPACE t LOCATION '/t'",
            "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p",
            "ALTER SYSTEM SET x = 1",
            "GRANT readers TO app",
            "GRANT readers, writers TO app WITH ADMIN OPTION",
            "REVOKE readers FROM app",
            "GRANT CONNECT ON DATABASE app TO x",
            "GRANT SET ON PARAMETER x TO y",
            "REASSIGN OWNED BY a TO b",
            "COMMENT ON ROLE a IS 'x'",
            "SECURITY LABEL FOR x ON ROLE a IS 'y'",
            "DO $$ BEGIN IF true THEN CREATE ROLE app; END IF; END $$",
            "DO $$ BEGIN EXECUTE 'CREATE ROLE ' || quote_ident('x'); END $$",
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET x = 1', current_database()); END $$",
            "DO $$ BEGIN EXECUTE $q$ GRANT readers TO app $q$; END $$",
            "DO $$ DECLARE s text := 'CREATE ROLE a'; BEGIN EXECUTE s; END $$",
            "DO $$ DECLARE s text; BEGIN s = 'CREATE' || ' ROLE a'; s := 'DROP ROLE a'; EXECUTE s USING 1; END $$",
            "DO $$ BEGIN FOR r IN EXECUTE 'ALTER SYSTEM RESET ALL' LOOP END LOOP; END $$",
            "DO $$ BEGIN IF x THEN RAISE 'y'; EXECUTE 'DROP DATABASE d'; END IF; END $$",
            "DO $$ BEGIN PERFORM dblink_exec('dbname=x', 'CREATE ROLE a'); END $$",
            "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DROP ROLE app; END $$",
            "CREATE TABLE t (); SELECT 1; CREATE USER u",
            "SELECT pg_create_physical_replication_slot('s', true)",
            "SELECT * FROM pg_catalog.pg_reload_conf()",
            "WITH x AS (SELECT pg_terminate_backend(1)) SELECT 1",
            "DO $$ BEGIN PERFORM pg_drop_replication_slot('s'); END $$",
            "COPY t TO '/tmp/t'",
            "COPY (SELECT x FROM t) TO PROGRAM 'cat'",
            "COPY t (a, b) FROM PROGRAM 'touch /tmp/t'",
            "DO $$ BEGIN EXECUTE $q$ COPY t FROM PROGRAM 'cat' $q$; END $$",
        ] {
            assert!(found(sql), "{sql}");
        }
        let sql = "SELECT 1;\nDROP ROLE a;";
        let found = cluster_wide(sql, Strings::Standard).unwrap();
        assert_eq!((found.start, found.statement.as_str()), (10, "DROP ROLE a"));
    }

    #[test]
    fn the_words_are_those_that_were_found() {
        for (sql, words) in [
            ("CREATE ROLE app LOGIN", "CREATE ROLE app"),
            ("SELECT Pg_Promote()", "pg_promote"),
            ("DO $$ BEGIN EXECUTE 'alter user ' || quote_ident('x'); END $$", "alter user"),
            ("DO LANGUAGE plpython3u $$ plpy.execute('drop role \\'x') $$", "drop role"),
        ] {
            assert_eq!(cluster_wide(sql, Strings::Standard).unwrap().words, words, "{sql}");
        }
    }

    #[test]
    fn what_stays_within_it() {
        for sql in [
            "CREATE TABLE role (user_name text, database int)",
            "INSERT INTO docs VALUES ('CREATE ROLE app')",
            "GRANT SELECT ON t TO app",
            "GRANT SELECT (a, b), UPDATE (c) ON TABLE t TO app",
            "REVOKE ALL ON SCHEMA public FROM PUBLIC",
            "GRANT USAGE ON FOREIGN SERVER s TO app",
            "CREATE USER MAPPING FOR app SERVER s",
            "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO app",
            "SET ROLE app",
            "CREATE POLICY p ON t TO app USING (true)",
            "ALTER TABLE t OWNER TO app",
            "COMMENT ON TABLE t IS 'alter system'",
            "DO $$ BEGIN CREATE TABLE t (role text); UPDATE t SET role = 'x'; END $$",
            "CREATE SCHEMA AUTHORIZATION app",
            "DO $$ BEGIN RAISE EXCEPTION 'cannot create user %', 'x'; END $$",
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               IF NEW.x THEN RAISE EXCEPTION 'cannot create user'; END IF; RETURN NEW; END $$",
            "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT 'drop database' $$",
            "DO $$ DECLARE s text := 'SELECT 1'; BEGIN EXECUTE s; RAISE NOTICE 'drop role %', s; END $$",
            "DO $$ BEGIN INSERT INTO docs VALUES ('create role'); EXECUTE format('DROP TABLE %I', 't'); END $$",
            "COPY t FROM '/tmp/t'",
            "CREATE TABLE pg_reload_conf AS SELECT 1",
            "SELECT to_regclass('t') FROM t",
        ] {
            assert!(!found(sql), "{sql}");
        }
    }
}

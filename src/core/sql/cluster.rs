//! Statements that reach beyond their database, which therefore must not be tried out on a server that is in use.
//!
//! Code inside strings is looked at too where it is run: the bodies of DO blocks, functions and procedures, and what they
//! put together for EXECUTE. What a name hides cannot be seen: a function that was there before, or another server's.

use crate::core::sql::lex::{Kind, Token, tokens};
use crate::core::sql::reader::starts_with;
use crate::core::sql::split::{Statement, first_line};

/// Objects of the whole cluster, as they stand behind CREATE, ALTER, DROP, COMMENT ON and SECURITY LABEL ON.
const OBJECTS: [&str; 6] = ["role", "user", "group", "database", "tablespace", "subscription"];

/// Functions of the server itself, beside those for replication: settings, files, sessions, the write-ahead log.
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

/// How deep strings in strings are looked at.
const DEPTH: usize = 4;

/// A statement that reaches beyond its database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterWide {
    /// Where the statement of the file starts, in bytes.
    pub start: usize,
    /// The statement's first line.
    pub statement: String,
}

/// The first statement that reaches beyond its database.
#[must_use]
pub fn cluster_wide(statements: &[Statement<'_>]) -> Option<ClusterWide> {
    let reaches_out = |statement: &&Statement<'_>| {
        is_cluster_wide(&statement.tokens)
            || (0..statement.tokens.len()).any(|at| calls_the_server(&statement.tokens[at..]))
            || (holds_code(statement) && code(&statement.tokens, DEPTH))
    };
    statements
        .iter()
        .find(reaches_out)
        .map(|statement| ClusterWide { start: statement.start, statement: first_line(statement.text) })
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

/// Whether a cluster-wide statement starts anywhere in the code of these strings.
fn code(of: &[Token<'_>], depth: usize) -> bool {
    let strings = of.iter().filter(|token| token.kind == Kind::String).filter_map(|token| {
        // Of a string with escapes, what stands between its quotes is near enough.
        token.string().or_else(|| Some(token.text.split_once('\'')?.1.to_owned()))
    });
    strings.into_iter().any(|text| {
        let Ok(inside) = tokens(&text) else { return mentions(&text) };
        let reaches_out = |at: usize| is_cluster_wide(&inside[at..]) || calls_the_server(&inside[at..]);
        (0..inside.len()).any(reaches_out) || (depth > 0 && code(&inside, depth - 1))
    })
}

/// Code that cannot be read as SQL, such as another language's: the words alone.
fn mentions(text: &str) -> bool {
    let words: Vec<_> =
        text.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_ascii_lowercase).collect();
    words.windows(2).any(|pair| {
        (["create", "alter", "drop"].contains(&pair[0].as_str()) && OBJECTS.contains(&pair[1].as_str()))
            || (pair[0] == "alter" && pair[1] == "system")
    })
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

/// Whether a function of the server itself is called here.
fn calls_the_server(tokens: &[Token<'_>]) -> bool {
    let [name, open, ..] = tokens else { return false };
    name.kind == Kind::Word && open.kind == Kind::OpenParen && {
        let name = name.text.to_ascii_lowercase();
        name.starts_with("pg_") && name.ends_with("_replication_slot") || FUNCTIONS.contains(&name.as_str())
    }
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
    let mut depth = 0_usize;
    let of_this = tokens.iter().enumerate().take_while(|(_, token)| token.kind != Kind::Semicolon);
    of_this.filter(move |(_, token)| {
        match token.kind {
            Kind::OpenParen => depth += 1,
            Kind::CloseParen => depth = depth.saturating_sub(1),
            _ => return depth == 0,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::sql::split::statements;

    fn found(sql: &str) -> bool {
        cluster_wide(&statements(sql).unwrap()).is_some()
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
        let found = cluster_wide(&statements(sql).unwrap()).unwrap();
        assert_eq!((found.start, found.statement.as_str()), (10, "DROP ROLE a"));
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
            "COPY t FROM '/tmp/t'",
            "CREATE TABLE pg_reload_conf AS SELECT 1",
            "SELECT to_regclass('t') FROM t",
        ] {
            assert!(!found(sql), "{sql}");
        }
    }
}

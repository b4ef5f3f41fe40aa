//! Finds what a statement leaves in its session, which a run that resumes in a new session would lack.

use crate::core::sql::create::creation;
use crate::core::sql::lex::{Kind, Token};
use crate::core::sql::reader::{Reader, starts_with};
use crate::core::sql::search_path::set_config;
use crate::core::sql::split::Statement;

/// What a statement leaves in its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionState {
    /// Nothing that outlives its transaction.
    None,
    /// A setting or role: the statement does nothing else, so it can be run again before the file is resumed.
    Set,
    /// Something that running the statement again would not bring back, or not alone: a half-done file with it cannot
    /// be resumed by itself.
    Temporary,
}

/// What a statement leaves in its session.
pub(crate) fn session_state(statement: &Statement<'_>) -> SessionState {
    let mut reader = Reader::new(statement);
    if reader.eat(&["set"]) {
        return after_set(reader);
    }
    if reader.eat_any(&["reset", "load"]).is_some() {
        return SessionState::Set;
    }
    if let Some(call) = set_config(statement) {
        return if call.local { SessionState::None } else { SessionState::Set };
    }
    if is_temporary(statement) { SessionState::Temporary } else { SessionState::None }
}

/// `SET`, unless it ends with the transaction. Settings may be called `local.x`.
fn after_set(mut reader: Reader<'_, '_>) -> SessionState {
    let ends = reader.eat_any(&["constraints", "local", "transaction"]).is_some();
    if ends && !reader.eat_kind(Kind::Dot) { SessionState::None } else { SessionState::Set }
}

fn is_temporary(statement: &Statement<'_>) -> bool {
    let tokens = &statement.tokens;
    let pair = |words: &[&str]| tokens.windows(2).any(|pair| starts_with(pair, words));
    if statement.starts_with(&["prepare"]) {
        // A prepared transaction outlives the session.
        return !(statement.starts_with(&["prepare", "transaction"])
            && tokens.get(2).is_some_and(|token| token.kind == Kind::String));
    }
    if statement.starts_with(&["select"]) || statement.starts_with(&["with"]) {
        // It does other work too, which must not be repeated without the user's decision.
        let calls = |tokens: &[Token<'_>]| match tokens {
            [name, open, ..] if name.is("set_config") && open.kind == Kind::OpenParen => Some(()),
            _ => None,
        };
        if statement.find_map(calls).is_some() {
            return true;
        }
    }
    statement.starts_with(&["listen"])
        || (statement.starts_with(&["declare"]) && pair(&["with", "hold"]))
        || creation(statement).is_some_and(|creation| creation.temporary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::sql::split::statements;

    #[test]
    fn what_each_statement_leaves_behind() {
        use SessionState::{None, Set, Temporary};
        let cases = [
            ("SET search_path TO app", Set),
            ("set session statement_timeout = 0", Set),
            ("SET ROLE app", Set),
            ("SET SESSION AUTHORIZATION app", Set),
            ("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", Set),
            ("SET TIME ZONE 'UTC'", Set),
            ("SET local.x = 1", Set),
            ("RESET ROLE", Set),
            ("RESET ALL", Set),
            ("LOAD 'auto_explain'", Set),
            ("SELECT pg_catalog.set_config('search_path', '', false)", Set),
            ("SELECT set_config('a.b', current_setting('c.d'), false)", Set),
            ("SET LOCAL lock_timeout = '1s'", None),
            ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", None),
            ("SET CONSTRAINTS ALL DEFERRED", None),
            ("SELECT set_config('search_path', '', true)", None),
            ("SELECT 1", None),
            ("SELECT x.set_config FROM x", None),
            ("CREATE TABLE t (x int)", None),
            ("CREATE FUNCTION f() RETURNS text RETURN set_config('a.b', 'c', false)", None),
            ("PREPARE TRANSACTION 'x'", None),
            ("DECLARE c CURSOR FOR SELECT 1", None),
            ("DISCARD TEMP", None),
            ("SELECT set_config('a.b', 'c', false), pay_everyone()", Temporary),
            ("WITH x AS (SELECT set_config('a.b', 'c', false)) SELECT * FROM x", Temporary),
            ("CREATE TEMP TABLE t (x int)", Temporary),
            ("CREATE TEMPORARY TABLE IF NOT EXISTS t (x int)", Temporary),
            ("CREATE OR REPLACE TEMP VIEW v AS SELECT 1", Temporary),
            ("CREATE TEMP SEQUENCE s", Temporary),
            ("CREATE FUNCTION pg_temp.f() RETURNS int RETURN 1", Temporary),
            ("SELECT 1 AS x INTO TEMP t", Temporary),
            ("PREPARE p AS SELECT 1", Temporary),
            ("PREPARE transaction AS SELECT 1", Temporary),
            ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", Temporary),
            ("LISTEN x", Temporary),
        ];
        for (sql, expected) in cases {
            assert_eq!(session_state(&statements(sql).unwrap()[0]), expected, "{sql}");
        }
    }
}

//! Finds the search path and the role that a file leaves set in its session. sqlx-cli keeps both for the next files of a run.

use crate::core::sql::lex::{Kind, Token, tokens};
use crate::core::sql::parens::Parens;
use crate::core::sql::reader::Reader;
use crate::core::sql::search_path::names_of_list;
use crate::core::sql::split::{Statement, first_line};

/// Words that open a list of commands in PL/pgSQL.
const OPENING: [&str; 4] = ["begin", "then", "else", "loop"];

/// What decides which objects a name without a schema means, and who owns what is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    /// `search_path`.
    SearchPath,
    /// The current role, or the user of the whole session.
    Role,
}

/// A setting that a file leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeftBehind {
    pub(crate) setting: Setting,
    /// The SQL that sets it, in one line and without what else its statement does.
    pub(crate) sql: String,
    /// Where the statement starts in the file, in bytes.
    pub(crate) start: usize,
}

/// What a file does to a setting as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    /// It ends with the default, which it sets or resets.
    Default,
    Leaves(LeftBehind),
}

impl Effect {
    /// Adds what the next statement does to a setting for the rest of its session. `SET LOCAL` ends with the transaction, and
    /// `SET` on a function or role does not change the session.
    pub(crate) fn follow(&mut self, statement: &Statement<'_>, setting: Setting) {
        match change(statement, setting) {
            Change::None => {}
            Change::Default => *self = Self::Default,
            Change::Other(sql) => {
                let words: Vec<_> = sql.split_whitespace().collect();
                let sql = first_line(&words.join(" "));
                *self = Self::Leaves(LeftBehind { setting, sql, start: statement.start });
            }
        }
    }
}

/// What one statement or command does to a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    None,
    Default,
    /// The SQL that sets another value.
    Other(String),
}

impl Change {
    /// The last one that changes anything.
    fn last(changes: impl Iterator<Item = Self>) -> Self {
        changes.filter(|change| *change != Self::None).last().unwrap_or(Self::None)
    }
}

fn change(statement: &Statement<'_>, setting: Setting) -> Change {
    if !statement.starts_with(&["do"]) {
        let text = |from: &Token<'_>, to: &Token<'_>| {
            statement.text[from.start - statement.start..to.end() - statement.start].to_owned()
        };
        if !is_query(&statement.tokens[0]) {
            return of_command(&statement.tokens, setting, text);
        }
        let mut last = Change::None;
        statement.find_map(|tokens| {
            let change = of_call_at(tokens, setting, &text);
            if change != Change::None {
                last = change;
            }
            None::<()>
        });
        return last;
    }
    // What the body sets outlives it.
    let body = statement.tokens.iter().find_map(Token::string).unwrap_or_default();
    let Ok(inside) = tokens(&body) else { return Change::None };
    // A command follows a semicolon or a word that opens a list of them.
    let is_between =
        |token: &Token<'_>| token.kind == Kind::Semicolon || OPENING.iter().any(|word| token.is(word));
    let text = |from: &Token<'_>, to: &Token<'_>| body[from.start..to.end()].to_owned();
    Change::last(inside.split(is_between).map(|command| of_command(command, setting, text)))
}

/// `text` gives the SQL from one token to another.
fn of_command(
    command: &[Token<'_>],
    setting: Setting,
    text: impl Fn(&Token<'_>, &Token<'_>) -> String,
) -> Change {
    let ([first, ..], [.., last]) = (command, command) else { return Change::None };
    let mut reader = Reader::of(command);
    if reader.eat(&["reset"]) {
        return of_reset(reader, setting);
    }
    if reader.eat(&["set"]) {
        return of_set(reader, setting, || text(first, last));
    }
    if !is_query(first) {
        return Change::None;
    }
    Change::last((0..command.len()).map(|at| of_call_at(&command[at..], setting, &text)))
}

/// Whether a command that begins this way may call functions for their effects.
fn is_query(first: &Token<'_>) -> bool {
    ["select", "with", "values", "perform"].iter().any(|word| first.is(word))
}

/// What a call of `set_config` does that lasts, if one begins here.
fn of_call_at(
    tokens: &[Token<'_>],
    setting: Setting,
    text: &impl Fn(&Token<'_>, &Token<'_>) -> String,
) -> Change {
    let [name, open, ..] = tokens else { return Change::None };
    if !name.is("set_config") || open.kind != Kind::OpenParen {
        return Change::None;
    }
    let mut reader = Reader::of(&tokens[1..]);
    let arguments = reader.skip_parens();
    of_call(arguments, setting, || format!("SELECT {}", text(name, arguments.last().unwrap_or(open))))
}

fn of_reset(mut reader: Reader<'_, '_>, setting: Setting) -> Change {
    let resets = match setting {
        // RESET ALL leaves roles alone (`GUC_NO_RESET_ALL` in PostgreSQL's sources).
        Setting::SearchPath => reader.eat_any(&["search_path", "all"]).is_some(),
        Setting::Role => {
            reader.eat_any(&["role", "session_authorization"]).is_some()
                || reader.eat(&["session", "authorization"])
        }
    };
    if resets { Change::Default } else { Change::None }
}

/// `SET [SESSION] …`, after the SET.
fn of_set(mut reader: Reader<'_, '_>, setting: Setting, text: impl Fn() -> String) -> Change {
    let is_authorization = reader.eat(&["session", "authorization"]);
    if !is_authorization {
        reader.eat(&["session"]);
    }
    let is_set = match setting {
        Setting::SearchPath => !is_authorization && reader.eat_any(&["search_path", "schema"]).is_some(),
        Setting::Role => {
            is_authorization
                || reader.eat(&["session", "authorization"])
                || reader.eat_any(&["role", "session_authorization"]).is_some()
        }
    };
    // A setting of an extension: `role.x`.
    if !is_set || reader.eat_kind(Kind::Dot) {
        return Change::None;
    }
    if reader.peek().is_some_and(|token| token.is("to") || token.text == "=") {
        reader.next();
    }
    let values = reader.rest().iter().filter_map(|token| token.string().or_else(|| token.name()));
    let values: Vec<_> = values.collect();
    if is_default(&values, setting) { Change::Default } else { Change::Other(text()) }
}

/// A call of `set_config`, given its arguments with their parentheses.
fn of_call(arguments: &[Token<'_>], setting: Setting, text: impl Fn() -> String) -> Change {
    let [_open, arguments @ .., _close] = arguments else { return Change::None };
    let mut parens = Parens::default();
    let mut arguments = arguments.split(|token| {
        parens.follow(token.kind);
        !parens.is_open() && token.kind == Kind::Comma
    });
    let mut argument = || arguments.next().unwrap_or_default();
    let (name, value, local) = (argument(), argument(), argument());
    let name = name.first().and_then(Token::string).unwrap_or_default().to_ascii_lowercase();
    let is_it = match setting {
        Setting::SearchPath => name == "search_path",
        Setting::Role => name == "role" || name == "session_authorization",
    };
    let is_local = local.first().is_some_and(|token| {
        token.is("true") || token.string().is_some_and(|text| "true".starts_with(&text.to_ascii_lowercase()))
    });
    if !is_it || is_local {
        return Change::None;
    }
    let values = match value {
        [one] => match (one.string(), setting) {
            (Some(path), Setting::SearchPath) => names_of_list(&path),
            (Some(role), Setting::Role) => vec![role],
            // A variable: that is how a body restores the earlier value.
            (None, _) => return Change::Default,
        },
        _ => return Change::Other(text()),
    };
    if is_default(&values, setting) { Change::Default } else { Change::Other(text()) }
}

/// Whether the value is the one that PostgreSQL begins with, but for schemas of the system.
fn is_default(values: &[String], setting: Setting) -> bool {
    match setting {
        Setting::SearchPath => {
            let own: Vec<_> = values
                .iter()
                .filter(|name| !["$user", "pg_catalog", "pg_temp"].contains(&name.as_str()))
                .collect();
            matches!(own[..], [name] if name == "public" || name == "default")
        }
        Setting::Role => matches!(values, [name] if name == "none" || name == "default"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::sql::split::statements;

    /// The number of the statement that leaves the setting, 0 for the default, nothing for no effect.
    fn left(sql: &str, setting: Setting) -> Option<usize> {
        let statements = statements(sql).unwrap();
        let mut effect = Effect::None;
        for statement in &statements {
            effect.follow(statement, setting);
        }
        match effect {
            Effect::None => None,
            Effect::Default => Some(0),
            Effect::Leaves(left) => {
                Some(1 + statements.iter().position(|statement| statement.start == left.start).unwrap())
            }
        }
    }

    #[test]
    fn a_search_path_that_lasts_is_left_behind() {
        for (sql, expected) in [
            ("SET search_path TO depot, public", Some(1)),
            ("set session SEARCH_PATH = depot; SELECT 1", Some(1)),
            ("SELECT 1; SET SCHEMA 'depot'", Some(2)),
            ("SET search_path TO ''", Some(1)),
            ("SELECT pg_catalog.set_config('search_path', '', false)", Some(1)),
            ("SELECT set_config('Search_Path', 'depot, public', 'f')", Some(1)),
            ("SELECT 1, set_config('search_path', coalesce('a', 'b'), false) FROM t", Some(1)),
            ("WITH x AS (SELECT set_config('search_path', 'depot', false)) TABLE x", Some(1)),
            ("BEGIN; SET search_path TO depot; COMMIT", Some(2)),
            ("DO $$ BEGIN SET search_path TO depot; END $$", Some(1)),
            (
                "DO $$ BEGIN IF true THEN PERFORM set_config('search_path', 'depot', false); END IF; END $$",
                Some(1),
            ),
            ("RESET search_path; SET search_path TO depot", Some(2)),
            ("SET search_path TO depot; RESET search_path", Some(0)),
            ("SET search_path TO depot; RESET ALL", Some(0)),
            ("SET search_path TO depot; SET search_path TO DEFAULT", Some(0)),
            ("SET search_path TO depot; SET search_path = \"$user\", public", Some(0)),
            (
                "SET search_path TO depot; SELECT set_config('search_path', '\"$user\", public', false)",
                Some(0),
            ),
            ("SET search_path = pg_catalog, public, pg_temp", Some(0)),
            (
                "DO $$ DECLARE before text := current_setting('search_path'); BEGIN SET search_path TO depot; \
              PERFORM set_config('search_path', before, false); END $$",
                Some(0),
            ),
            ("SET LOCAL search_path TO depot", None),
            ("SELECT set_config('search_path', 'depot', true)", None),
            ("SELECT set_config('search_path', 'depot', 't'), 'search_path'", None),
            ("DO $$ BEGIN SET LOCAL search_path TO depot; RAISE 'SET search_path TO depot'; END $$", None),
            ("CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = depot AS 'SELECT 1'", None),
            ("CREATE FUNCTION f() RETURNS text RETURN set_config('search_path', 'depot', false)", None),
            ("ALTER ROLE r SET search_path = depot; ALTER DATABASE d SET search_path = depot", None),
            ("SET search_path.x TO depot; SET work_mem = '1MB'; SET ROLE depot; RESET ROLE", None),
            ("SELECT 'SET search_path TO depot'", None),
            ("UPDATE t SET search_path = 'depot'", None),
        ] {
            assert_eq!(left(sql, Setting::SearchPath), expected, "{sql}");
        }
    }

    #[test]
    fn a_role_that_lasts_is_left_behind() {
        for (sql, expected) in [
            ("SET ROLE app", Some(1)),
            ("SET SESSION ROLE 'app'", Some(1)),
            ("SET role TO app", Some(1)),
            ("SET SESSION AUTHORIZATION app", Some(1)),
            ("SET SESSION SESSION AUTHORIZATION app", Some(1)),
            ("SET session_authorization = app", Some(1)),
            ("SELECT set_config('role', 'app', false)", Some(1)),
            ("DO $$ BEGIN SET ROLE app; END $$", Some(1)),
            ("SET ROLE app; RESET ALL", Some(1)),
            ("SET ROLE app; RESET ROLE", Some(0)),
            ("SET ROLE app; SET ROLE NONE", Some(0)),
            ("SET ROLE app; SET SESSION AUTHORIZATION DEFAULT", Some(0)),
            ("SET SESSION AUTHORIZATION app; RESET SESSION AUTHORIZATION", Some(0)),
            ("SET LOCAL ROLE app", None),
            ("SET LOCAL SESSION AUTHORIZATION app", None),
            ("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", None),
            ("SET search_path TO app", None),
            ("ALTER TABLE t OWNER TO app", None),
        ] {
            assert_eq!(left(sql, Setting::Role), expected, "{sql}");
        }
    }

    #[test]
    fn only_what_sets_it_is_named_and_in_one_line() {
        for (sql, named, start) in [
            ("SELECT 1;\n  SET search_path TO depot,\n  public;", "SET search_path TO depot, public", 12),
            (
                "SELECT set_config('app.key', 'secret', false), set_config('search_path', 'depot', false)",
                "SELECT set_config('search_path', 'depot', false)",
                0,
            ),
            (
                "SELECT 1; DO $$ BEGIN PERFORM login('secret'); SET\nsearch_path TO depot; END $$",
                "SET search_path TO depot",
                10,
            ),
        ] {
            let mut effect = Effect::None;
            for statement in &statements(sql).unwrap() {
                effect.follow(statement, Setting::SearchPath);
            }
            let Effect::Leaves(left) = effect else { panic!("{sql}") };
            assert_eq!((left.sql.as_str(), left.start), (named, start));
        }
    }
}

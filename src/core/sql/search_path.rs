//! Follows the search path that a file sets, to find the schema of its unqualified names.

use crate::core::sql::lex::Kind;
use crate::core::sql::reader::Reader;
use crate::core::sql::split::Statement;

/// The schema of new objects, as far as the file sets it: `None` is the session's default.
#[derive(Debug, Default)]
pub(super) struct SearchPath(Option<String>);

impl SearchPath {
    pub(super) fn schema(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Applies the change of a statement to the path, if any.
    pub(super) fn follow(&mut self, statement: &Statement<'_>) {
        let mut reader = Reader::new(statement);
        if reader.eat(&["reset", "search_path"]) || reader.eat(&["reset", "all"]) {
            self.0 = None;
        } else if reader.eat(&["set"]) {
            self.follow_set(reader);
        } else if let Some(call) = set_config(statement)
            && call.sets("search_path")
        {
            self.0 = call.value.as_deref().and_then(first_of_list);
        }
    }

    /// `SET search_path {TO | =} a, b` and `SET SCHEMA 'a'`. A string is one name here, commas included.
    fn follow_set(&mut self, mut reader: Reader<'_, '_>) {
        reader.eat_any(&["session", "local"]);
        if reader.eat(&["search_path"]) {
            // `TO` or `=`.
            reader.next();
        } else if !reader.eat(&["schema"]) {
            return;
        }
        let first = reader.next().filter(|first| !first.is("default"));
        self.0 = first.and_then(|first| first.name().or_else(|| first.string())).and_then(creatable);
    }
}

/// A call of `set_config` that is a whole statement, as `pg_dump` writes it.
pub(super) struct SetConfig {
    /// The setting, if it is a plain string.
    name: Option<String>,
    pub(super) value: Option<String>,
    /// Whether it ends with the transaction.
    pub(super) local: bool,
}

impl SetConfig {
    pub(super) fn sets(&self, setting: &str) -> bool {
        self.name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(setting))
    }
}

/// Reads `SELECT [pg_catalog.]set_config('name', 'value', local)`.
pub(super) fn set_config(statement: &Statement<'_>) -> Option<SetConfig> {
    let mut reader = Reader::new(statement);
    if !reader.eat(&["select"]) || reader.qualified_name()?.name != "set_config" {
        return None;
    }
    let [_open, arguments @ .., _close] = reader.skip_parens() else { return None };
    if reader.peek().is_some() {
        return None;
    }
    let mut arguments = arguments.split(|token| token.kind == Kind::Comma);
    let mut string = || arguments.next()?.first()?.string();
    let (name, value) = (string(), string());
    let local = arguments.next().and_then(|tokens| tokens.first());
    let local = local
        .is_some_and(|token| token.is("true") || matches!(token.string().as_deref(), Some("true" | "t")));
    Some(SetConfig { name, value, local })
}

/// The first schema of a list as `search_path` itself is written.
fn first_of_list(path: &str) -> Option<String> {
    names_of_list(path).into_iter().next().and_then(creatable)
}

/// The schemas of a list as `search_path` itself is written: `app, "My schema"`.
pub(super) fn names_of_list(path: &str) -> Vec<String> {
    let name = |name: &str| {
        let quoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
        quoted.map_or_else(|| name.to_ascii_lowercase(), |name| name.replace("\"\"", "\""))
    };
    path.split(',').map(str::trim).map(name).collect()
}

/// An empty path has no schema to create in, and `"$user"` is for the server to resolve.
fn creatable(schema: String) -> Option<String> {
    (!schema.is_empty() && schema != "$user").then_some(schema)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::sql::split::statements;

    #[test]
    fn the_path_is_followed() {
        let cases = [
            ("SET search_path TO App, public", Some("app")),
            ("set session SEARCH_PATH = \"App\"", Some("App")),
            ("SET LOCAL search_path = 'a, b'", Some("a, b")),
            ("SET SCHEMA 'app'", Some("app")),
            ("SELECT pg_catalog.set_config('search_path', 'app, public', false)", Some("app")),
            ("select set_config('search_path', '\"My \"\"app\"', true)", Some("My \"app")),
            ("SELECT pg_catalog.set_config('search_path', '', false)", None),
            ("SET search_path TO ''", None),
            ("SET search_path TO \"$user\", public", None),
            ("SET search_path TO DEFAULT", None),
            ("RESET search_path", None),
            ("RESET ALL", None),
            ("SET role app", Some("before")),
            ("SELECT set_config('role', 'app', false)", Some("before")),
            ("SELECT 'search_path'", Some("before")),
            ("SELECT set_config(", Some("before")),
            ("ALTER ROLE r SET search_path = app", Some("before")),
        ];
        for (sql, schema) in cases {
            let mut path = SearchPath(Some("before".to_owned()));
            path.follow(&statements(sql).unwrap()[0]);
            assert_eq!(path.schema(), schema, "{sql}");
        }
    }
}

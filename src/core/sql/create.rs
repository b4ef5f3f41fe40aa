//! Finds the objects that a file creates, so that a database which already has them does not count as empty.

use crate::core::sql::parens::Parens;
use std::collections::HashSet;
use std::fmt;

use crate::core::sql::index::create_index;
use crate::core::sql::reader::{QualifiedName, Reader};
use crate::core::sql::search_path::SearchPath;
use crate::core::sql::split::{Statement, each};
use crate::core::sql::strings::Strings;

/// Words between `CREATE` and the kind of object that do not change the kind.
const MODIFIERS: [&str; 7] = ["foreign", "global", "local", "recursive", "temp", "temporary", "unlogged"];

const KINDS: [(&[&str], ObjectKind); 10] = [
    (&["table"], ObjectKind::Table),
    (&["view"], ObjectKind::View),
    (&["materialized", "view"], ObjectKind::MaterializedView),
    (&["sequence"], ObjectKind::Sequence),
    (&["type"], ObjectKind::Type),
    (&["domain"], ObjectKind::Type),
    (&["function"], ObjectKind::Routine),
    (&["procedure"], ObjectKind::Routine),
    (&["aggregate"], ObjectKind::Routine),
    (&["schema"], ObjectKind::Schema),
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Created {
    pub(crate) kind: ObjectKind,
    /// Its schema, from the name or from the search path that the file sets; `None` is the session's own default.
    pub(crate) schema: Option<String>,
    /// Its name; of a routine without the arguments.
    pub(crate) name: String,
    /// Where the statement starts in the file, in bytes.
    pub(crate) start: usize,
}

/// The kinds of objects that are found. Those that live within another (triggers, policies), have no name of their
/// own (casts, operators), belong to the whole cluster (roles) or may come with the server (extensions) are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ObjectKind {
    /// A table; a foreign or partitioned one and one that a query creates included.
    Table,
    Index,
    View,
    MaterializedView,
    Sequence,
    Type,
    /// A function, procedure or aggregate.
    Routine,
    Schema,
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "table",
            Self::Index => "index",
            Self::View => "view",
            Self::MaterializedView => "materialized view",
            Self::Sequence => "sequence",
            Self::Type => "type",
            Self::Routine => "routine",
            Self::Schema => "schema",
        })
    }
}

/// The objects that a file creates without `IF NOT EXISTS`, in its order; none of a file that ends inside a token. `OR REPLACE`
/// counts as creating, and an object that the file drops again still counts: whether it exists is checked in the database.
pub(crate) fn created(sql: &str) -> Vec<Created> {
    let mut creations = Creations::default();
    for statement in each(sql, Strings::Standard) {
        let Ok(statement) = statement else { return Vec::new() };
        creations.follow(&statement);
    }
    creations.created
}

/// What a file creates, read statement by statement.
#[derive(Debug, Default)]
pub(crate) struct Creations {
    path: SearchPath,
    /// Tables that end with the session.
    temporary: HashSet<String>,
    /// What it has created so far.
    pub(crate) created: Vec<Created>,
}

impl Creations {
    /// Adds what the next statement creates.
    pub(crate) fn follow(&mut self, statement: &Statement<'_>) {
        self.path.follow(statement);
        let creation = index_creation(statement, &self.temporary).or_else(|| creation(statement));
        let Some(Creation { kind, temporary, if_not_exists, name }) = creation else { return };
        if temporary {
            self.temporary.insert(name.name);
        } else if !if_not_exists {
            let schema = match kind {
                ObjectKind::Schema => None,
                _ => name.schema.or_else(|| self.path.schema().map(str::to_owned)),
            };
            self.created.push(Created { kind, schema, name: name.name, start: statement.start });
        }
    }
}

pub(super) struct Creation {
    kind: ObjectKind,
    /// Whether the object ends with the session.
    pub(super) temporary: bool,
    if_not_exists: bool,
    name: QualifiedName,
}

/// Reads a statement that creates an object other than an index.
pub(super) fn creation(statement: &Statement<'_>) -> Option<Creation> {
    let mut reader = Reader::new(statement);
    if !reader.eat(&["create"]) {
        return select_into(statement);
    }
    reader.eat(&["or", "replace"]);
    let temporary = eat_modifiers(&mut reader);
    let kind = KINDS.iter().find(|(keywords, _)| reader.eat(keywords))?.1;
    let if_not_exists = reader.eat(&["if", "not", "exists"]);
    if kind == ObjectKind::Schema && reader.eat(&["authorization"]) {
        // The schema has the name of its owner, which only the server knows for `CURRENT_USER` and the like.
        if reader.eat_any(&["current_role", "current_user", "session_user"]).is_some() {
            return None;
        }
    }
    Creation::new(kind, temporary, if_not_exists, reader.qualified_name()?)
}

/// Reads the old form of `CREATE TABLE AS`: `SELECT … INTO [TEMP] [TABLE] name FROM …`.
fn select_into(statement: &Statement<'_>) -> Option<Creation> {
    if !statement.starts_with(&["select"]) && !statement.starts_with(&["with"]) {
        return None;
    }
    let (mut parens, mut is_of_another) = (Parens::default(), false);
    let name = statement.find_map(|tokens| {
        let is_into = !parens.is_open() && tokens[0].is("into") && !is_of_another;
        parens.follow(tokens[0].kind);
        is_of_another = tokens[0].is("insert") || tokens[0].is("merge");
        is_into.then(|| {
            let mut reader = Reader::of(&tokens[1..]);
            let temporary = eat_modifiers(&mut reader);
            reader.eat(&["table"]);
            Some((temporary, reader.qualified_name()?))
        })
    });
    let (temporary, name) = name??;
    Creation::new(ObjectKind::Table, temporary, false, name)
}

/// Reads the words before the kind of object, and returns whether one of them makes it temporary.
fn eat_modifiers(reader: &mut Reader<'_, '_>) -> bool {
    let mut temporary = false;
    while let Some(modifier) = reader.eat_any(&MODIFIERS) {
        temporary |= modifier.is("temp") || modifier.is("temporary");
    }
    temporary
}

/// Reads a `CREATE INDEX` that names its index. An index on a temporary table is temporary too.
fn index_creation(statement: &Statement<'_>, temporary_tables: &HashSet<String>) -> Option<Creation> {
    let index = create_index(statement)?;
    let temporary = index.table.schema.is_none() && temporary_tables.contains(&index.table.name);
    let name = QualifiedName { schema: index.table.schema, name: index.name? };
    Creation::new(ObjectKind::Index, temporary, index.if_not_exists, name)
}

impl Creation {
    #[expect(clippy::unnecessary_wraps, reason = "each caller ends with it")]
    fn new(kind: ObjectKind, temporary: bool, if_not_exists: bool, name: QualifiedName) -> Option<Self> {
        let temporary = temporary || name.schema.as_deref() == Some("pg_temp");
        Some(Self { kind, temporary, if_not_exists, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each object as `kind schema.name`.
    fn objects(sql: &str) -> Vec<String> {
        let name = |object: &Created| match &object.schema {
            Some(schema) => format!("{} {schema}.{}", object.kind, object.name),
            None => format!("{} {}", object.kind, object.name),
        };
        created(sql).iter().map(name).collect()
    }

    #[test]
    fn objects_of_every_kind() {
        let cases = [
            ("CREATE TABLE App.\"Users\" (id int)", "table app.Users"),
            ("CREATE UNLOGGED TABLE t (x int)", "table t"),
            ("create foreign table t (x int) server s", "table t"),
            ("CREATE TABLE t PARTITION OF p FOR VALUES IN (1)", "table t"),
            ("CREATE TABLE t AS SELECT 1", "table t"),
            ("SELECT x, (SELECT 1) INTO UNLOGGED TABLE a.t FROM y", "table a.t"),
            ("WITH w AS (SELECT 1) SELECT * INTO t FROM w", "table t"),
            ("CREATE UNIQUE INDEX CONCURRENTLY i ON app.t (x)", "index app.i"),
            ("CREATE OR REPLACE VIEW v AS SELECT 1", "view v"),
            ("CREATE RECURSIVE VIEW v (n) AS SELECT 1", "view v"),
            ("CREATE MATERIALIZED VIEW v AS SELECT 1", "materialized view v"),
            ("CREATE SEQUENCE s", "sequence s"),
            ("CREATE TYPE app.mood AS ENUM ('a')", "type app.mood"),
            ("CREATE DOMAIN d AS int", "type d"),
            ("CREATE OR REPLACE FUNCTION f(x int) RETURNS int RETURN 1", "routine f"),
            ("CREATE PROCEDURE p() LANGUAGE sql AS ''", "routine p"),
            ("CREATE AGGREGATE a (int) (SFUNC = f, STYPE = int)", "routine a"),
            ("CREATE SCHEMA app AUTHORIZATION me", "schema app"),
            ("CREATE SCHEMA AUTHORIZATION Me", "schema me"),
        ];
        for (sql, expected) in cases {
            assert_eq!(objects(sql), [expected], "{sql}");
        }
    }

    #[test]
    fn what_is_left_out() {
        let cases = [
            "CREATE TABLE IF NOT EXISTS t (x int)",
            "CREATE TEMP TABLE t (x int)",
            "CREATE LOCAL TEMPORARY TABLE t (x int); CREATE INDEX i ON t (x)",
            "CREATE FUNCTION pg_temp.f() RETURNS int RETURN 1",
            "CREATE TEMP VIEW v AS SELECT 1",
            "SELECT 1 INTO TEMP t",
            "WITH w AS (SELECT 1) INSERT INTO t SELECT * FROM w",
            "INSERT INTO t SELECT 1",
            "CREATE INDEX ON t (x)",
            "CREATE INDEX IF NOT EXISTS i ON t (x)",
            "CREATE EXTENSION pgcrypto",
            "CREATE CAST (a AS b) WITHOUT FUNCTION",
            "CREATE FOREIGN DATA WRAPPER w",
            "CREATE TRIGGER r AFTER INSERT ON t EXECUTE FUNCTION f()",
            "CREATE POLICY p ON t",
            "CREATE ROLE r",
            "CREATE DATABASE d",
            "CREATE SCHEMA AUTHORIZATION CURRENT_USER",
            "CREATE SCHEMA IF NOT EXISTS s",
            "SELECT 'CREATE TABLE t ()'",
            "DO $$ BEGIN CREATE TABLE t (); END $$",
        ];
        for sql in cases {
            assert_eq!(objects(sql), [""; 0], "{sql}");
        }
    }

    #[test]
    fn unqualified_names_follow_the_search_path() {
        let sql = "
            CREATE TABLE a (); SET search_path TO App, public; CREATE TABLE b (); CREATE INDEX bi ON b (x);
            CREATE TABLE c.d (); CREATE INDEX di ON c.d (x); CREATE SCHEMA e;
            SELECT pg_catalog.set_config('search_path', '', false); CREATE TABLE f (); DROP TABLE f;";
        assert_eq!(
            objects(sql),
            ["table a", "table app.b", "index app.bi", "table c.d", "index c.di", "schema e", "table f"]
        );
    }

    #[test]
    fn an_object_is_where_its_statement_starts() {
        let sql = "-- é\n;CREATE TABLE t ()";
        assert_eq!(created(sql)[0].start, sql.find("CREATE").unwrap());
    }
}

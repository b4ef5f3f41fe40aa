//! Finds Corveil's tables, and decides whether they may be used.
//!
//! A role that may create objects in a schema can create a table with the name of one of Corveil's: a history with versions
//! that were never applied, or one whose triggers run with the rights of the next run. So a table counts only when it is an
//! ordinary one and its owner could have done everything that a run does anyway.

use crate::core::sql::quote::ident;
use crate::error::{Error, Finding, FindingKind, Result};

/// The history, shared with sqlx.
pub(crate) const HISTORY: &str = "_sqlx_migrations";
/// Statements of files under way.
pub(crate) const STATEMENTS: &str = "_corveil_statements";
/// One row for each run that had something to do.
pub(crate) const RUNS: &str = "_corveil_runs";
pub(crate) const TABLES: [&str; 3] = [HISTORY, STATEMENTS, RUNS];

/// What the tables are used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// To write rows, with the rights of the role that migrates.
    Write,
    /// To read rows and trust them. The role is usually the app's, and owns nothing.
    Read,
}

/// A role, as seen by the session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one answer of the server")]
pub(crate) struct Role {
    pub(crate) name: String,
    /// Whether it is the session's.
    pub(crate) is_current: bool,
    /// Whether the session's role has its rights, by membership and not as a superuser.
    pub(crate) is_granted: bool,
    /// Whether it owns the database.
    pub(crate) owns_database: bool,
    /// Whether it is a superuser.
    pub(crate) is_superuser: bool,
}

/// A relation with the name of one of Corveil's tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one answer of the server")]
pub(crate) struct GateTable {
    pub(crate) schema: String,
    /// Its name, one of [`TABLES`].
    pub(crate) name: String,
    /// Whether it is an ordinary table, not a view or a foreign or partitioned table.
    pub(crate) is_ordinary: bool,
    pub(crate) owner: Role,
    /// Whether the schema is its owner's too, or was opened to its owner by name, and not to the session's role: then it is
    /// the app's role that reads, and another role's to migrate.
    pub(crate) owner_has_schema: bool,
    /// Whether the session's role may use the schema.
    pub(crate) in_reach: bool,
    /// Whether the session's role may read the table.
    pub(crate) readable: bool,
    /// Whether the session's role may write to the table what a run writes.
    pub(crate) writable: bool,
    /// Whether the app's role lacks a right to read it; false when there is no such role.
    pub(crate) needs_grant: bool,
    /// What may interfere with its rows: read when there is something.
    pub(crate) guards: Vec<Guard>,
    /// Whether row security applies to the session's role.
    pub(crate) row_security: bool,
    /// Whether a policy shows every row to the session's role, and none hides any.
    pub(crate) shows_all_rows: bool,
}

/// A trigger or rule of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guard {
    /// What it is: `trigger a`.
    pub(crate) what: String,
    /// The role that wrote the code that it runs.
    pub(crate) author: Role,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Home {
    /// The schema; none where the search path names none that exists.
    pub(crate) schema: Option<String>,
    pub(crate) tables: Vec<GateTable>,
}

impl Home {
    pub(crate) fn table(&self, name: &str) -> Option<&GateTable> {
        self.tables.iter().find(|table| table.name == name)
    }
}

/// The request: the schema, and a role to trust beyond those that the catalog shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wanted<'a> {
    /// The schema of the history, regardless of the search path.
    pub(crate) schema: Option<&'a str>,
    /// A role that is trusted as an owner.
    pub(crate) owner: Option<&'a str>,
}

/// The schema of the tables: the requested one; else the first of the search path that has the history; else the
/// first of the search path, in which it would be created.
///
/// `found` are all relations of these names in the database, and `path` the existing schemas of the search path.
///
/// # Errors
/// [`Error::Mismatch`] when the history is in another schema: everything would be applied again.
pub(crate) fn home(
    found: Vec<GateTable>,
    path: &[String],
    database: &str,
    wanted: Wanted<'_>,
) -> Result<Home> {
    let histories: Vec<&GateTable> = found.iter().filter(|table| table.name == HISTORY).collect();
    let in_path = || path.iter().find(|schema| histories.iter().any(|table| table.schema == **schema));
    let schema = match (wanted.schema, in_path()) {
        (Some(schema), _) => Some(schema.to_owned()),
        (None, Some(schema)) => Some(schema.clone()),
        (None, None) if histories.is_empty() => path.first().cloned(),
        (None, None) => return Err(elsewhere(&histories, path, database)),
    };
    let tables = found.into_iter().filter(|table| Some(&table.schema) == schema.as_ref()).collect();
    Ok(Home { schema, tables })
}

/// The history is not in the schema that the search path selects.
fn elsewhere(histories: &[&GateTable], path: &[String], database: &str) -> Error {
    let named = |schemas: Vec<&str>| {
        schemas.iter().map(|schema| format!("`{schema}`")).collect::<Vec<_>>().join(", ")
    };
    let there = histories[0].schema.as_str();
    let path = match path {
        [] => "no schema that exists and may be used".into(),
        path => named(path.iter().map(String::as_str).collect()),
    };
    let hint = if histories.iter().all(|table| table.in_reach) {
        format!(
            "set `--history-schema {there}` (`CORVEIL_HISTORY_SCHEMA`) if that is the history of these migrations, or to \
             the schema for this app's own history"
        )
    } else {
        format!(
            "`GRANT USAGE ON SCHEMA {} TO` this role if that is the history of these migrations",
            ident(there)
        )
    };
    Error::Mismatch(vec![finding(
        FindingKind::HistoryElsewhere,
        format!(
            "database `{database}` has a migration history in schema {}, and the `search_path` of this session leads to {path}",
            named(histories.iter().map(|table| table.schema.as_str()).collect()),
        ),
        hint,
    )])
}

/// Refuses tables that another role could have created or can interfere with.
///
/// # Errors
/// [`Error::Mismatch`] with each of them.
pub(crate) fn expect_trusted(home: &Home, purpose: Use, wanted: Wanted<'_>) -> Result<()> {
    let findings: Vec<_> = home.tables.iter().flat_map(|table| distrust(table, purpose, wanted)).collect();
    if findings.is_empty() { Ok(()) } else { Err(Error::Mismatch(findings)) }
}

/// Refuses tables that the session's role may not write to: a file could be applied, and not be recorded.
pub(crate) fn expect_writable(home: &Home) -> Result<()> {
    let Some(table) = home.tables.iter().find(|table| !table.writable) else { return Ok(()) };
    let name = format!("{}.{}", table.schema, table.name);
    let rights = match table.name.as_str() {
        HISTORY => "INSERT",
        RUNS => "INSERT, UPDATE",
        _ => "INSERT, UPDATE, DELETE",
    };
    Err(Error::config(
        format!(
            "the role that migrates may not write to table {name}, so nothing that it applies \
            could be recorded"
        ),
        format!(
            "migrate as role `{}`, which owns the table, or `GRANT {rights} ON {}.{} TO` this \
            role",
            table.owner.name,
            ident(&table.schema),
            ident(&table.name)
        ),
    ))
}

/// Whether [`expect_trusted`] can decide without reading the memberships of roles.
pub(crate) fn is_plainly_trusted(table: &GateTable, purpose: Use, wanted: Wanted<'_>) -> bool {
    table.is_ordinary && owner_is_trusted(table, purpose, wanted)
}

fn distrust(table: &GateTable, purpose: Use, wanted: Wanted<'_>) -> Vec<Finding> {
    let name = format!("{}.{}", table.schema, table.name);
    if !table.is_ordinary {
        return vec![finding(
            FindingKind::UntrustedTable,
            format!("{name} is not an ordinary table, so neither Corveil nor sqlx created it"),
            format!("let its owner, role `{}`, rename or drop it", table.owner.name),
        )];
    }
    if !owner_is_trusted(table, purpose, wanted) {
        return vec![untrusted_owner(table, &name, purpose)];
    }
    if purpose == Use::Read {
        // Reading an ordinary table runs no code of other roles.
        return Vec::new();
    }
    let others = table.guards.iter().filter(|guard| !is_trusted(&guard.author, wanted));
    let mut findings: Vec<_> = others
        .map(|guard| {
            finding(
                FindingKind::UntrustedTable,
                format!(
                    "{} on table {name} runs code of role `{}` whenever Corveil writes a row, with the rights of this role",
                    guard.what, guard.author.name
                ),
                format!("drop it, if nothing needs it: `psql -c '\\d {name}'` shows it"),
            )
        })
        .collect();
    if table.row_security {
        findings.push(finding(
            FindingKind::UntrustedTable,
            format!("row security on table {name} applies to this role, so it may hide or refuse rows of the history"),
            format!("migrate as its owner, role `{}`, or `ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY`", table.owner.name),
        ));
    }
    findings
}

fn untrusted_owner(table: &GateTable, name: &str, purpose: Use) -> Finding {
    let owner = &table.owner.name;
    let theirs = match purpose {
        Use::Write => "this role, a role that it is a member of, the owner of the database or a superuser",
        Use::Read => {
            "this role, a role that it is a member of, the owner of the database or of the schema, a role that may create in \
             the schema by a direct grant, or a superuser"
        }
    };
    finding(
        FindingKind::UntrustedTable,
        format!(
            "table {name} belongs to role `{owner}`, and only one of {theirs} is trusted with the history"
        ),
        format!(
            "set `CORVEIL_HISTORY_OWNER` to `{owner}` if that is the role that migrates; if not, inspect the table and drop it"
        ),
    )
}

fn owner_is_trusted(table: &GateTable, purpose: Use, wanted: Wanted<'_>) -> bool {
    is_trusted(&table.owner, wanted) || (purpose == Use::Read && table.owner_has_schema)
}

fn is_trusted(role: &Role, wanted: Wanted<'_>) -> bool {
    role.is_current
        || role.is_granted
        || role.owns_database
        || role.is_superuser
        || wanted.owner == Some(role.name.as_str())
}

fn finding(kind: FindingKind, message: String, hint: String) -> Finding {
    Finding::new(kind, message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(schema: &str, owner: Role) -> GateTable {
        GateTable {
            schema: schema.into(),
            name: HISTORY.into(),
            is_ordinary: true,
            in_reach: true,
            owner,
            ..GateTable::default()
        }
    }

    fn role(name: &str) -> Role {
        Role { name: name.into(), ..Role::default() }
    }

    fn schema_of(tables: &[&str], path: &[&str], wanted: Option<&str>) -> Result<Option<String>, u8> {
        let found = tables.iter().map(|schema| table(schema, role("a"))).collect();
        let path: Vec<_> = path.iter().map(ToString::to_string).collect();
        home(found, &path, "db", Wanted { schema: wanted, owner: None })
            .map(|home| home.schema)
            .map_err(|error| error.exit_code().code())
    }

    #[test]
    fn the_history_is_where_the_search_path_finds_it_or_would_make_it() {
        let some = |schema: &str| Ok(Some(schema.to_owned()));
        for (tables, path, wanted, expected) in [
            (&[][..], &["public"][..], None, some("public")),
            (&[], &[], None, Ok(None)),
            (&["public"], &["app", "public"], None, some("public")),
            (&["public", "app"], &["app", "public"], None, some("app")),
            (&["public"], &["app"], None, Err(4)),
            (&["public"], &[], None, Err(4)),
            (&["public"], &["app"], Some("public"), some("public")),
            (&["public"], &["app"], Some("app"), some("app")),
        ] {
            assert_eq!(schema_of(tables, path, wanted), expected, "{tables:?} {path:?} {wanted:?}");
        }
    }

    #[test]
    fn a_table_counts_by_its_owner() {
        let low = || role("low");
        for (owner, has_schema, reads, writes) in [
            (low(), false, false, false),
            (low(), true, true, false),
            (Role { is_current: true, ..low() }, false, true, true),
            (Role { is_granted: true, ..low() }, false, true, true),
            (Role { owns_database: true, ..low() }, false, true, true),
            (Role { is_superuser: true, ..low() }, false, true, true),
        ] {
            let table = GateTable { owner_has_schema: has_schema, ..table("public", owner) };
            let home = Home { schema: Some("public".into()), tables: vec![table] };
            let trusted =
                |purpose, owner| expect_trusted(&home, purpose, Wanted { schema: None, owner }).is_ok();
            assert_eq!((trusted(Use::Read, None), trusted(Use::Write, None)), (reads, writes), "{home:?}");
            assert!(trusted(Use::Read, Some("low")) && trusted(Use::Write, Some("low")), "{home:?}");
        }
    }

    #[test]
    fn what_runs_code_of_others_when_a_row_is_written_is_named() {
        let mine = Role { is_current: true, ..role("me") };
        let guard = |author| Guard { what: "trigger `t`".into(), author };
        let seen = |table| {
            let home = Home { schema: None, tables: vec![table] };
            expect_trusted(&home, Use::Write, Wanted::default()).err().map(|error| error.to_string())
        };
        let guarded = |author| GateTable { guards: vec![guard(author)], ..table("public", mine.clone()) };
        assert_eq!(seen(guarded(mine.clone())), None);
        assert!(
            seen(guarded(role("low")))
                .unwrap()
                .starts_with("trigger `t` on table public._sqlx_migrations runs")
        );
        let secured = GateTable { row_security: true, ..table("public", mine.clone()) };
        assert!(seen(secured).unwrap().contains("row security"));
        let view = GateTable { is_ordinary: false, ..table("public", mine.clone()) };
        assert!(seen(view).unwrap().contains("not an ordinary table"));
    }
}

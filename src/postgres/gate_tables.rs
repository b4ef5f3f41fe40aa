//! Finds Corveil's tables and what decides whether they may be used: their owners, and what interferes with their rows.

use sqlx::postgres::{PgConnection, PgRow};

use crate::core::schema::quoting::unquoted;
use crate::core::sql::quote::literal;
use crate::core::trust::{
    GateTable, Guard, HISTORY, Home, Role, STATEMENTS, TABLES, Use, Wanted, is_plainly_trusted,
};
use crate::error::Result;
use crate::postgres::query::{self, get};

/// A relation that is named as one of the tables, as [`tables_sql`] lists it.
pub(super) struct Listed {
    table: GateTable,
    oid: i64,
    /// Whether it has triggers or rules.
    has_guards: bool,
    /// Whether it is one of statement records, and there may be any.
    pub(super) has_records: bool,
}

/// Lists every relation of the database that is named as one of the tables, to be read by [`listed`]. `app_role` is the
/// role that must be able to read them.
///
/// Functions rather than joins: a new backend has to learn every table that a query names. The size of a table can be asked
/// before it is known whose the table is. Of the owner it returns only whether that is the session's role; [`complete`] asks for
/// the rest where it is not.
pub(super) fn tables_sql(app_role: Option<&str>) -> String {
    // The privilege functions fail for a role that does not exist; the subquery does not.
    let needs_grant = app_role.map_or_else(
        || "false".into(),
        |role| {
            format!(
                "coalesce((SELECT NOT (has_schema_privilege(a.oid, c.relnamespace, 'USAGE') \
                 AND has_table_privilege(a.oid, c.oid, 'SELECT')) FROM pg_roles a WHERE a.rolname = {}), false)",
                literal(role)
            )
        },
    );
    format!(
        include_str!("gate_tables/tables.sql"),
        needs_grant = needs_grant,
        history = HISTORY,
        statements = STATEMENTS,
        names = TABLES.map(literal).join(", ")
    )
}

/// Reads a row of [`tables_sql`].
pub(super) fn listed(row: &PgRow) -> Result<Listed> {
    Ok(Listed {
        table: GateTable {
            schema: unquoted(get(row, "schema")?),
            name: get(row, "name")?,
            is_ordinary: get(row, "is_ordinary")?,
            owner: Role { name: get(row, "owner")?, is_current: get(row, "is_own")?, ..Role::default() },
            owner_has_schema: false,
            in_reach: get(row, "in_reach")?,
            readable: get(row, "readable")?,
            writable: get(row, "writable")?,
            needs_grant: get(row, "needs_grant")?,
            guards: Vec::new(),
            row_security: get(row, "row_security")?,
            shows_all_rows: false,
        },
        oid: get(row, "oid")?,
        has_guards: get(row, "has_guards")?,
        has_records: get(row, "has_records")?,
    })
}

/// The tables of all schemas.
pub(super) fn tables(listed: &[Listed]) -> Vec<GateTable> {
    listed.iter().map(|listed| listed.table.clone()).collect()
}

/// Asks for what does not matter where the session's role owns the tables and nothing is attached to them: who else the
/// owner is, triggers, rules and policies.
pub(super) async fn complete(
    connection: &mut PgConnection,
    home: &mut Home,
    listed: &[Listed],
    purpose: Use,
    wanted: Wanted<'_>,
) -> Result<()> {
    let oid_of = |table: &GateTable| {
        listed.iter().find(|listed| listed.table == *table).map(|listed| (listed.oid, listed.has_guards))
    };
    let mut asked: Vec<(i64, &mut GateTable)> = home
        .tables
        .iter_mut()
        .filter_map(|table| {
            let (oid, has_guards) = oid_of(table)?;
            let is_plain = is_plainly_trusted(table, purpose, wanted) && !has_guards && !table.row_security;
            (!is_plain).then_some((oid, table))
        })
        .collect();
    if asked.is_empty() {
        return Ok(());
    }
    let oids = asked.iter().map(|(oid, _)| oid.to_string()).collect::<Vec<_>>().join(", ");
    let results =
        query::all(connection, "reading who owns the migration history", details_sql(&oids)).await?;
    let [authors, policies] = results.as_slice() else {
        return Err(query::no_row("reading who owns the migration history"));
    };
    for (oid, table) in &mut asked {
        for row in authors {
            if get::<i64>(row, "relation")? == *oid {
                if let Some(what) = get(row, "what")? {
                    table.guards.push(Guard { what, author: role(row)? });
                } else {
                    table.owner_has_schema = get(row, "owner_has_schema")?;
                    table.owner = role(row)?;
                }
            }
        }
        for row in policies {
            if get::<i64>(row, "relation")? == *oid {
                table.shows_all_rows = get(row, "shows_all_rows")?;
            }
        }
    }
    Ok(())
}

/// Owners, and the authors of what runs when a row is written; then whether policies show every row.
fn details_sql(oids: &str) -> String {
    let memberships = include_str!("gate_tables/memberships.sql");
    format!(include_str!("gate_tables/details.sql"), memberships = memberships, oids = oids)
}

fn role(row: &PgRow) -> Result<Role> {
    Ok(Role {
        name: get(row, "author")?,
        is_current: get(row, "is_current")?,
        is_granted: get(row, "is_granted")?,
        owns_database: get(row, "owns_database")?,
        is_superuser: get(row, "is_superuser")?,
    })
}

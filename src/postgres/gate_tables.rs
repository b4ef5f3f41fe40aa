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
/// before it is known whose the table is. Of the owner it says only whether that is the session's role; [`complete`] asks for
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
        "SELECT c.relnamespace::regnamespace::text, c.relname::text, c.relkind = 'r', pg_get_userbyid(c.relowner)::text, \
           pg_get_userbyid(c.relowner) = current_user, has_schema_privilege(c.relnamespace, 'USAGE'), \
           has_table_privilege(c.oid, 'SELECT'), {needs_grant}, row_security_active(c.oid), c.oid::int8, \
           c.relhastriggers OR c.relhasrules, has_any_column_privilege(c.oid, 'INSERT') \
             AND (c.relname = '{HISTORY}' OR has_any_column_privilege(c.oid, 'UPDATE')) \
             AND (c.relname <> '{STATEMENTS}' OR has_table_privilege(c.oid, 'DELETE')), \
           c.relname = '{STATEMENTS}' AND coalesce(pg_relation_size(c.oid), 0) > 0 \
         FROM pg_class c WHERE c.relname IN ({}) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
           AND c.relpersistence <> 't';",
        TABLES.map(literal).join(", ")
    )
}

/// Reads a row of [`tables_sql`].
pub(super) fn listed(row: &PgRow) -> Result<Listed> {
    Ok(Listed {
        table: GateTable {
            schema: unquoted(get(row, 0)?),
            name: get(row, 1)?,
            is_ordinary: get(row, 2)?,
            owner: Role { name: get(row, 3)?, is_current: get(row, 4)?, ..Role::default() },
            owner_has_schema: false,
            in_reach: get(row, 5)?,
            readable: get(row, 6)?,
            writable: get(row, 11)?,
            needs_grant: get(row, 7)?,
            guards: Vec::new(),
            row_security: get(row, 8)?,
            shows_all_rows: false,
        },
        oid: get(row, 9)?,
        has_guards: get(row, 10)?,
        has_records: get(row, 12)?,
    })
}

/// The tables of all schemas.
pub(super) fn tables(listed: &[Listed]) -> Vec<GateTable> {
    listed.iter().map(|listed| listed.table.clone()).collect()
}

/// Asks for what does not matter where the session's role owns the tables and nothing is attached to them: who else the
/// owner is, triggers, rules and policies.
///
/// # Errors
/// When the server cannot be asked.
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
            if get::<i64>(row, 0)? == *oid {
                if let Some(what) = get(row, 1)? {
                    table.guards.push(Guard { what, author: role(row, 3)? });
                } else {
                    table.owner_has_schema = get(row, 2)?;
                    table.owner = role(row, 3)?;
                }
            }
        }
        for row in policies {
            if get::<i64>(row, 0)? == *oid {
                table.shows_all_rows = get(row, 1)?;
            }
        }
    }
    Ok(())
}

/// Whether the schema is the owner's of its table too, or was opened to that owner by name, and not to the session's role.
/// What PUBLIC may do says nothing: up to PostgreSQL 14 everyone may create in `public`.
const OWNER_HAS_SCHEMA: &str = "c.relowner = n.nspowner OR (NOT me.rolsuper AND me.oid <> n.nspowner AND \
    EXISTS (SELECT FROM aclexplode(n.nspacl) g WHERE g.privilege_type = 'CREATE' AND g.grantee = c.relowner) AND \
    NOT EXISTS (SELECT FROM aclexplode(n.nspacl) g WHERE g.privilege_type = 'CREATE' AND g.grantee = me.oid))";

/// Owners, and the authors of what runs when a row is written; then whether policies show every row. A rule is its table's
/// owner's, a trigger the function's owner's that it calls.
///
/// Memberships are followed by hand: a superuser counts as a member of every role, and from PostgreSQL 16 on a role as a member
/// of each role that it made, without having that role’s rights.
fn details_sql(oids: &str) -> String {
    let mine = "WITH RECURSIVE mine(role) AS ( \
        SELECT oid FROM pg_roles WHERE rolname = current_user UNION \
        SELECT m.roleid FROM pg_auth_members m JOIN mine ON mine.role = m.member, to_jsonb(m) j \
          WHERE coalesce((j->>'inherit_option')::bool OR (j->>'set_option')::bool, true))";
    format!(
        "{mine}, authors(relation, what, author) AS ( \
           SELECT c.oid, NULL, c.relowner FROM pg_class c WHERE c.oid IN ({oids}) UNION ALL \
           SELECT t.tgrelid, 'trigger ' || quote_ident(t.tgname), p.proowner FROM pg_trigger t \
             JOIN pg_proc p ON p.oid = t.tgfoid \
             WHERE t.tgrelid IN ({oids}) AND NOT t.tgisinternal AND t.tgenabled <> 'D' UNION ALL \
           SELECT r.ev_class, 'rule ' || quote_ident(r.rulename), c.relowner FROM pg_rewrite r \
             JOIN pg_class c ON c.oid = r.ev_class WHERE r.ev_class IN ({oids})) \
         SELECT a.relation::int8, a.what, {OWNER_HAS_SCHEMA}, o.rolname::text, o.oid = me.oid, \
             o.oid IN (SELECT role FROM mine), o.oid = d.datdba, o.rolsuper \
           FROM authors a JOIN pg_roles o ON o.oid = a.author JOIN pg_class c ON c.oid = a.relation \
           JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles me ON me.rolname = current_user \
           JOIN pg_database d ON d.datname = current_database(); \
         {mine} SELECT p.polrelid::int8, bool_or(p.polpermissive AND pg_get_expr(p.polqual, p.polrelid) = 'true') \
             AND NOT bool_or(NOT p.polpermissive) \
           FROM pg_policy p WHERE p.polrelid IN ({oids}) AND p.polcmd IN ('r', '*') \
             AND (0 = ANY (p.polroles) OR EXISTS (SELECT FROM mine WHERE mine.role = ANY (p.polroles))) \
           GROUP BY 1;"
    )
}

fn role(row: &PgRow, first: usize) -> Result<Role> {
    Ok(Role {
        name: get(row, first)?,
        is_current: get(row, first + 1)?,
        is_granted: get(row, first + 2)?,
        owns_database: get(row, first + 3)?,
        is_superuser: get(row, first + 4)?,
    })
}

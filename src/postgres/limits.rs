//! How many connections a role and a database allow.

use sqlx::postgres::PgConnection;

use crate::error::{Error, Result};
use crate::postgres::query::{self, get};

/// The error of a limit that a run, which needs two connections, always exceeds; none where there is no such limit.
///
/// A superuser has none ([source](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/utils/init/postinit.c)).
pub(crate) async fn too_low_for_two(connection: &mut PgConnection) -> Result<Option<Error>> {
    let sql = "SELECT r.rolname::text, r.rolconnlimit, d.datname::text, d.datconnlimit, r.rolsuper \
               FROM pg_roles r, pg_database d WHERE r.rolname = session_user AND d.datname = current_database()";
    let row = query::one(connection, "reading how many connections are allowed", sql.into()).await?;
    let (role, of_role): (String, i32) = (get(&row, 0)?, get(&row, 1)?);
    let (database, of_database): (String, i32) = (get(&row, 2)?, get(&row, 3)?);
    if get(&row, 4)? {
        return Ok(None);
    }
    let (what, sql) = match (of_role, of_database) {
        (0 | 1, _) => (format!("role `{role}`"), format!("ALTER ROLE {role}")),
        (_, 0 | 1) => (format!("database `{database}`"), format!("ALTER DATABASE {database}")),
        _ => return Ok(None),
    };
    Ok(Some(Error::config(
        format!(
            "{what} allows one connection at a time, and a run needs two: one applies files, \
            the other one cancels statements and reads which sessions block them"
        ),
        format!("`{sql} CONNECTION LIMIT 2` or more, as the app's own connections count too"),
    )))
}

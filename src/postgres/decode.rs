//! Answers that are not of the shape that was asked for.

use sqlx::postgres::PgRow;
use sqlx::{Column, ColumnIndex, Row, TypeInfo};

use crate::error::Error;

/// A value that cannot be read. The program asks for what it knows the type of, so a table is not as it was made. It is no
/// fault of the connection, and does not pass.
pub(crate) fn undecodable(row: &PgRow, column: impl ColumnIndex<PgRow>, error: &sqlx::Error) -> Error {
    let column = column.index(row).ok().and_then(|index| row.columns().get(index));
    let name = column.map_or("?", |column| column.name());
    let is = match (column, is_null(error)) {
        (Some(_), true) => "is NULL".to_owned(),
        (Some(column), false) => format!("is of type {}", column.type_info().name().to_ascii_lowercase()),
        (None, _) => "is missing".to_owned(),
    };
    Error::config(
        format!("column `{name}` {is}, which is not as sqlx and Corveil make their tables"),
        "compare the columns of `_sqlx_migrations`, `_corveil_statements` and \
            `_corveil_runs` with those of another database, and change them back; a table of \
            another program belongs into another schema than `--history-schema` names",
    )
}

fn is_null(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::ColumnDecode { source, .. } if source.is::<sqlx::error::UnexpectedNullError>())
}

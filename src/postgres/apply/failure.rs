//! Describes a statement that failed: where it is in its file, and what it left.

use crate::core::prepared::Prepared;
use crate::core::sql::position::{byte_of_char, position};
use crate::core::sql::split::first_line;
use crate::error::failure::{Left, Position};
use crate::error::{Error, Failure, ServerError};

/// A failure without the lists, which [`super::Session::apply`] fills in.
pub(super) fn failure(
    prepared: &Prepared<'_>,
    (position, statement): (Option<Position>, String),
    (server, blockers): (ServerError, Vec<String>),
    attempts: u32,
    left: Left,
) -> Error {
    Error::Migration(Box::new(Failure {
        file: prepared.migration.file.clone(),
        version: prepared.migration.version,
        position,
        statement,
        try_again: server.may_pass(),
        server,
        attempts,
        blockers,
        applied: Vec::new(),
        not_applied: Vec::new(),
        left,
        cause: None,
    }))
}

/// Where a statement failed: its place in the file and its first line.
///
/// `starts` are the offsets of the file's statements in bytes, `finished` of which were done; `character` is the
/// server's position in the file's own SQL, from 1. A syntax error is found before anything runs, so a position wins
/// over the count.
pub(super) fn locate(
    sql: &str,
    starts: &[usize],
    finished: usize,
    character: Option<usize>,
) -> (Option<Position>, String) {
    let byte = character.map(|character| byte_of_char(sql, character)).filter(|byte| *byte < sql.len());
    let start = match byte {
        Some(byte) => starts.iter().copied().rfind(|start| *start <= byte),
        // A syntax error past the file's end: its last statement is not complete.
        None if character.is_some() && finished == 0 => starts.last().copied(),
        None => starts.get(finished).copied(),
    };
    let at = byte.or(start).map(|byte| position(sql, byte));
    (at, start.map_or_else(|| "COMMIT with its history row".into(), |start| first_line(&sql[start..])))
}

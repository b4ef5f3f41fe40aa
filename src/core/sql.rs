//! SQL as PostgreSQL reads it, as far as applying a file needs to know: tokens, statements, and what they do.
//!
//! Nothing here parses whole statements: each question is answered from the tokens that decide it, so SQL that is
//! newer than this build passes through untouched.

pub(crate) mod carried;
pub(crate) mod cluster;
pub(crate) mod concurrent;
pub(crate) mod create;
pub(crate) mod index;
pub(crate) mod lex;
pub(crate) mod marks;
mod parens;
pub(crate) mod position;
mod psql;
pub(crate) mod quote;
mod reader;
pub(crate) mod refuse;
mod search_path;
pub(crate) mod session;
pub(crate) mod split;
pub(crate) mod strings;
pub(crate) mod transaction;

pub(crate) use reader::QualifiedName;

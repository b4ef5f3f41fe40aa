//! SQL as PostgreSQL reads it, as far as applying a file needs to know: tokens, statements, and what they do.
//!
//! Nothing here parses whole statements: each question is answered from the tokens that decide it, so SQL that is
//! newer than this build passes through untouched.

pub mod carried;
pub mod cluster;
pub mod concurrent;
pub mod create;
pub mod index;
pub mod lex;
pub mod marks;
mod parens;
pub mod position;
mod psql;
pub mod quote;
mod reader;
pub mod refuse;
mod search_path;
pub mod session;
pub mod split;
pub mod strings;
pub mod transaction;

pub use reader::QualifiedName;

//! SQL as PostgreSQL reads it, as far as applying a file needs to know: tokens, statements, and what they do.

pub mod quote;

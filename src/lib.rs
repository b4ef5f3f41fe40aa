//! Schema migrations that gate rollouts, the same way under Helm, Helmfile and Argo CD.
//!
//! Layers, each using only those below it: `program`, `cli`, `commands`, `operations`, then `postgres` and `output`, then
//! `config`, then `core`, then `error` and `exit`.
//!
//! What is public is what the program itself, the project's own tasks and the tests have to agree on with it.

mod cli;
mod commands;
mod compute;
mod config;
mod core;
mod error;
mod exit;
mod memory;
mod operations;
mod output;
mod postgres;
mod program;
mod stop;

pub use crate::cli::Cli;
pub use crate::config::database::Database;
pub use crate::config::{env, source};
pub use crate::core::batch::hex;
pub use crate::core::catalog::Catalog;
pub use crate::core::retry::DEFAULT_RETRIES;
pub use crate::error::{Error, Result};
pub use crate::exit::ExitCode;
pub use crate::program::run;
pub use crate::stop::Stop;

/// Other tools' histories.
pub mod other_tool {
    pub use crate::core::other_tool::mapping::{Mapping, map};
    pub use crate::core::other_tool::{Tool, ToolHistory, only};
    pub use crate::postgres::other_tool::histories::histories;
}

/// The migration lock.
pub mod lock {
    pub use crate::postgres::lock::{key, lock_holders_sql};
}

/// Schemas: what files make, what a database has, and how two of them differ.
pub mod schema {
    pub use crate::config::snapshots::Snapshot;
    pub use crate::core::schema::differences::differences;
    pub use crate::core::schema::{Schema, changes, quoting};
    pub use crate::error::difference::Difference;
    pub use crate::operations::expected::Expected;
    pub use crate::postgres::schema::read;
}

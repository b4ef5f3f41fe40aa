//! The vocabulary of the scenarios: servers, databases, folders, runs of the program, and ways to disturb them.

mod account;
mod answer;
mod authority;
pub(crate) mod corveil;
pub(crate) mod database;
pub(crate) mod folder;
pub(crate) mod http;
pub(crate) mod inspect;
mod lifeline;
pub(crate) mod migrator;
pub(crate) mod pgbouncer;
mod port;
mod programs;
pub(crate) mod proxy;
pub(crate) mod schema;
pub(crate) mod server;
pub(crate) mod settings;
mod url;
mod wait;

pub(crate) use self::authority::Authority;
pub(crate) use self::corveil::Corveil;
pub(crate) use self::database::Database;
pub(crate) use self::folder::Folder;
pub(crate) use self::http::Reply;
pub(crate) use self::inspect::SOON;
pub(crate) use self::migrator::{Migrator, Step};
pub(crate) use self::pgbouncer::{PgBouncer, PoolMode};
pub(crate) use self::proxy::{Moment, Proxy};
pub(crate) use self::server::Server;
pub(crate) use self::url::Url;
pub(crate) use self::wait::wait_until;

//! Where the settings come from: the environment, the folder of migrations, the database.

pub mod database;
pub mod databases;
pub mod duration;
pub mod env;
pub mod flags;
pub mod host;
pub(crate) mod origin;
pub mod restart;
pub mod secret;
pub mod snapshots;
pub mod source;
pub mod trust;

//! Where the settings come from: the environment, the folder of migrations, the database.

pub(crate) mod database;
pub(crate) mod databases;
pub(crate) mod duration;
pub mod env;
pub(crate) mod flags;
pub(crate) mod host;
pub(crate) mod origin;
pub(crate) mod restart;
pub(crate) mod secret;
pub(crate) mod snapshots;
pub mod source;
pub(crate) mod trust;

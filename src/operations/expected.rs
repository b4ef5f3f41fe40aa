//! The schema that the files make: from the snapshots that the program carries, or by replaying the files in a scratch
//! database.
//!
//! A scratch database is made on the server of `--scratch-url`, else beside the live database where the role may make one,
//! else within the embedded server where the build has it. Files that reach beyond their database are replayed on no
//! server that is in use.

mod replay;

use std::path::PathBuf;

use clap::Args as ClapArgs;
use tracing::{info, warn};

use crate::config::database::Database;
use crate::config::secret::SecretUrl;
use crate::config::target::{self, Purpose, Target};
use crate::config::{env, snapshots};
use crate::core::catalog::Catalog;
use crate::core::ignore::{Ignore, LeftOut};
use crate::core::schema::Schema;
use crate::error::{Error, Result};
use crate::operations::open::{Common, Opened};
use crate::stop::Stop;
use replay::Replay;

/// Where files are replayed, and what is compared then.
#[derive(Debug, Clone, ClapArgs)]
pub struct Scratch {
    /// Server on which the files of `--source` may be replayed, in a database that is dropped again; set the variable rather
    /// than the flag when there is a password in it: everybody on the machine can read a flag
    #[arg(long, value_name = "URL", env = env::SCRATCH_URL, hide_env_values = true)]
    pub scratch_url: Option<SecretUrl>,
    /// Objects that no comparison of schemas counts, as SCHEMA or SCHEMA.NAME with `*`, `?` and `[a-z]`; may be given several
    /// times. Partitions of tables that migrations create never count
    #[arg(long, value_name = "PATTERN", env = env::IGNORE, value_delimiter = ',')]
    ignore: Vec<String>,
    /// File with such patterns, one on each line; a line that begins with # is a comment
    #[arg(long, value_name = "PATH", env = env::IGNORE_FILE)]
    ignore_file: Option<PathBuf>,
}

impl Scratch {
    /// What is not compared.
    ///
    /// # Errors
    /// [`Error::Config`] for what is no pattern, and a file that cannot be read.
    pub fn ignore(&self) -> Result<Ignore> {
        let refused = |name: &str, why: String| {
            Error::config(
                format!("`{name}`: {why}"),
                "write `SCHEMA` or `SCHEMA.NAME`, with `*`, `?` and `[a-z]`, such as \
                `public.events_*`",
            )
        };
        let ignore =
            Ignore::parse(self.ignore.iter().map(String::as_str)).map_err(|why| refused("--ignore", why))?;
        let Some(path) = &self.ignore_file else { return Ok(ignore) };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Error::config(
                format!("the file of patterns `{name}` cannot be read: {error}"),
                "correct `--ignore-file`, or leave it out",
            )
        })?;
        let of_file = Ignore::parse_file(&text).map_err(|why| refused(&name, why))?;
        Ok(ignore.and(of_file))
    }
}

/// Says what was not compared, and which patterns are of no use.
pub fn say_what_was_left_out(left_out: LeftOut, unused: &[&str]) {
    if let Some(line) = left_out.line() {
        info!("{line}");
    }
    for pattern in unused {
        warn!("the pattern `{pattern}` of `--ignore` matches nothing here");
    }
}

/// The schemas that the files make.
pub struct Expected<'a> {
    catalog: &'a Catalog,
    home: &'a str,
    /// Whether the program's own snapshots count.
    has_snapshots: bool,
    /// Nothing where no folder is given: the program has snapshots of the files that it carries.
    replay: Option<Replay<'a>>,
}

impl<'a> Expected<'a> {
    /// Decides where the schemas come from; nothing is replayed yet. `opened` is the live database, and `home` the schema
    /// in it where the history is, and so what the files create unqualified.
    ///
    /// # Errors
    /// [`Error::Config`] when `--scratch-url` is no URL.
    pub fn new(
        catalog: &'a Catalog,
        common: &Common,
        scratch: &Scratch,
        opened: &Opened,
        home: &'a str,
        stop: &'a Stop,
    ) -> Result<Self> {
        let url = scratch.scratch_url.as_ref().map(|url| url.database(env::SCRATCH_URL)).transpose()?;
        // Files are tried with the rights that they are applied with.
        let live = match target::resolve(Purpose::Migrate)? {
            Target::Server { database, .. } if !opened.database.is_single_connection() => Some(database),
            Target::Server { .. } | Target::Embedded => None,
        };
        let replay = common.files.source.as_ref().map(|_| Replay::new(catalog, url, live, home, stop));
        Ok(Self { catalog, home, has_snapshots: true, replay })
    }

    /// The schemas that files make on a server of nobody's, in the schema `home`.
    #[must_use]
    pub fn on(server: Database, catalog: &'a Catalog, home: &'a str, stop: &'a Stop) -> Self {
        let replay = Some(Replay::new(catalog, Some(server), None, home, stop));
        Self { catalog, home, has_snapshots: false, replay }
    }

    /// The schema after all files up to this version. Ask in ascending order: files are replayed once.
    ///
    /// # Errors
    /// [`Error::Config`] when the files can be replayed nowhere, or do not apply.
    pub async fn at(&mut self, version: i64) -> Result<Schema> {
        let Some(replay) = &mut self.replay else {
            return snapshots::schema_at(self.catalog, version, self.home);
        };
        // The files of a folder may be those that the program carries, as far as they are asked for.
        if self.has_snapshots
            && let Ok(schema) = snapshots::schema_at(self.catalog, version, self.home)
        {
            return Ok(schema);
        }
        replay.at(version).await
    }

    /// Drops the scratch database. To be called however the work with it ended.
    pub async fn close(self) {
        if let Some(replay) = self.replay {
            replay.close().await;
        }
    }
}

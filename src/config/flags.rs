//! Flags that several commands have.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;
use clap::builder::NonEmptyStringValueParser;

use crate::config::secret::SecretUrl;
use crate::config::{duration, env, source};
use crate::core::catalog::Catalog;
use crate::core::ignore::Ignore;
use crate::core::trust::Wanted;
use crate::error::{Error, Result};

/// Flags that every command has.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Common {
    #[command(flatten)]
    pub(crate) files: Files,
    /// How long to wait for the database to answer
    #[arg(long, value_name = "DURATION", env = env::WAIT_FOR_DB, default_value = "60s", value_parser = duration::parse)]
    pub(crate) wait_for_db: Duration,
    /// Which history is meant.
    #[command(flatten)]
    pub(crate) history: HistoryFlags,
}

/// Which migration files a command reads.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Files {
    /// Folder of migration files; by default those built into the program
    #[arg(long, value_name = "DIR", env = env::SOURCE)]
    pub(crate) source: Option<PathBuf>,
    /// Versions whose files run whole although a comment in them is another tool's mark of a way up or down, separated by
    /// commas
    #[arg(long, value_name = "VERSION", env = env::RUN_WHOLE, value_delimiter = ',')]
    run_whole: Vec<i64>,
}

impl Files {
    /// Reads them.
    ///
    /// # Errors
    /// As [`source::load`], and [`Error::Config`] for a version that is that of no file.
    pub(crate) fn load(&self) -> Result<Catalog> {
        let mut catalog = source::load(self.source.as_deref())?;
        if let Some(unknown) = self.run_whole.iter().find(|version| catalog.get(**version).is_none()) {
            return Err(Error::config(
                format!("`--run-whole {unknown}` is not the version of a migration file"),
                "name the versions of files that must run whole, or leave it out",
            ));
        }
        catalog.run_whole = self.run_whole.iter().copied().collect();
        Ok(catalog)
    }
}

/// The deadline of a command that changes nothing.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Deadline {
    /// When to give up and end with exit code 75, counted from the start of the process
    #[arg(long, value_name = "DURATION", env = env::DEADLINE, default_value = "10m", value_parser = duration::parse_or_none)]
    deadline: Duration,
}

impl Deadline {
    /// The deadline, unless there is none.
    pub(crate) fn limit(&self) -> Option<Duration> {
        duration::limit(self.deadline)
    }
}

/// Which history is meant.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct HistoryFlags {
    /// Schema of the migration history, where a database has several, one per tenant or app; by default the first schema of
    /// the search path that has one
    #[arg(long, value_name = "SCHEMA", env = env::HISTORY_SCHEMA, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) history_schema: Option<String>,
    /// Role that is trusted as the owner of the migration history, next to the role that connects and the owner of the
    /// database
    #[arg(long, value_name = "ROLE", env = env::HISTORY_OWNER, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) history_owner: Option<String>,
}

impl HistoryFlags {
    /// What they ask for.
    pub(crate) fn wanted(&self) -> Wanted<'_> {
        Wanted { schema: self.history_schema.as_deref(), owner: self.history_owner.as_deref() }
    }
}

/// Where files are replayed, and what is compared then.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Scratch {
    /// Server on which the files of `--source` may be replayed, in a database that is dropped again; set the variable rather
    /// than the flag when there is a password in it: every user of the machine can read a flag
    #[arg(id = "scratch_url", long = "scratch-url", value_name = "URL", env = env::SCRATCH_URL, hide_env_values = true)]
    pub(crate) url: Option<SecretUrl>,
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
    pub(crate) fn ignore(&self) -> Result<Ignore> {
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

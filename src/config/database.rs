//! Where a database is and how to log in, with the password kept out of everything that is printed.

mod host;
mod hosts;
mod parameters;
mod passfile;
mod tls;
mod uri;
mod url;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) use host::{Host, OnTheWay};
pub(crate) use hosts::{State, Suitability, Wanted};

use crate::config::env;
use crate::config::trust::Trust;
use crate::core::sql::quote::NAME_BYTES;
use crate::error::{Error, Result};

/// A database to connect to.
#[derive(Clone)]
pub struct Database {
    hosts: Vec<Host>,
    /// The host that answered last, which is tried first. All clones have the same.
    last: Arc<AtomicUsize>,
    /// Which servers are acceptable; none where neither the URL nor the environment restricts it.
    wanted: Option<Wanted>,
    user: String,
    shown: String,
    single_connection: bool,
    trust: Trust,
}

impl Database {
    /// Reads a connection URL. `variable` names where it came from, for the error.
    ///
    /// # Errors
    /// [`Error::Config`] for a text that is no PostgreSQL URL, or asks for what would be ignored.
    pub fn from_url(variable: &str, text: &str) -> Result<Self> {
        let surroundings = url::Surroundings { environment: env::read, home: std::env::home_dir() };
        let url::Asked { hosts, trust, wanted } = url::read(variable, text, &surroundings)?;
        let hosts = hosts.into_iter().map(|(place, options)| Host::new(&place.name, place.port, options));
        Ok(Self { wanted, trust, ..Self::new(hosts.collect(), false) })
    }

    /// A server that accepts one connection at a time.
    #[cfg(feature = "embedded")]
    pub(crate) fn single_connection(options: sqlx::postgres::PgConnectOptions) -> Self {
        let socket = options.get_socket().map(|socket| socket.display().to_string());
        let name = socket.unwrap_or_else(|| options.get_host().to_owned());
        Self::new(vec![Host::new(&name, options.get_port(), options)], true)
    }

    /// `hosts` are not empty, and differ only in where they are and what logs in there.
    fn new(hosts: Vec<Host>, single_connection: bool) -> Self {
        let places: Vec<_> = hosts.iter().map(Host::shown).collect();
        let options = hosts[0].plain_options();
        let user = options.get_username().to_owned();
        let shown = format!(
            "postgres://{user}@{}/{}",
            places.join(","),
            options.get_database().unwrap_or(options.get_username())
        );
        let last = Arc::new(AtomicUsize::new(0));
        Self { hosts, last, wanted: None, user, shown, single_connection, trust: Trust::Unchecked }
    }

    /// The same for what has to write: servers on which that cannot be are passed over. `variable` names where the URL
    /// came from, for the error.
    ///
    /// # Errors
    /// [`Error::Config`] where the URL asks for exactly such servers.
    pub(crate) fn for_writing(self, variable: &str) -> Result<Self> {
        match self.wanted {
            Some(Wanted::ReadOnly | Wanted::Standby) => Err(Error::config(
                format!("`{variable}` asks for a server that cannot be written to: `target_session_attrs`"),
                "write `target_session_attrs=read-write`, or leave it out: migrations go to the \
                    primary",
            )),
            Some(Wanted::ReadWrite | Wanted::Primary) => Ok(self),
            // A single host is waited for until it is the primary.
            None if self.hosts.len() == 1 => Ok(self),
            None | Some(Wanted::Any | Wanted::PreferStandby | Wanted::ToWrite) => {
                Ok(Self { wanted: Some(Wanted::ToWrite), ..self })
            }
        }
    }

    /// Another database of the same server, with these settings for its sessions.
    pub(crate) fn in_database(&self, name: &str, settings: &[(&str, &str)]) -> Self {
        let hosts = self.hosts.iter().map(|host| host.in_database(name, settings)).collect();
        let (last, wanted) = (Arc::clone(&self.last), self.wanted);
        Self { last, wanted, trust: self.trust, ..Self::new(hosts, self.single_connection) }
    }

    /// The same on the host that answered last and on no other: a backend is known by a number that means another one
    /// elsewhere.
    pub(crate) fn where_it_answered(&self) -> Self {
        let (host, shown) = (self.host().clone(), self.shown.clone());
        Self { shown, trust: self.trust, ..Self::new(vec![host], self.single_connection) }
    }

    /// The host that answered last, or else the first one.
    pub(crate) fn host(&self) -> &Host {
        &self.hosts[self.last.load(Ordering::Relaxed)]
    }

    /// Where it may be, in the order in which to try.
    pub(crate) fn hosts(&self) -> impl ExactSizeIterator<Item = (usize, &Host)> {
        let (first, many) = (self.last.load(Ordering::Relaxed), self.hosts.len());
        // The one that answered last, then all others in their order.
        let order = (0..many).map(move |turn| match turn {
            0 => first,
            turn if turn <= first => turn - 1,
            turn => turn,
        });
        order.map(|index| (index, &self.hosts[index]))
    }

    /// Remembers which of the hosts has answered.
    pub(crate) fn answered(&self, index: usize) {
        self.last.store(index, Ordering::Relaxed);
    }

    /// Remembers of the same URL, read another time, which of its hosts has answered.
    pub(crate) fn answered_as(&self, other: &Self) {
        let place = other.host().shown();
        if let Some(index) = self.hosts.iter().position(|host| host.shown() == place) {
            self.answered(index);
        }
    }

    /// Which servers are acceptable, where that has to be checked.
    pub(crate) fn wanted(&self) -> Option<Wanted> {
        self.wanted.filter(|wanted| *wanted != Wanted::Any)
    }

    /// Whose certificates make the server the right one.
    pub(crate) fn trust(&self) -> Trust {
        self.trust
    }

    /// The user who logs in.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// Whether the server accepts only one connection at a time.
    pub(crate) fn is_single_connection(&self) -> bool {
        self.single_connection
    }
}

/// The URL without its password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.shown).finish()
    }
}

/// What `pg_stat_activity` shows for a session: the version, the pod or host, and the file being applied.
///
/// At most 63 bytes, of printable ASCII, as the server would cut and replace it anyway. The file's name is what a
/// person on call searches for, so the host is cut first.
pub(crate) fn application_name(file: Option<&str>) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let name = match file {
        Some(file) => {
            let host = crate::config::host::name();
            let room = NAME_BYTES.saturating_sub(format!("corveil/{version}  {file}").len());
            format!("corveil/{version} {} {file}", &host[..host.len().min(room)])
        }
        None => format!("corveil/{version} {}", crate::config::host::name()),
    };
    let mut name: String = name.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect();
    name.truncate(NAME_BYTES);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_in_nothing_that_is_printed() {
        let database =
            Database::from_url("DATABASE_URL", "postgres://app:s3cr3t@db.example:6432/app?sslmode=disable")
                .unwrap();
        assert_eq!(database.to_string(), "postgres://app@db.example:6432/app");
        assert!(!format!("{database:?}").contains("s3cr3t"));
    }

    #[test]
    fn a_wrong_url_is_named_by_its_variable_and_not_repeated() {
        for url in [
            "",
            "  ",
            "mysql://u:s3cr3t@h/d",
            "postgres://u:s3cr3t@h:port/d",
            "postgres://u:/s3cr3t@h/d",
            "postgres://u:12/s3cr3t@h/d",
            "postgres://u:p@h/d#s3cr3t",
            "postgres://u:p@h/d?sslmode=s3cr3t",
            "postgres://u:p@h/d?target_session_attrs=s3cr3t",
            "postgres://u:p@h/d?load_balance_hosts=s3cr3t",
            "postgres://u:p@h:1,h:s3cr3t/d",
            "s3cr3t",
            "postgres://u:p@h/d?search_path=s3cr3t",
            "postgres://u:p@h/d?unknown=s3cr3t",
            "postgres://u:p@h/d?channel_binding=require&password=s3cr3t",
            "postgres://u:p@h/d?application_name=x#s3cr3t",
        ] {
            let error = Database::from_url("DATABASE_URL", url).unwrap_err();
            assert!(error.to_string().contains("`DATABASE_URL`"), "{error}");
            assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error}");
        }
    }

    #[test]
    fn every_host_is_tried_and_the_last_one_that_answered_comes_first() {
        let database = Database::from_url("X", "postgres://u:p@a:1,b,[::1]/d").unwrap();
        assert_eq!(database.to_string(), "postgres://u@a:1,b:5432,[::1]:5432/d");
        let order = |database: &Database| database.hosts().map(|(index, _)| index).collect::<Vec<_>>();
        assert_eq!(order(&database), [0, 1, 2]);
        database.clone().answered(1);
        assert_eq!(order(&database), [1, 0, 2]);
        database.answered(2);
        assert_eq!(order(&database), [2, 0, 1]);
        let there = database.where_it_answered();
        assert_eq!((there.hosts().len(), there.host().shown()), (1, "[::1]:5432"));
    }

    #[test]
    fn what_has_to_write_is_not_sent_to_a_standby() {
        let wanted = |query: &str| {
            let database = Database::from_url("X", &format!("postgres://u@a{query}")).unwrap();
            database.for_writing("X").map(|database| database.wanted())
        };
        assert_eq!(wanted("/d").unwrap(), None);
        assert_eq!(wanted(",b/d").unwrap(), Some(Wanted::ToWrite));
        assert_eq!(wanted(",b/d?target_session_attrs=any").unwrap(), Some(Wanted::ToWrite));
        assert_eq!(wanted("/d?target_session_attrs=prefer-standby").unwrap(), Some(Wanted::ToWrite));
        assert_eq!(wanted("/d?target_session_attrs=read-write").unwrap(), Some(Wanted::ReadWrite));
        for useless in ["standby", "read-only"] {
            let error = wanted(&format!("/d?target_session_attrs={useless}")).unwrap_err();
            assert!(error.to_string().contains("`X` asks for a server that cannot be written to"), "{error}");
        }
    }

    #[test]
    fn an_application_name_fits_and_keeps_the_file() {
        let name = application_name(Some("20240101000000_add_a_rather_long_name.sql"));
        assert!(name.len() <= NAME_BYTES && name.ends_with("_name.sql"), "{name}");
    }
}

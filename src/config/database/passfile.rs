//! libpq's [password file](https://www.postgresql.org/docs/current/libpq-pgpass.html).
//!
//! One that others may read is not used, as by libpq, and a warning reports it: a secret that is mounted into a pod is readable for
//! its group unless its volume has another `defaultMode`.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// libpq's variable for the file.
const PGPASSFILE: &str = "PGPASSFILE";
/// The host name that libpq searches for when a connection uses the default socket.
const LOCAL: &str = "localhost";

/// The warnings that were logged already: a URL is read several times.
static WARNED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A password file that is read.
pub(super) struct Passfile(String);

impl Passfile {
    /// The file that `parameter` names, or the environment, or `~/.pgpass`. None, and a warning, where it cannot be used.
    pub(super) fn open(
        parameter: Option<&str>,
        environment: impl Fn(&str) -> Option<String>,
        home: Option<PathBuf>,
    ) -> Option<Self> {
        let named = parameter.map(ToOwned::to_owned).or_else(|| environment(PGPASSFILE));
        let named = named.filter(|path| !path.is_empty()).map(PathBuf::from);
        let is_named = named.is_some();
        let path = named.or_else(|| home.map(|home| home.join(".pgpass")))?;
        match read(&path) {
            Ok(text) => Some(Self(text)),
            // No warning where the file is only the default one.
            Err(Unread::Missing(_)) if !is_named => None,
            Err(Unread::Missing(why) | Unread::Open(why)) => {
                warn_once(format!("the password file `{}` is not used: {why}", path.display()));
                None
            }
        }
    }

    /// The password of the first line that matches.
    pub(super) fn password(&self, host: &str, port: u16, database: &str, user: &str) -> Option<String> {
        let host = if host.starts_with('/') { LOCAL } else { host };
        let port = port.to_string();
        let wanted = [host, &port, database, user];
        self.0.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
            let fields = fields(line);
            let [first @ .., password] = fields.as_slice() else { return None };
            let matches = first.len() == wanted.len()
                && first.iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted);
            matches.then(|| password.clone())
        })
    }
}

/// Why a file is not read.
enum Unread {
    /// It is not there, or not to be read.
    Missing(String),
    Open(String),
}

fn read(path: &Path) -> Result<String, Unread> {
    let missing = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => Unread::Missing("it does not exist".into()),
        _ => Unread::Missing(error.to_string()),
    };
    let metadata = std::fs::metadata(path).map_err(missing)?;
    if !metadata.is_file() {
        return Err(Unread::Missing("it is not a regular file".into()));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Unread::Open(format!(
            "users other than its owner may access it (its mode is {mode:04o}); `chmod 0600` prevents that, and \
             `defaultMode: 0400` in the volume of a pod"
        )));
    }
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(missing)
}

/// The fields of a line: four, and the password. A backslash takes the next character as it is.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.trim_end_matches('\r').chars();
    while let Some(character) = characters.next() {
        let last = fields.len() - 1;
        match character {
            '\\' => fields[last].extend(characters.next()),
            ':' if fields.len() < 5 => fields.push(String::new()),
            other => fields[last].push(other),
        }
    }
    fields
}

fn warn_once(text: String) {
    let mut warned = WARNED.lock().unwrap_or_else(PoisonError::into_inner);
    if !warned.contains(&text) {
        tracing::warn!("{text}");
        warned.push(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let file = Passfile(
            "# a comment\nshort:line\ndb.example:5432:app:u:one\ndb.example:*:*:u:two\nlocalhost:5432:*:*:three\n\
             ::1:5432:*:*:never\n\\:\\:1:5432:*:*:a\\:b\\\\c:d\n"
                .into(),
        );
        for (host, port, database, user, password) in [
            ("db.example", 5432, "app", "u", Some("one")),
            ("db.example", 5432, "other", "u", Some("two")),
            ("db.example", 5432, "app", "v", None),
            ("/var/run/postgresql", 5432, "app", "v", Some("three")),
            ("::1", 5432, "app", "u", Some("a:b\\c:d")),
            ("elsewhere", 5432, "app", "u", None),
        ] {
            let found = file.password(host, port, database, user);
            assert_eq!(found.as_deref(), password, "{host} {port} {database} {user}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pass");
        std::fs::write(&path, "*:*:*:*:p\n").unwrap();
        for (mode, is_used) in [(0o600, true), (0o400, true), (0o640, false), (0o644, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let file =
                Passfile::open(None, |name| (name == PGPASSFILE).then(|| path.display().to_string()), None);
            assert_eq!(file.is_some(), is_used, "{mode:o}");
        }
        assert!(Passfile::open(None, |_| None, Some(folder.path().into())).is_none());
    }
}

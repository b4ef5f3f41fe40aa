//! The user that servers run as: PostgreSQL and PgBouncer refuse to run as root.

use std::ffi::OsStr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// Nothing, if this process is an ordinary user's already.
static UNPRIVILEGED: LazyLock<Option<Account>> = LazyLock::new(|| {
    if id(&["-u"]) != Some(0) {
        return None;
    }
    let account = ["postgres", "nobody"]
        .iter()
        .find_map(|name| Some(Account { uid: id(&["-u", name])?, gid: id(&["-g", name])? }));
    assert!(
        account.is_some(),
        "running as root, and there is neither a user `postgres` nor `nobody` to drop to"
    );
    account
});

struct Account {
    uid: u32,
    gid: u32,
}

/// A command that runs as the server's user, knowing nothing of the settings that PostgreSQL takes from the environment.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C").env("PATH", std::env::var_os("PATH").unwrap_or_default());
    // The checkout may be closed to that user, and every shell complains about such a working folder.
    command.current_dir("/");
    if let Some(account) = &*UNPRIVILEGED {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// A temporary folder that belongs to the server's user. Removing it is the caller's affair.
pub(crate) fn folder() -> PathBuf {
    let folder = tempfile::Builder::new().prefix("corveil-it-").tempdir().expect("create a folder").keep();
    own(&folder);
    folder
}

/// A file of the server's user.
pub(crate) fn write(path: &Path, content: &str) {
    std::fs::write(path, content).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
    own(path);
}

fn own(path: &Path) {
    if let Some(account) = &*UNPRIVILEGED {
        chown(path, Some(account.uid), Some(account.gid))
            .unwrap_or_else(|error| panic!("give {} away: {error}", path.display()));
    }
}

fn id(args: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(args).output().expect("run `id`");
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

//! Replaces the process by itself with other variables: the environment of a running process cannot be changed safely.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::{env, ffi::OsStr};

/// Restarts the program in this process, with these variables set, or unset where there is no value. Returns only when that
/// fails.
pub(crate) fn with<V: AsRef<OsStr>>(variables: &[(&str, Option<V>)]) -> io::Error {
    let program = match env::current_exe() {
        Ok(program) => program,
        Err(error) => return error,
    };
    let mut arguments = env::args_os();
    let mut command = Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    for (name, value) in variables {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.args(arguments).exec()
}

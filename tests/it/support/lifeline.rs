//! Cleaning up after a test process that may be killed: a shell that outlives it just long enough.
//!
//! The shell waits for the end of a pipe whose other end only this process holds, so panics, `exit` and SIGKILL all let go.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::support::account;

/// Holds off the clean-up for as long as it lives.
pub(crate) struct Lifeline(Child);

impl Lifeline {
    /// Runs `farewell` with the arguments `$1`, `$2`, … as the server's user, once this value or this process is gone.
    pub(crate) fn hold(farewell: &str, arguments: &[&Path]) -> Self {
        let script = format!("while read -r _; do :; done\n{farewell}");
        let shell = account::command("sh")
            .args(["-c", &script, "sh"])
            .args(arguments)
            .stdin(Stdio::piped())
            // An inherited output would keep the reader of the test's output waiting for this shell.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C in the terminal is for the tests; the shell has to survive it.
            .process_group(0)
            .spawn()
            .expect("start `sh`");
        Self(shell)
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

//! The terminal, which the progress bar and the log share.

use std::io::{self, IsTerminal as _, Write};
use std::sync::LazyLock;

use indicatif::{MultiProgress, ProgressDrawTarget};

use super::writer;

/// What draws on stderr. Hidden where stderr is no terminal.
pub(super) static BARS: LazyLock<MultiProgress> = LazyLock::new(|| {
    let target = if is_one() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    MultiProgress::with_draw_target(target)
});

/// Whether stderr is a terminal.
pub(super) fn is_one() -> bool {
    io::stderr().is_terminal()
}

/// stderr, for which no caller waits: see [`writer`].
pub(super) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        writer::write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

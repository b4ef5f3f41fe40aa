//! The terminal, which the progress bar and the log share.

use std::io::{self, IsTerminal as _, Write};
use std::sync::LazyLock;

use indicatif::{MultiProgress, ProgressDrawTarget};

/// What draws on stderr. Hidden where stderr is no terminal.
pub(super) static BARS: LazyLock<MultiProgress> = LazyLock::new(|| {
    let target = if is_one() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    MultiProgress::with_draw_target(target)
});

/// Whether somebody may be looking.
pub(super) fn is_one() -> bool {
    io::stderr().is_terminal()
}

/// stderr, with the bar out of the way while a line is written.
pub(super) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if is_one() { BARS.suspend(|| io::stderr().write(bytes)) } else { io::stderr().write(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

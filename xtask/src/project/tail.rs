//! The end of a component's log, for whoever has to know why it did not come up.

use std::fs;
use std::path::Path;

/// How many lines of a log tell.
const TAIL: usize = 30;

/// The end of a log, to be shown with an error.
pub fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL)..];
    format!("the end of {}:\n{}", log.display(), last.join("\n"))
}

//! The end of a component's log, which shows why it did not start.

use std::fs;
use std::path::Path;

/// The number of lines that are shown.
const TAIL: usize = 30;

/// The end of a log, to show with an error.
pub fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL)..];
    format!("the end of {}:\n{}", log.display(), last.join("\n"))
}

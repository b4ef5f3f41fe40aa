//! Writes files, and waits for files.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Short enough to lose no time, long enough to leave the processors to the components.
pub(crate) const POLL: Duration = Duration::from_millis(100);

/// Creates the file, and its folder, with this text.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    create_parent(path)?;
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// Creates a file that no other user can read at any moment.
pub(in crate::cluster) fn write_private(path: &Path, text: &str) -> Result<()> {
    create_parent(path)?;
    // An existing file would keep its mode.
    if path.exists() {
        fs::remove_file(path)?;
    }
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("write {}", path.display()))
}

/// Waits for the file. Each time it is missing, `check` may fail with the reason why it never will be there.
pub(crate) fn wait_for(path: &Path, bound: Duration, mut check: impl FnMut() -> Result<()>) -> Result<()> {
    let start = Instant::now();
    while !path.exists() {
        check()?;
        if start.elapsed() > bound {
            bail!("no {} after {} s", path.display(), bound.as_secs());
        }
        thread::sleep(POLL);
    }
    Ok(())
}

fn create_parent(path: &Path) -> Result<()> {
    let parent = path.parent().context("a file is in a folder")?;
    fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))
}

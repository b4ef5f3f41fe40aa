//! The cache of what tasks download or build. It is outside of the checkout, so that every clone shares it.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Write as _, stderr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use xshell::{Shell, cmd};

/// Makes one folder of the cache, unless it is there. `make` fills an empty folder and returns the part of it to keep.
///
/// The folder is filled under a temporary name and renamed when complete: an interrupted run leaves no folder that seems
/// complete.
pub fn folder(sh: &Shell, name: &str, make: impl FnOnce(&Path) -> Result<PathBuf>) -> Result<PathBuf> {
    let root = root(sh)?;
    let home = root.join(name);
    if home.exists() {
        return Ok(home);
    }
    // Two processes at once would each do everything, and take twice as long.
    let _lock = lock(sh, name)?;
    if !home.exists() {
        let partial = root.join(format!("partial-{name}"));
        // An interrupted run left it. No other run uses it, as this process holds the lock.
        sh.remove_path(&partial)?;
        sh.create_dir(&partial)?;
        let whole = make(&partial)?;
        std::fs::rename(whole, &home).with_context(|| format!("rename to {}", home.display()))?;
        sh.remove_path(&partial)?;
    }
    Ok(home)
}

/// A name for what is made from these files. It changes with their contents, and with how it is made.
pub fn key(sh: &Shell, name: &str, how: &str, files: impl IntoIterator<Item = PathBuf>) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(how);
    for file in files {
        hash.update(sh.read_binary_file(file)?);
    }
    let mut key = format!("{name}-");
    for byte in &hash.finalize()[..8] {
        write!(key, "{byte:02x}")?;
    }
    Ok(key)
}

/// Locks a part of the cache, after waiting for other processes. The lock is held until the file is dropped.
pub fn lock(sh: &Shell, name: &str) -> Result<File> {
    let root = root(sh)?;
    sh.create_dir(&root)?;
    let path = root.join(format!("{name}.lock"));
    let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    if file.try_lock().is_err() {
        writeln!(stderr(), "waiting for {}, which another process holds", path.display())?;
        file.lock().with_context(|| format!("lock {}", path.display()))?;
    }
    Ok(file)
}

/// Root's servers run as another user, who cannot read root's home.
pub fn root(sh: &Shell) -> Result<PathBuf> {
    if cmd!(sh, "id -u").quiet().read()? == "0" {
        return Ok("/var/cache/corveil".into());
    }
    if let Some(cache) = std::env::var_os("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(cache).join("corveil"));
    }
    let home = std::env::var_os("HOME").context("neither `XDG_CACHE_HOME` nor `HOME` is set")?;
    Ok(PathBuf::from(home).join(".cache/corveil"))
}

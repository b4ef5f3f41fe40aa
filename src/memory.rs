//! The memory that the process may have, and an orderly end before the kernel makes one.
//!
//! A container that reaches its limit is killed without a log line, and sqlx reads a message of whatever size a server announces.
//! sqlx has no limit to set, so the process watches its own size.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::error::Error;

/// How often the memory is checked. A server in the same data center sends some 10 MiB in this time.
const CHECK_EVERY: Duration = Duration::from_millis(10);

/// How much a process without a limit may have, in addition to what its files take: schemas of many thousand tables take less. A build
/// with an embedded server has a whole server in it.
const MOST: Option<u64> = if cfg!(feature = "embedded") { None } else { Some(1024 * MIB) };

/// How many times the size of the files: they are read, put into a batch, and put into sqlx's buffer.
const OF_FILES: u64 = 4;

const MIB: u64 = 1024 * 1024;

/// The size of what was read from files, in bytes.
static FILES: AtomicU64 = AtomicU64::new(0);

/// Records that so many bytes of files are kept.
pub(crate) fn expect(bytes: u64) {
    FILES.fetch_add(bytes, Ordering::Relaxed);
}

/// Calls `end` when the process is about to have more memory than it may. Never where the system does not report it, or has no thread for
/// it: the one of the runtime may be busy with what takes the memory.
pub(crate) fn watch(end: impl FnOnce(&Error) + Send + 'static) {
    let check = || {
        let mut limit = None;
        loop {
            // A short run needs no check.
            thread::sleep(CHECK_EVERY);
            let used = resident()?;
            let limit = *limit.get_or_insert_with(limit_of_the_system);
            // Memory grows between two checks.
            let most = limit.map(|limit| limit - limit / 10);
            let most = most.or(MOST.map(|most| most + OF_FILES * FILES.load(Ordering::Relaxed)));
            if most.is_some_and(|most| used > most) {
                return Some(error(used, limit));
            }
        }
    };
    let watch = move || {
        if let Some(error) = check() {
            end(&error);
        }
    };
    // A process that has no thread left ends for another reason.
    let _ = thread::Builder::new().name("memory".into()).spawn(watch);
}

fn error(used: u64, limit: Option<u64>) -> Error {
    let of = limit.map(|limit| format!(" of the {} MiB that it may have", limit / MIB)).unwrap_or_default();
    let what =
        if limit.is_some() { "and would have been killed" } else { "more than anything that it does needs" };
    let files = FILES.load(Ordering::Relaxed) / MIB;
    Error::Interrupted {
        message: format!("the process has {} MiB of memory{of}, {what}; its migration files have {files} MiB", used / MIB),
        hint: "raise the limit of its memory, `migrate.resources` in the chart: a migration file takes three times its size; if \
               the files are small, the server's answers are not"
            .into(),
    }
}

/// The memory that the process has, in bytes.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?
        .trim()
        .strip_suffix(" kB")?
        .parse()
        .ok()?;
    Some(kib * 1024)
}

/// The smallest limit that the process was given, in bytes: by its container, or by `ulimit -m`, which Linux itself does not enforce.
fn limit_of_the_system() -> Option<u64> {
    // Within a container these are its own (<https://docs.kernel.org/admin-guide/cgroup-v2.html>).
    let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let groups = files.into_iter().filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    let resident_set = fs::read_to_string("/proc/self/limits").ok().and_then(|limits| resident_set(&limits));
    // The first version of cgroups has no word for "no limit": it writes a number larger than any memory.
    groups.chain(resident_set).filter(|bytes| *bytes < 1 << 60).min()
}

fn resident_set(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max resident set"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_the_resident_set_is_read() {
        let limits = |set: &str| {
            format!("Limit   Soft Limit   Hard Limit   Units\nMax resident set   {set}   bytes\n")
        };
        assert_eq!(resident_set(&limits("134217728   unlimited")), Some(128 * MIB));
        assert_eq!(resident_set(&limits("unlimited   unlimited")), None);
        assert_eq!(resident_set(""), None);
    }

    #[test]
    fn the_process_has_some_memory() {
        assert!(resident().is_some_and(|bytes| (MIB..1024 * MIB).contains(&bytes)));
    }

    #[test]
    fn the_error_names_the_memory_in_use_and_its_limit() {
        let text = error(120 * MIB, Some(128 * MIB)).to_string();
        assert!(
            text.starts_with("the process has 120 MiB of memory of the 128 MiB that it may have"),
            "{text}"
        );
        assert_eq!(error(0, None).exit_code().code(), 75);
    }
}

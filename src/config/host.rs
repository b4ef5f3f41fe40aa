//! What this machine or pod is called.

use std::sync::OnceLock;

use crate::config::secret;

/// The pod's name in Kubernetes, the host's name elsewhere; ASCII, at most 63 characters.
pub(crate) fn name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        std::env::var(crate::config::env::HOSTNAME)
            .ok()
            .or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok())
            // It is stored with each run, and any user may set the variable.
            .map(|name| secret::hidden(&name))
            .map(|name| name.trim().chars().filter(char::is_ascii_graphic).take(63).collect())
            .filter(|name: &String| !name.is_empty())
            .unwrap_or_else(|| "unknown-host".into())
    })
}

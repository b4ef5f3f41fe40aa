//! Free ports for servers that need theirs in advance.

use std::net::{Ipv4Addr, TcpListener};

/// A port on which no process listens at the moment. The test that starts a server on it tries another one if that fails.
///
/// It is below the range that Linux gives to outgoing connections: a server that is down for a restart would lose its
/// port to one of those.
pub(crate) fn free() -> u16 {
    std::iter::repeat_with(|| fastrand::u16(20_000..32_000))
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .expect("the iterator is endless")
}

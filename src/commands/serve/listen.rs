//! Opens the socket for listening, also where the kernel has no IPv6.

use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;

/// `EAFNOSUPPORT`, for which the standard library has no kind: a kernel that was started with `ipv6.disable=1`.
const NO_SUCH_FAMILY: i32 = if cfg!(target_os = "macos") { 47 } else { 97 };

/// Listens on an address. `[::]` takes IPv4 too, so it is every address of a pod in a cluster of either family or both;
/// where there is no IPv6 at all, `0.0.0.0` is every address.
///
/// # Errors
/// When the process cannot listen on the address.
pub(super) async fn listen(address: SocketAddr) -> Result<TcpListener> {
    bind(address, TcpListener::bind).await
}

async fn bind<T>(address: SocketAddr, bind: impl AsyncFn(SocketAddr) -> Result<T>) -> Result<T> {
    match bind(address).await {
        Err(error) if address.is_ipv6() && address.ip().is_unspecified() && is_without_ipv6(&error) => {
            bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port())).await
        }
        bound => bound,
    }
}

fn is_without_ipv6(error: &Error) -> bool {
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(NO_SUCH_FAMILY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_address_is_that_of_ipv4_where_the_kernel_has_no_ipv6() {
        let off = || Error::from_raw_os_error(NO_SUCH_FAMILY);
        let (missing, taken) = (|| ErrorKind::AddrNotAvailable.into(), || ErrorKind::AddrInUse.into());
        for (address, of_ipv6, expected) in [
            ("[::]:8000", &off as &dyn Fn() -> Error, Some("0.0.0.0:8000")),
            ("[::]:8000", &missing, Some("0.0.0.0:8000")),
            ("[::]:8000", &taken, None),
            // An explicit address gets no substitute.
            ("[::1]:8000", &off, None),
            ("127.0.0.1:8000", &off, Some("127.0.0.1:8000")),
        ] {
            let bound = bind(address.parse().unwrap(), async |address| {
                if address.is_ipv6() { Err(of_ipv6()) } else { Ok(address.to_string()) }
            });
            assert_eq!(bound.await.ok().as_deref(), expected, "{address}");
        }
    }
}

//! Where clients reach the embedded server: a socket in its folder, or a loopback port.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The name clients give the socket of a server on [`PORT`].
pub(super) const SOCKET: &str = ".s.PGSQL.5432";
/// The port that is part of that name.
pub(super) const PORT: u16 = 5432;
/// The longest path a socket address holds on every Unix.
const SOCKET_PATH_MAX: usize = 103;

/// Where clients reach the server.
#[derive(Debug)]
pub(super) enum Endpoint {
    /// The folder of the socket.
    Socket(PathBuf),
    /// The port on the loopback interface.
    Port(u16),
}

impl Endpoint {
    /// Makes a waiting [`Listener::accept`] return.
    pub(super) fn wake(&self) {
        // Fails when the server thread has ended, and then nothing waits.
        match self {
            Self::Socket(dir) => drop(UnixStream::connect(dir.join(SOCKET))),
            Self::Port(port) => drop(TcpStream::connect((Ipv4Addr::LOCALHOST, *port))),
        }
    }
}

#[derive(Debug)]
pub(super) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    /// Listens on a socket in `dir`, or on a port when that path is too long.
    ///
    /// A relative `dir` stays relative, so its path is never too long.
    pub(super) fn bind(dir: &Path) -> io::Result<(Self, Endpoint)> {
        let socket = dir.join(SOCKET);
        if socket.as_os_str().as_bytes().len() > SOCKET_PATH_MAX {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let port = listener.local_addr()?.port();
            return Ok((Self::Tcp(listener), Endpoint::Port(port)));
        }
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(socket)?;
        Ok((Self::Unix(listener), Endpoint::Socket(dir.to_owned())))
    }

    /// Waits for the next client.
    pub(super) fn accept(&self) -> io::Result<UnixStream> {
        match self {
            Self::Unix(listener) => Ok(listener.accept()?.0),
            Self::Tcp(listener) => {
                let stream = listener.accept()?.0;
                stream.set_nodelay(true)?;
                // Both are plain stream sockets from here on.
                Ok(OwnedFd::from(stream).into())
            }
        }
    }
}

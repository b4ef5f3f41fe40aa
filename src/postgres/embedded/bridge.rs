//! Carries PostgreSQL's protocol between a socket and the embedded server's session.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use oliphaunt_wasix::session::ProtocolSession;

use super::Cause;

/// What every connection starts with, whatever `PGOPTIONS` adds to it elsewhere.
const STARTUP: &[u8] = b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0postgres\0\0";
/// No message of a client may be longer; PostgreSQL has the same limit.
const MESSAGE_MAX: usize = 1 << 30;

/// Carries messages between the client and the backend until one of them ends.
pub(super) fn converse(session: &mut ProtocolSession, mut stream: &UnixStream) -> Result<(), Cause> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    read_rest(&mut stream, Vec::new(), length)?;
    let response = session.startup_with_packet(STARTUP)?;
    stream.write_all(&response.output)?;
    if !response.accepted {
        return Ok(());
    }
    let mut batch = Vec::new();
    loop {
        let mut header = [0; 5];
        stream.read_exact(&mut header)?;
        let [kind, length @ ..] = header;
        if kind == b'X' {
            return Ok(());
        }
        batch.append(&mut read_rest(&mut stream, vec![kind], length)?);
        // The backend answers a Query, a Sync and a Flush; the rest waits for one.
        if matches!(kind, b'Q' | b'S' | b'H') {
            stream.write_all(&session.send_buffered(&batch)?)?;
            batch.clear();
        }
    }
}

/// Reads the rest of a message, whose `length` counts itself but not its kind.
fn read_rest(stream: &mut impl Read, mut message: Vec<u8>, length: [u8; 4]) -> io::Result<Vec<u8>> {
    let count = (u32::from_be_bytes(length) as usize)
        .checked_sub(length.len())
        .filter(|count| *count <= MESSAGE_MAX)
        .ok_or(io::ErrorKind::InvalidData)?;
    message.extend_from_slice(&length);
    let start = message.len();
    message.resize(start + count, 0);
    stream.read_exact(&mut message[start..])?;
    Ok(message)
}

//! Asks a name server whether it has an address for a name.

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

/// Whether the server answers with at least one address. No answer in time counts as no address.
pub(crate) fn resolves(server: &str, name: &str) -> bool {
    let ask = || -> io::Result<bool> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        socket.connect((server, 53))?;
        socket.send(&question(name))?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer)?;
        Ok(has_answers(&answer[..length]))
    };
    ask().unwrap_or(false)
}

/// A query for an IPv4 address.
fn question(name: &str) -> Vec<u8> {
    // Any ID will do, as only one question is asked. Recursion is desired; one question, no other records.
    let mut message = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.extend(u8::try_from(label.len()));
        message.extend(label.bytes());
    }
    // The root, type A, class IN.
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// The last four bits of the flags are zero, which means no error, and the count of answers is not zero.
fn has_answers(message: &[u8]) -> bool {
    matches!(message, [_, _, _, code, _, _, high, low, ..] if code % 16 == 0 && (*high, *low) != (0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_for_an_address_by_labels() {
        let message = question("a.bcd");
        assert_eq!(&message[12..], b"\x01a\x03bcd\0\0\x01\0\x01");
    }

    #[test]
    fn an_answer_has_no_error_and_a_record() {
        let answer = |code, count| [0, 1, 0x85, code, 0, 1, 0, count, 0, 0, 0, 0];
        assert!(has_answers(&answer(0x80, 1)));
        assert!(!has_answers(&answer(0x80, 0)));
        assert!(!has_answers(&answer(0x83, 0)));
        assert!(!has_answers(&[]));
    }
}

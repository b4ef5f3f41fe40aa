//! A TCP proxy that delivers everything a little later, as a server in another zone would.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// It serves until the process ends.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
}

impl Proxy {
    /// Listens on a free port and forwards everything to `upstream`, in each direction after `delay`.
    pub(crate) fn start(upstream: u16, delay: Duration) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A connection that cannot be forwarded is closed, so that the program sees it.
                let _ = join(client, upstream, delay);
            }
        });
        Ok(Self { port })
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }
}

fn join(client: TcpStream, upstream: u16, delay: Duration) -> std::io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    carry(client.try_clone()?, server.try_clone()?, delay);
    carry(server, client, delay);
    Ok(())
}

/// One direction: a thread that reads and stamps, and one that delivers in the same order when the time has come.
/// Two threads, because bytes that arrive while others wait must not wait for those as well.
fn carry(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if sender.send((Instant::now() + delay, buffer[..read].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (due, bytes) in receiver {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        // The end of one direction is passed on. The other direction ends when its sender closes it.
        let _ = to.shutdown(Shutdown::Write);
    });
}

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, Ipv4Addr, Proxy, Read, Shutdown, TcpListener, TcpStream, Write, thread};

    fn echo() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (mut reader, _) = listener.accept().unwrap();
            let mut writer = reader.try_clone().unwrap();
            std::io::copy(&mut reader, &mut writer).unwrap();
        });
        port
    }

    #[test]
    fn a_round_trip_takes_twice_the_delay_at_least() {
        let proxy = Proxy::start(echo(), Duration::from_millis(1)).unwrap();
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
        client.set_nodelay(true).unwrap();
        let begun = Instant::now();
        for _ in 0..20 {
            client.write_all(b"x").unwrap();
            client.read_exact(&mut [0]).unwrap();
        }
        assert!(begun.elapsed() >= Duration::from_millis(40));
    }

    #[test]
    fn everything_arrives_in_order_and_the_end_is_passed_on() {
        let proxy = Proxy::start(echo(), Duration::from_millis(1)).unwrap();
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
        let sent: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut writer = client.try_clone().unwrap();
        let bytes = sent.clone();
        thread::spawn(move || {
            writer.write_all(&bytes).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut received = Vec::new();
        client.read_to_end(&mut received).unwrap();
        assert!(received == sent);
    }
}

//! Limits the clients' connections: clients that are slow, silent or too many must not keep a probe out.
//!
//! A connection has a time for each request and for the pause before it, and when all places are taken, the one that has
//! gone without an answer for longest gives way to a new one. Clients that open connections and send nothing, or half a
//! request, so cost a place for seconds and never the last one.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Result};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep};
use tracing::warn;

/// How long a connection may go without a request.
const IDLE: Duration = Duration::from_secs(10);

/// How long a request may take, from its first byte to the first byte of its answer. A check of the database, after
/// one that it has to wait for, takes seven seconds at most.
const REQUEST: Duration = Duration::from_secs(10);

/// The most connections at a time: what probes and scrapes of one pod need, many times over.
const MOST: usize = 256;

/// The files that the process needs besides connections: its log, the database, name resolution and certificates.
const OTHER_FILES: usize = 32;

/// The fewest connections at a time, however few files the process may open.
const FEWEST: usize = 8;

/// Accepts connections, and keeps track of the clients.
pub(super) struct Door {
    listener: TcpListener,
    places: Arc<Places>,
    room: usize,
}

impl Door {
    pub(super) fn new(listener: TcpListener) -> Self {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        Self { listener, places: Arc::default(), room: room(open_files(&limits)) }
    }
}

impl Listener for Door {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    while self.places.taken() >= self.room {
                        self.places.free_oldest();
                    }
                    return (Connection::new(stream, Arc::clone(&self.places)), address);
                }
                // The client has gone already.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                // No file is left, most likely.
                Err(error) => {
                    warn!("no connection can be accepted: {error}");
                    self.places.free_oldest();
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// How many connections a process has room for that may open so many files.
fn room(open_files: Option<usize>) -> usize {
    open_files.map_or(MOST, |files| files.saturating_sub(OTHER_FILES).clamp(FEWEST, MOST))
}

/// The soft limit of open files, from Linux's `/proc/self/limits`; none where there is none or it is not known.
fn open_files(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The clients, first the one that has gone without an answer for longest.
#[derive(Default)]
struct Places(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    next: u64,
    by: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Places {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn taken(&self) -> usize {
        self.lock().by.len()
    }

    /// Takes the last place, and answers its number.
    fn take(&self, leave: oneshot::Sender<()>) -> u64 {
        let mut taken = self.lock();
        let number = taken.next;
        taken.next += 1;
        taken.by.insert(number, leave);
        number
    }

    fn leave(&self, number: u64) -> Option<oneshot::Sender<()>> {
        self.lock().by.remove(&number)
    }

    /// Asks the first to leave.
    fn free_oldest(&self) {
        if let Some((_, leave)) = self.lock().by.pop_first() {
            let _ = leave.send(());
        }
    }
}

pub(super) struct Connection {
    stream: TcpStream,
    places: Arc<Places>,
    number: u64,
    /// Resolves when the place is needed.
    leave: oneshot::Receiver<()>,
    over: Pin<Box<Sleep>>,
    /// Whether it was asked to leave.
    is_in_the_way: bool,
    /// Whether a request has begun that is not answered.
    is_asking: bool,
}

impl Connection {
    fn new(stream: TcpStream, places: Arc<Places>) -> Self {
        let (sender, leave) = oneshot::channel();
        let number = places.take(sender);
        let over = Box::pin(sleep(IDLE));
        Self { stream, places, number, leave, over, is_in_the_way: false, is_asking: false }
    }

    /// Whether the client's time is up, or its place needed.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        // A channel that has received its value may not be polled again, and one whose sender is gone never receives any.
        self.is_in_the_way =
            self.is_in_the_way || matches!(Pin::new(&mut self.leave).poll(context), Poll::Ready(Ok(())));
        self.is_in_the_way || self.over.as_mut().poll(context).is_ready()
    }

    /// A request begins. What comes later of it gives it no more time.
    fn asks(&mut self) {
        if !self.is_asking {
            self.is_asking = true;
            self.over.as_mut().reset(Instant::now() + REQUEST);
        }
    }

    /// An answer is under way.
    fn answered(&mut self) {
        self.over.as_mut().reset(Instant::now() + IDLE);
        if std::mem::take(&mut self.is_asking)
            && let Some(leave) = self.places.leave(self.number)
        {
            self.number = self.places.take(leave);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.places.leave(self.number);
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let this = self.get_mut();
        if this.is_over(context) {
            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            this.asks();
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_write(context, bytes) {
            Poll::Ready(written) => {
                this.answered();
                Poll::Ready(written)
            }
            Poll::Pending if this.is_over(context) => Poll::Ready(Err(ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_fewer_connections_than_files_may_be_open() {
        let limits =
            |soft| format!("Limit  Soft Limit  Hard Limit  Units\nMax open files  {soft}  4096  files\n");
        for (soft, expected) in
            [("64", 32), ("20", FEWEST), ("1024", MOST), ("1048576", MOST), ("unlimited", MOST)]
        {
            assert_eq!(room(open_files(&limits(soft))), expected, "{soft}");
        }
        assert_eq!(room(open_files("")), MOST);
    }

    #[test]
    fn the_one_without_an_answer_for_longest_gives_way() {
        let places = Places::default();
        let (senders, mut receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel()).unzip();
        let numbers: Vec<_> = senders.into_iter().map(|sender| places.take(sender)).collect();
        // The first one gets an answer, and so becomes the last.
        let first = places.leave(numbers[0]).unwrap();
        places.take(first);
        places.free_oldest();
        let mut is_asked =
            || receivers.iter_mut().map(|receiver| receiver.try_recv().is_ok()).collect::<Vec<_>>();
        assert_eq!((is_asked(), places.taken()), (vec![false, true, false], 2));
        places.free_oldest();
        places.free_oldest();
        assert_eq!((is_asked(), places.taken()), (vec![true, false, true], 0));
        places.free_oldest();
    }
}

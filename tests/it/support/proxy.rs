//! A network between client and server that can be slow, broken, or broken at one particular moment.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::support::{Database, Url};

/// When to cut a connection, or to let nothing through any more. The bytes are searched for in what one side sends, also across packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The client sent them; the server never gets them.
    BeforeServerGets(Vec<u8>),
    /// The server got them and runs them; the client does not hear of it.
    AfterServerGot(Vec<u8>),
    /// The server answered them; the client never gets the answer.
    BeforeClientGets(Vec<u8>),
    /// The client got the answer, and no more.
    AfterClientGot(Vec<u8>),
    /// The client sent them, and from then on nothing arrives anywhere: no connection is cut, none is refused.
    Silence(Vec<u8>),
    /// The server got them and runs them; this client hears nothing any more, others do.
    Deafness(Vec<u8>),
}

/// A proxy before a server. It has separate threads, so that it works while a test's runtime is busy.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    server: u16,
    closed: AtomicBool,
    refusing: AtomicBool,
    silent: AtomicBool,
    accepted: AtomicUsize,
    /// Of each connection that was ever made.
    round_trips: Mutex<Vec<Arc<AtomicUsize>>>,
    delay: Mutex<Duration>,
    armed: Mutex<Vec<Moment>>,
    connections: Mutex<Vec<Arc<Link>>>,
}

/// Both ends of one connection, and whose turn it was last.
struct Link {
    client: TcpStream,
    server: TcpStream,
    server_spoke: AtomicBool,
    deaf: AtomicBool,
    round_trips: Arc<AtomicUsize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

impl Proxy {
    /// A proxy before the server at this port.
    pub(crate) fn before(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
        let port = listener.local_addr().expect("the address just bound").port();
        let shared = Arc::new(Shared {
            server,
            closed: AtomicBool::new(false),
            refusing: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            accepted: AtomicUsize::new(0),
            round_trips: Mutex::default(),
            delay: Mutex::default(),
            armed: Mutex::default(),
            connections: Mutex::default(),
        });
        thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.listen(&listener)
        });
        Self { port, shared }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The way to the database through this proxy.
    pub(crate) fn url(&self, database: &Database) -> Url {
        database.url().through(self.port)
    }

    /// Adds this much to every round trip, half of it each way.
    pub(crate) fn slow_down(&self, round_trip: Duration) {
        *self.shared.delay.lock().unwrap() = round_trip / 2;
    }

    /// Cuts all connections now; new ones are welcome.
    pub(crate) fn cut(&self) {
        for link in self.shared.connections.lock().unwrap().drain(..) {
            link.cut();
        }
    }

    /// Lets nothing through any more, and cuts nothing.
    pub(crate) fn silence(&self) {
        self.shared.silent.store(true, Ordering::SeqCst);
    }

    /// Cuts one connection when the moment comes, once, or does what the moment asks for.
    pub(crate) fn cut_at(&self, moment: Moment) {
        self.shared.armed.lock().unwrap().push(moment);
    }

    /// Whether every moment of [`Self::cut_at`] has come.
    pub(crate) fn has_cut(&self) -> bool {
        self.shared.armed.lock().unwrap().is_empty()
    }

    /// Hangs up on every new connection until `refuse(false)`.
    pub(crate) fn refuse(&self, refuse: bool) {
        self.shared.refusing.store(refuse, Ordering::SeqCst);
    }

    /// How many connections clients have tried to make.
    pub(crate) fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How often clients have spoken after listening, over all connections, those for logging in included.
    pub(crate) fn round_trips(&self) -> usize {
        self.shared.counts().sum()
    }

    /// The same of the one connection that spoke most often.
    pub(crate) fn round_trips_of_the_busiest(&self) -> usize {
        self.shared.counts().max().unwrap_or(0)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the listening thread, so that it sees that it is over.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Shared {
    fn listen(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming().map_while(Result::ok) {
            if self.closed.load(Ordering::SeqCst) {
                return;
            }
            self.accepted.fetch_add(1, Ordering::SeqCst);
            if self.refusing.load(Ordering::SeqCst) {
                continue;
            }
            // For a client, a server that is down is like one that hangs up.
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server)) else { continue };
            for end in [&client, &server] {
                end.set_nodelay(true).expect("set TCP_NODELAY");
            }
            let link = Arc::new(Link {
                client,
                server,
                server_spoke: AtomicBool::new(true),
                deaf: AtomicBool::new(false),
                round_trips: Arc::default(),
            });
            self.round_trips.lock().unwrap().push(Arc::clone(&link.round_trips));
            self.connections.lock().unwrap().push(Arc::clone(&link));
            for direction in [Direction::ToServer, Direction::ToClient] {
                let (shared, link) = (Arc::clone(self), Arc::clone(&link));
                thread::spawn(move || shared.forward(&link, direction));
            }
        }
    }

    fn forward(&self, link: &Link, direction: Direction) {
        let (mut from, mut to) = match direction {
            Direction::ToServer => (&link.client, &link.server),
            Direction::ToClient => (&link.server, &link.client),
        };
        let mut packet = vec![0; 64 * 1024];
        let mut seen = Vec::new();
        while let Ok(length @ 1..) = from.read(&mut packet) {
            link.count(direction);
            let delay = *self.delay.lock().unwrap();
            thread::sleep(delay);
            seen.extend_from_slice(&packet[..length]);
            let moment = self.take_moment(direction, &mut seen);
            if matches!(moment, Some(Moment::BeforeServerGets(_) | Moment::BeforeClientGets(_))) {
                return link.cut();
            }
            match moment {
                Some(Moment::Silence(_)) => self.silent.store(true, Ordering::SeqCst),
                Some(Moment::Deafness(_)) => link.deaf.store(true, Ordering::SeqCst),
                _ => {}
            }
            if self.is_swallowed(link, direction) {
                continue;
            }
            if matches!(moment, Some(Moment::AfterServerGot(_))) {
                // First, or the answer could be faster than the cut.
                let _ = link.client.shutdown(Shutdown::Both);
            }
            // The receiver may be gone already. The sender is listened to all the same, or it would notice.
            let _ = to.write_all(&packet[..length]);
            if matches!(moment, Some(Moment::AfterClientGot(_))) {
                return link.cut();
            }
        }
        if !self.is_swallowed(link, direction) {
            let _ = to.shutdown(Shutdown::Write);
        }
    }

    fn is_swallowed(&self, link: &Link, direction: Direction) -> bool {
        self.silent.load(Ordering::SeqCst)
            || direction == Direction::ToClient && link.deaf.load(Ordering::SeqCst)
    }

    fn counts(&self) -> impl Iterator<Item = usize> {
        let counters = self.round_trips.lock().unwrap().clone();
        counters.into_iter().map(|counter| counter.load(Ordering::SeqCst))
    }

    /// The armed moment that has come, if any. Keeps of `seen` what may be the start of one that is about to.
    fn take_moment(&self, direction: Direction, seen: &mut Vec<u8>) -> Option<Moment> {
        let mut armed = self.armed.lock().unwrap();
        let come = armed.iter().position(|moment| moment.direction() == direction && moment.is_in(seen));
        let keep = armed.iter().map(|moment| moment.bytes().len() - 1).max().unwrap_or(0);
        seen.drain(..seen.len().saturating_sub(keep));
        come.map(|index| armed.remove(index))
    }
}

impl Link {
    fn count(&self, direction: Direction) {
        let server_spoke = self.server_spoke.swap(direction == Direction::ToClient, Ordering::SeqCst);
        if direction == Direction::ToServer && server_spoke {
            self.round_trips.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn cut(&self) {
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

impl Moment {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::BeforeServerGets(bytes)
            | Self::AfterServerGot(bytes)
            | Self::BeforeClientGets(bytes)
            | Self::AfterClientGot(bytes)
            | Self::Silence(bytes)
            | Self::Deafness(bytes) => bytes,
        }
    }

    fn direction(&self) -> Direction {
        match self {
            Self::BeforeServerGets(_) | Self::AfterServerGot(_) | Self::Silence(_) | Self::Deafness(_) => {
                Direction::ToServer
            }
            Self::BeforeClientGets(_) | Self::AfterClientGot(_) => Direction::ToClient,
        }
    }

    fn is_in(&self, seen: &[u8]) -> bool {
        seen.windows(self.bytes().len()).any(|window| window == self.bytes())
    }
}

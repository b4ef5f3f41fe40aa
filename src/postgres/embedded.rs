//! The embedded PostgreSQL that serves when no database is configured.
//!
//! It is PostgreSQL 18 in WebAssembly (`oliphaunt-wasix`), with one session at a time. `pglite-oxide` was tried too: its
//! server ends when a client disappears in the middle of a query, and its data folder does not stand alone.

mod bridge;
mod endpoint;

use std::env;
use std::fs::{self, File, TryLockError};
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{self, Path};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use oliphaunt_wasix::DatabaseStorage;
use oliphaunt_wasix::session::{
    CatalogProfile, PostgresConfig, PreparedDatabase, PreparedRuntime, ProtocolSession, StartupConfig,
};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::sync::oneshot;
use tokio::task;

use crate::config::restart;
use crate::error::{Error, Result};
use bridge::converse;
use endpoint::{Endpoint, Listener, PORT, SOCKET};

/// Where the data is, below the working folder. It stays relative, so that the socket's path is never too long.
pub(crate) const FOLDER: &str = ".corveil";
/// The folder of the cluster.
const DATA: &str = "data";
/// The folder of everything that a killed server may leave behind.
const TEMPORARY: &str = "tmp";
/// The role and the database that every new cluster has.
const POSTGRES: &str = "postgres";
/// How long the lock of a process that was just killed may linger.
const LINGER: Duration = Duration::from_millis(500);
/// How long a shutdown may take.
const STOP: Duration = Duration::from_millis(400);

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An embedded PostgreSQL that serves one connection at a time while it lives.
#[derive(Debug)]
pub(crate) struct Embedded {
    endpoint: Endpoint,
    clients: Arc<Mutex<Clients>>,
    server: Option<JoinHandle<Result<(), Cause>>>,
    _lock: File,
}

impl Embedded {
    /// Starts the server on the data in `dir`, which is created when missing.
    ///
    /// # Errors
    ///
    /// Fails when another process runs a server there or when it does not start.
    pub(crate) async fn start(dir: &Path) -> Result<Self> {
        let start = |error: io::Error| broken(&error.into());
        fs::create_dir_all(dir).map_err(start)?;
        let lock = lock_folder(dir).await?;
        let (listener, endpoint) = Listener::bind(dir).map_err(start)?;
        let clients = Arc::default();
        let (ready, started) = oneshot::channel();
        // The runtime has to be created, used and dropped on one thread.
        let server = thread::spawn({
            let (dir, clients) = (dir.to_owned(), Arc::clone(&clients));
            move || serve(&dir, &listener, &clients, ready)
        });
        let mut embedded = Self { endpoint, clients, server: Some(server), _lock: lock };
        if started.await.is_ok() {
            return Ok(embedded);
        }
        match embedded.join() {
            Err(cause) => Err(broken(&cause)),
            Ok(()) => Err(broken(&"the server ended at once".into())),
        }
    }

    /// Returns how to connect to the server.
    pub(crate) fn connect_options(&self) -> PgConnectOptions {
        let options = PgConnectOptions::new_without_pgpass()
            .username(POSTGRES)
            .database(POSTGRES)
            .ssl_mode(PgSslMode::Disable)
            .extra_float_digits(None);
        match &self.endpoint {
            Endpoint::Socket(dir) => options.socket(dir).port(PORT),
            Endpoint::Port(port) => options.host("127.0.0.1").port(*port),
        }
    }

    /// Hangs up on a client that is still connected and shuts the server down, unless it is busy for longer than it
    /// is worth: the data survives a crash anyway.
    pub(crate) async fn stop(mut self) {
        let stopped = tokio::time::timeout(STOP, task::spawn_blocking(move || self.join())).await;
        if let Ok(Ok(Err(cause))) = stopped {
            tracing::warn!("the embedded PostgreSQL did not shut down cleanly: {cause}");
        }
    }

    /// Ends the server thread; does nothing when it was ended before.
    fn join(&mut self) -> Result<(), Cause> {
        let Some(server) = self.server.take() else {
            return Ok(());
        };
        let client = {
            let mut clients = lock(&self.clients);
            clients.closed = true;
            clients.current.upgrade()
        };
        if let Some(client) = client {
            // Fails when the client is gone by itself.
            let _ = client.shutdown(Shutdown::Both);
        }
        self.endpoint.wake();
        let result = server.join();
        if let Endpoint::Socket(dir) = &self.endpoint {
            // The next start removes what stays behind.
            let _ = fs::remove_file(dir.join(SOCKET));
        }
        result.unwrap_or_else(|_| Err("the server thread panicked".into()))
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // `stop` reports the cause.
        let _ = self.join();
    }
}

/// Whether a server has been here: only then can there be something to read.
pub(crate) fn exists(dir: &Path) -> bool {
    dir.join(DATA).is_dir()
}

/// Takes the lock that keeps other processes out.
async fn lock_folder(dir: &Path) -> Result<File> {
    let file = File::create(dir.join("lock")).map_err(|error| broken(&error.into()))?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if start.elapsed() < LINGER => {
                tokio::time::sleep(LINGER / 10).await;
            }
            Err(TryLockError::WouldBlock) => {
                return Err(Error::EmbeddedInUse { folder: dir.display().to_string() });
            }
            Err(TryLockError::Error(error)) => return Err(broken(&error.into())),
        }
    }
}

fn broken(cause: &Cause) -> Error {
    let mut reason = cause.to_string();
    let mut source = cause.source();
    while let Some(inner) = source {
        reason = format!("{reason}: {inner}");
        source = inner.source();
    }
    Error::config(
        format!("the embedded PostgreSQL in `{FOLDER}` cannot be started: {reason}"),
        format!("set `{}` to a server, or remove `{FOLDER}` to start over", crate::config::env::DATABASE_URL),
    )
}

/// Restarts this program with the caches and the temporary files of the
/// embedded database inside `dir` instead of the user's folders.
///
/// Only the environment moves them. Changing it in a running process is
/// unsafe, so this replaces the process, which keeps its id and its arguments.
/// Call it first in `main`; it returns at once in the restarted program.
///
/// # Errors
///
/// Fails when the folders cannot be created or the program cannot be restarted.
pub(crate) fn confine(dir: &Path) -> io::Result<()> {
    let dir = path::absolute(dir)?;
    let (cache, temporary) = (dir.join("cache"), dir.join(TEMPORARY));
    if env::var_os("XDG_CACHE_HOME").is_some_and(|home| home == cache) {
        return Ok(());
    }
    fs::create_dir_all(&cache)?;
    fs::create_dir_all(&temporary)?;
    Err(restart::with(&[("XDG_CACHE_HOME", Some(cache)), ("TMPDIR", Some(temporary))]))
}

/// What both threads know about the clients.
#[derive(Debug, Default)]
struct Clients {
    current: Weak<UnixStream>,
    /// Whether no client may come any more.
    closed: bool,
}

fn lock(clients: &Mutex<Clients>) -> MutexGuard<'_, Clients> {
    clients.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the server in `dir` until `clients` is closed; reports when it is `ready`.
fn serve(
    dir: &Path,
    listener: &Listener,
    clients: &Mutex<Clients>,
    ready: oneshot::Sender<()>,
) -> Result<(), Cause> {
    let mut database = prepare(dir)?;
    let runtime = database.runtime()?;
    let mut first = Some(open(&runtime)?);
    // Fails when no thread waits for the server, and then `clients` is closed soon.
    let _ = ready.send(());
    loop {
        let stream = Arc::new(listener.accept()?);
        {
            let mut clients = lock(clients);
            if clients.closed {
                break;
            }
            clients.current = Arc::downgrade(&stream);
        }
        // Every connection needs a separate backend, as it does in PostgreSQL.
        let mut session = first.take().map_or_else(|| open(&runtime), Ok)?;
        // A client that disappears is no failure of the server.
        let _ = converse(&mut session, &stream);
        session.shutdown()?;
    }
    if let Some(mut session) = first {
        session.shutdown()?;
    }
    drop(runtime);
    Ok(database.release()?)
}

/// Opens the cluster in `dir`; creates it when missing.
fn prepare(dir: &Path) -> Result<PreparedDatabase, Cause> {
    let (data, temporary) = (dir.join(DATA), dir.join(TEMPORARY));
    match fs::remove_dir_all(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir(&temporary)?,
    }
    let open = |data| {
        let storage = DatabaseStorage::Directory(data);
        PreparedDatabase::prepare(storage, CatalogProfile::Standard, POSTGRES)
    };
    if !data.try_exists()? {
        // A cluster whose creation was interrupted could not be opened again.
        let new = temporary.join(DATA);
        open(new.clone())?.release()?;
        fs::rename(new, &data)?;
    }
    Ok(open(data)?)
}

fn open(runtime: &PreparedRuntime) -> Result<ProtocolSession, Cause> {
    Ok(runtime.open(PostgresConfig::default(), StartupConfig::default())?)
}

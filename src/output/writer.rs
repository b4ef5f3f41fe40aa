//! The thread that writes to stderr, so that no other thread ever waits for its reader.
//!
//! A log driver that hangs, a pager that shows its first page: a write to a full pipe does not return then, and a run that
//! waited for it would keep its locks. So lines wait in a buffer of limited size, and those that it has no room for are dropped
//! and counted.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::warn;

use super::terminal;

/// How many bytes may wait. A run of thousands of files logs less.
const MOST_BYTES: usize = 1024 * 1024;

/// How long the end of the process waits for a reader that reads nothing, and how long for one that reads slowly: an orderly end
/// must not take longer than it is promised to.
const IDLE: Duration = Duration::from_millis(250);
const SLOW: Duration = Duration::from_secs(2);

/// Something that is done with stderr.
enum Item {
    Text(Vec<u8>),
    /// A change of the bar, which draws itself.
    Bar(Box<dyn FnOnce() + Send>),
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    /// Lines that there was no room for since the last one that there was room for.
    dropped: usize,
    /// Items that are written, which shows whether the reader still reads.
    done: usize,
    is_busy: bool,
}

/// The buffer between those who write and the thread.
struct Buffer {
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Whether there is a thread: a system may have none left, and then each caller writes itself.
    has_thread: bool,
}

static BUFFER: OnceLock<Buffer> = OnceLock::new();

fn buffer() -> &'static Buffer {
    BUFFER.get_or_init(|| {
        let started = thread::Builder::new().name("log".into()).spawn(|| buffer().work());
        Buffer { queue: Mutex::default(), changed: Condvar::new(), has_thread: started.is_ok() }
    })
}

/// Writes to stderr, soon. What there is no room for is dropped whole.
pub(super) fn write(bytes: &[u8]) {
    buffer().add(bytes.len(), || Item::Text(bytes.to_vec()));
}

/// Changes the bar, after all that was written before.
pub(super) fn change_bar(change: impl FnOnce() + Send + 'static) {
    buffer().add(0, || Item::Bar(Box::new(change)));
}

/// Waits until everything is written, or until no reader seems to be left.
pub(crate) fn flush() {
    // A run that has logged nothing has no thread for it.
    if let Some(buffer) = BUFFER.get() {
        buffer.flush();
    }
}

impl Buffer {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, bytes: usize, item: impl FnOnce() -> Item) {
        if !self.has_thread {
            return item().write();
        }
        let mut queue = self.lock();
        let has_room = queue.bytes + bytes <= MOST_BYTES && queue.items.len() < MOST_BYTES / 64;
        if has_room {
            queue.bytes += bytes;
            queue.items.push_back(item());
            self.changed.notify_all();
        } else {
            queue.dropped += usize::from(bytes > 0);
        }
    }

    /// What the thread does, until the process ends.
    fn work(&self) -> ! {
        let mut queue = self.lock();
        loop {
            let Some(item) = queue.items.pop_front() else {
                let dropped = std::mem::take(&mut queue.dropped);
                if dropped > 0 {
                    drop(queue);
                    warn!(
                        "{dropped} lines of the log are missing here: nothing read stderr while they were written"
                    );
                    queue = self.lock();
                    continue;
                }
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            queue.is_busy = true;
            drop(queue);
            let bytes = item.write_and_count();
            queue = self.lock();
            queue.is_busy = false;
            queue.bytes -= bytes;
            queue.done += 1;
            self.changed.notify_all();
        }
    }

    fn flush(&self) {
        let start = Instant::now();
        let (mut moved, mut done) = (start, 0);
        let mut queue = self.lock();
        while self.has_thread && (queue.is_busy || !queue.items.is_empty() || queue.dropped > 0) {
            if queue.done != done {
                (moved, done) = (Instant::now(), queue.done);
            }
            let left = IDLE.saturating_sub(moved.elapsed()).min(SLOW.saturating_sub(start.elapsed()));
            if left.is_zero() {
                return;
            }
            queue = self.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Item {
    fn write_and_count(self) -> usize {
        let bytes = match &self {
            Self::Text(text) => text.len(),
            Self::Bar(_) => 0,
        };
        self.write();
        bytes
    }

    fn write(self) {
        match self {
            // A reader that has closed the pipe is no failure of the command.
            Self::Text(text) if terminal::is_one() => {
                let _ = terminal::BARS.suspend(|| io::stderr().write_all(&text));
            }
            Self::Text(text) => {
                let _ = io::stderr().write_all(&text);
            }
            Self::Bar(change) => change(),
        }
    }
}

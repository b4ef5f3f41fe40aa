//! Shows a run: a bar on a terminal, elsewhere a line at least every 15 seconds.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tracing::info;

use super::{clean, terminal, writer};
use crate::core::progress::{IndexBuild, LOG_EVERY, Progress};

/// How often the bar's spinner turns.
const TURN_EVERY: Duration = Duration::from_millis(120);

/// What shows a run here.
pub(crate) fn new() -> Box<dyn Progress> {
    if terminal::is_one() { Box::new(Bar::default()) } else { Box::new(Lines::default()) }
}

fn applied(file: &str, took: Duration) {
    info!("applied `{file}` in {}", human(took));
}

fn human(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

#[derive(Default)]
struct Work {
    file: String,
    statement: Option<String>,
}

impl Work {
    fn text(&self, build: Option<&IndexBuild>) -> String {
        let statement = self.statement.as_ref().map(|s| format!(", {s}")).unwrap_or_default();
        let build = build.map(|build| format!(" ({build})")).unwrap_or_default();
        format!("{}{statement}{build}", self.file)
    }
}

#[derive(Default)]
struct Lines {
    work: Work,
    logged: Option<Instant>,
}

impl Progress for Lines {
    fn file(&mut self, file: &str, number: usize, of: usize) {
        self.work = Work { file: format!("`{file}` ({number} of {of})"), statement: None };
        self.logged = Some(Instant::now());
    }

    fn statement(&mut self, first_line: &str, number: usize, of: usize) {
        self.work.statement = Some(format!("statement {number} of {of}: {first_line}"));
    }

    fn working(&mut self, elapsed: Duration, build: Option<&IndexBuild>) {
        if self.logged.is_none_or(|logged| logged.elapsed() >= LOG_EVERY) {
            self.logged = Some(Instant::now());
            info!("applying {} for {}", self.work.text(build), human(elapsed));
        }
    }

    fn applied(&mut self, file: &str, took: Duration) {
        applied(file, took);
    }

    fn end(&mut self) {}
}

/// The bar. Only the thread that writes to stderr touches it, as drawing waits for the terminal.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Does something with the bar, if there is one.
fn with_bar(change: impl FnOnce(&ProgressBar) + Send + 'static) {
    writer::change_bar(move || {
        let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = bar.as_ref() {
            change(bar);
        }
    });
}

fn begin_bar(length: u64) {
    writer::change_bar(move || {
        let mut bar = BAR.lock().unwrap_or_else(PoisonError::into_inner);
        bar.get_or_insert_with(|| {
            let bar = terminal::BARS.add(ProgressBar::new(length));
            let template = "{spinner} {bar:24} {pos}/{len} {wide_msg} {elapsed}";
            bar.set_style(
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar.enable_steady_tick(TURN_EVERY);
            bar
        });
    });
}

fn end_bar() {
    writer::change_bar(|| {
        if let Some(bar) = BAR.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    });
}

/// A bar on a terminal.
#[derive(Default)]
struct Bar {
    work: Work,
}

impl Bar {
    fn show(&self, build: Option<&IndexBuild>) {
        let text = clean::line(&self.work.text(build));
        with_bar(|bar| bar.set_message(text));
    }
}

impl Progress for Bar {
    fn file(&mut self, file: &str, number: usize, of: usize) {
        self.work = Work { file: file.to_owned(), statement: None };
        begin_bar(of as u64);
        with_bar(move |bar| bar.set_position(number as u64 - 1));
        self.show(None);
    }

    fn statement(&mut self, first_line: &str, number: usize, of: usize) {
        self.work.statement = Some(format!("{number}/{of}: {first_line}"));
        self.show(None);
    }

    fn working(&mut self, _elapsed: Duration, build: Option<&IndexBuild>) {
        self.show(build);
    }

    fn applied(&mut self, file: &str, took: Duration) {
        with_bar(|bar| bar.inc(1));
        applied(file, took);
    }

    fn end(&mut self) {
        end_bar();
    }
}

//! Shows a run: a bar on a terminal, elsewhere a line at least every 15 seconds.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tracing::info;

use super::{clean, terminal};
use crate::core::progress::{IndexBuild, Progress, SAY_EVERY};

/// How often the bar's spinner turns.
const TURN_EVERY: Duration = Duration::from_millis(120);

/// What shows a run here.
#[must_use]
pub fn new() -> Box<dyn Progress> {
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

/// What is at work.
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

/// Lines in the log.
#[derive(Default)]
struct Lines {
    work: Work,
    said: Option<Instant>,
}

impl Progress for Lines {
    fn file(&mut self, file: &str, number: usize, of: usize) {
        self.work = Work { file: format!("`{file}` ({number} of {of})"), statement: None };
        self.said = Some(Instant::now());
    }

    fn statement(&mut self, first_line: &str, number: usize, of: usize) {
        self.work.statement = Some(format!("statement {number} of {of}: {first_line}"));
    }

    fn working(&mut self, elapsed: Duration, build: Option<&IndexBuild>) {
        if self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            self.said = Some(Instant::now());
            info!("applying {} for {}", self.work.text(build), human(elapsed));
        }
    }

    fn applied(&mut self, file: &str, took: Duration) {
        applied(file, took);
    }

    fn end(&mut self) {}
}

/// A bar on a terminal.
#[derive(Default)]
struct Bar {
    bar: Option<ProgressBar>,
    work: Work,
}

impl Progress for Bar {
    fn file(&mut self, file: &str, number: usize, of: usize) {
        self.work = Work { file: file.to_owned(), statement: None };
        let bar = self.bar.get_or_insert_with(|| {
            let bar = terminal::BARS.add(ProgressBar::new(of as u64));
            let template = "{spinner} {bar:24} {pos}/{len} {wide_msg} {elapsed}";
            bar.set_style(
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar.enable_steady_tick(TURN_EVERY);
            bar
        });
        bar.set_position(number as u64 - 1);
        bar.set_message(clean::line(&self.work.text(None)));
    }

    fn statement(&mut self, first_line: &str, number: usize, of: usize) {
        self.work.statement = Some(format!("{number}/{of}: {first_line}"));
        self.working(Duration::ZERO, None);
    }

    fn working(&mut self, _elapsed: Duration, build: Option<&IndexBuild>) {
        if let Some(bar) = &self.bar {
            bar.set_message(clean::line(&self.work.text(build)));
        }
    }

    fn applied(&mut self, file: &str, took: Duration) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
        applied(file, took);
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

//! A failure, printed once: on stderr for people, as JSON for programs, and into the termination log, which kubectl and
//! Argo CD show.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

use super::{Format, clean, listing, writer};
use crate::config::{env, secret};
use crate::core::printable::is_unprintable;
use crate::error::{Error, LISTED};
use crate::exit::ExitCode;

/// Kubernetes cuts a termination message at 4,096 bytes.
const TERMINATION_LOG_BYTES: usize = 4096;

/// Where Kubernetes reads it from unless the container has another `terminationMessagePath`.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// Opens without waiting for a reader (`open(2)`).
const O_NONBLOCK: i32 = if cfg!(target_os = "linux") { 0o4000 } else { 4 };

/// How long the report of a panic may take.
const LONGEST_LAST_WORDS: Duration = Duration::from_secs(2);

/// Prints the failure and returns the exit code that it ends with.
pub(crate) fn report(
    error: &Error,
    format: Format,
    log_format: Format,
    termination_log: Option<&Path>,
) -> ExitCode {
    print_failure(error, log_format);
    if format == Format::Json {
        super::json(&json!({
            "outcome": "failed", "exit_code": error.exit_code().code(), "error": document(error)
        }));
    }
    write_termination_log(termination_log, &termination_message(error));
    error.exit_code()
}

fn print_failure(error: &Error, log_format: Format) {
    match log_format {
        Format::Text => eprint(&text(error)),
        Format::Json => tracing::error!(error = %document(error), "{error}"),
    }
}

/// Prints the output of the command line parser: help and version on stdout, a wrong flag or variable as a failure.
///
/// The parser repeats values: of the flag or variable that it cannot read, and in the help that of every variable.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        super::write(&coloured(error, io::stdout().is_terminal()));
        return ExitCode::Ok;
    }
    print(&coloured(error, super::terminal::is_one()));
    let text = clean::text(&error.to_string());
    let (headline, _) = text.split_once("\n\n").unwrap_or((&text, ""));
    let sentence = one_line(headline.trim_start_matches("error: "), 1024);
    let document = json!({
        "exit_code": ExitCode::Usage.code(), "error": { "kind": "usage", "message": sentence }
    });
    // The flags are what could not be read, so only the variable can name another file.
    let path = env::read(env::TERMINATION_LOG).map(PathBuf::from);
    write_termination_log(path.as_deref(), &format!("{sentence}\n{document}\n"));
    ExitCode::Usage
}

/// The parser's output without secrets, in colours for a terminal, unless a value contains control characters.
fn coloured(error: &clap::Error, is_terminal: bool) -> String {
    let plain = error.to_string();
    let wants_colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    if is_terminal && wants_colours && !plain.contains(is_unprintable) {
        return secret::hidden(&error.render().ansi().to_string());
    }
    clean::text(&plain)
}

/// Reports that the program or a library of it has panicked, and returns the exit code to end with: the cause may pass, and the
/// server keeps nothing that was under way.
///
/// To be called by the hook, whatever the thread that panicked is in the middle of: the report is made on another thread.
pub(crate) fn panicked(place: &str, log_format: Format, termination_log: Option<&Path>) -> ExitCode {
    static ALREADY: AtomicBool = AtomicBool::new(false);
    if !ALREADY.swap(true, Ordering::Relaxed) {
        let error = Error::Interrupted {
            message: format!("the program hit an internal error: {}", one_line(place, 1024)),
            hint: "run the command again, nothing is applied twice; if it ends so again, report it with this text".into(),
        };
        let path = termination_log.map(Path::to_path_buf);
        let report = move || {
            print_failure(&error, log_format);
            write_termination_log(path.as_deref(), &termination_message(&error));
        };
        if let Ok(reporting) = thread::Builder::new().spawn(report) {
            let start = Instant::now();
            while !reporting.is_finished() && start.elapsed() < LONGEST_LAST_WORDS {
                thread::sleep(Duration::from_millis(1));
            }
        } else {
            writer::write(format!("error: {}\n", one_line(place, 1024)).as_bytes());
        }
        writer::flush();
    }
    ExitCode::TryAgain
}

/// Writes a file that Kubernetes has made. Another kind of file could block forever, as a FIFO without a reader does.
fn write_termination_log(path: Option<&Path>, message: &str) {
    let default = Path::new(TERMINATION_LOG);
    if let Some(path) = path.or_else(|| default.exists().then_some(default))
        && let Err(problem) = write_regular_file(path, message)
    {
        tracing::warn!("the termination log `{}` cannot be written: {problem}", path.display());
    }
}

fn write_regular_file(path: &Path, text: &str) -> io::Result<()> {
    let refused = || io::Error::other("it is no regular file");
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(refused());
    }
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).custom_flags(O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(refused());
    }
    file.write_all(text.as_bytes())
}

/// Without a runtime nothing can be tried.
pub(crate) fn no_runtime(error: &std::io::Error) -> ExitCode {
    eprint(&format!("error: the program cannot start: {error}\n"));
    ExitCode::TryAgain
}

fn eprint(text: &str) {
    print(&clean::text(text));
}

fn print(text: &str) {
    writer::write(text.as_bytes());
}

fn text(error: &Error) -> String {
    let mut text = format!("error: {}\n", clean::indented(&error.to_string()));
    if let Some(failure) = error.failure() {
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "  {name}: {}", clean::indented(value));
        };
        line("at", &failure.location());
        line("statement", &failure.statement);
        if let Some(detail) = &failure.server.detail {
            line("detail", detail);
        }
        if let Some(hint) = &failure.server.hint {
            line("server's hint", hint);
        }
        if let Some(context) = &failure.server.context {
            line("context", context);
        }
        if let Some(cause) = &failure.cause {
            line("probable cause", &cause.sentence);
        }
        for blocker in failure.blockers.iter().take(LISTED) {
            line("blocked by", blocker);
        }
        if let more @ 1.. = failure.blockers.len().saturating_sub(LISTED) {
            line("blocked by", &format!("{more} more"));
        }
        if failure.attempts > 1 {
            line("tries", &failure.attempts.to_string());
        }
        line("applied in this run", &versions(&failure.applied));
        line("not applied", &format!("{}; {}", versions(&failure.not_applied), failure.remains()));
    }
    text += &listing::findings(error.findings());
    text += &listing::differences(error.differences());
    if let Some(hint) = error.hint() {
        let _ = writeln!(text, "hint: {}", clean::continued(&hint));
    }
    text
}

fn versions(versions: &[i64]) -> String {
    match versions {
        [] => "nothing".into(),
        [one] => one.to_string(),
        [first, .., last] => format!("{} versions, {first} to {last}", versions.len()),
    }
}

/// The failure for programs. The keys are stable.
fn document(error: &Error) -> Value {
    #[derive(Serialize)]
    struct Document<'a> {
        kind: &'static str,
        message: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_step: Option<String>,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        findings: &'a [crate::error::Finding],
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        differences: &'a [crate::error::Difference],
        #[serde(skip_serializing_if = "Option::is_none")]
        failure: Option<&'a crate::error::Failure>,
    }
    json!(Document {
        kind: error.kind(),
        message: error.to_string(),
        next_step: error.hint(),
        findings: error.findings(),
        differences: error.differences(),
        failure: error.failure(),
    })
}

/// One sentence for people, then JSON that stays valid within the limit: long texts are cut first, then lists.
fn termination_message(error: &Error) -> String {
    let headline = one_line(&clean::text(&error.to_string()), 512);
    // Texts are cut once nothing in them has to be found.
    let whole = json!({ "exit_code": error.exit_code().code(), "error": document(error) });
    let whole: Value = serde_json::from_str(&clean::json(&whole.to_string())).unwrap_or_default();
    let mut longest = 2048;
    loop {
        let mut value = whole.clone();
        shorten(&mut value, longest);
        let message = format!("{headline}\n{}\n", clean::json(&value.to_string()));
        if message.len() <= TERMINATION_LOG_BYTES || longest == 1 {
            return message;
        }
        longest /= 2;
    }
}

/// Cuts texts to `longest` bytes and lists to a sixteenth as many items.
fn shorten(value: &mut Value, longest: usize) {
    match value {
        Value::String(text) if text.len() > longest => *text = one_line(text, longest),
        Value::Array(items) => {
            items.truncate((longest / 16).max(1));
            for item in items {
                shorten(item, longest);
            }
        }
        Value::Object(fields) => fields.values_mut().for_each(|field| shorten(field, longest)),
        _ => {}
    }
}

/// A text without line breaks, at most `bytes` long, ending in `…` where it was cut.
fn one_line(text: &str, bytes: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.len() <= bytes {
        return text;
    }
    let end = text.floor_char_boundary(bytes.saturating_sub('…'.len_utf8()));
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::failure::{Left, Position};
    use crate::error::{Failure, Finding, FindingKind, ServerError};

    fn failed(detail: &str, pending: i64) -> Error {
        Error::Migration(Box::new(Failure {
            file: "0007_x.sql".into(),
            version: 7,
            position: Some(Position { line: 3, column: 14 }),
            statement: "ALTER TABLE users ALTER foo SET NOT NULL".into(),
            server: ServerError {
                sqlstate: Some("42703".into()),
                message: "column \"foo\" does not exist".into(),
                detail: Some(detail.into()),
                hint: None,
                fatal: false,
                context: None,
            },
            attempts: 1,
            try_again: false,
            blockers: Vec::new(),
            applied: vec![5, 6],
            not_applied: (7..7 + pending).collect(),
            left: Left::Nothing,
            cause: None,
        }))
    }

    #[test]
    fn a_failure_for_people_has_everything() {
        assert_eq!(
            text(&failed("d", 2)),
            "error: migration `0007_x.sql:3:14` failed: column \"foo\" does not exist (SQLSTATE 42703)\n  at: \
             0007_x.sql:3:14\n  statement: ALTER TABLE users ALTER foo SET NOT NULL\n  detail: d\n  applied in this run: \
             2 versions, 5 to 6\n  not applied: 2 versions, 7 to 8; the file was rolled back whole\nhint: fix \
             `0007_x.sql` and run `corveil migrate` again; `--dry-run` shows what would run\n"
        );
    }

    #[test]
    fn the_termination_message_is_a_sentence_and_valid_json_within_the_limit() {
        for (detail, pending) in [("d".into(), 1), ("\"ü\\\n".repeat(9000), 1), ("x".repeat(5000), 5000)] {
            let message = termination_message(&failed(&detail, pending));
            assert!(message.len() <= TERMINATION_LOG_BYTES, "{}", message.len());
            let (sentence, json) = message.split_once('\n').unwrap();
            assert!(sentence.starts_with("migration `0007_x.sql:3:14` failed"), "{sentence}");
            let value: Value = serde_json::from_str(json).unwrap();
            assert_eq!(value["error"]["failure"]["sqlstate"], "42703");
            assert_eq!(value["exit_code"], 3);
        }
    }

    #[test]
    fn what_is_cut_in_the_termination_message_shows_no_secret() {
        let long = format!("{} ALTER ROLE app PASSWORD 's3cr3t' {}", "x ".repeat(240), "y ".repeat(4000));
        let message = termination_message(&failed(&long, 1));
        assert!(message.len() <= TERMINATION_LOG_BYTES && !message.contains("s3c"), "{message}");
        assert!(serde_json::from_str::<Value>(message.split_once('\n').unwrap().1).is_ok());
    }

    #[test]
    fn a_server_s_line_break_begins_no_line_that_could_be_corveil_s() {
        let text = text(&failed("d\nhint: run `rm -rf /`\u{1b}[2J", 1));
        assert!(text.contains("  detail: d\n    hint: run `rm -rf /`\\u{1b}[2J\n"), "{text}");
    }

    fn edited() -> Finding {
        Finding::new(FindingKind::Edited, "was edited after it was applied", "restore it")
            .file("0001_a.sql".to_owned())
            .version(1)
    }

    #[test]
    fn many_findings_fit_too() {
        let message = termination_message(&Error::Mismatch(vec![edited(); 500]));
        assert!(message.len() <= TERMINATION_LOG_BYTES);
        assert!(serde_json::from_str::<Value>(message.split_once('\n').unwrap().1).is_ok());
    }

    #[test]
    fn a_failure_for_people_lists_twenty_things() {
        let text = |count: usize| text(&Error::Mismatch(vec![edited(); count]));
        assert_eq!(text(20).matches("\n- `0001_a.sql`").count(), 20);
        assert!(!text(20).contains("more"));
        assert_eq!(text(500).matches("\n- `0001_a.sql`").count(), 20);
        assert!(text(500).contains("- and 480 more; `--output json` lists them all\n"));
    }

    #[test]
    fn a_termination_log_that_is_no_file_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        for path in [fifo.as_path(), folder.path(), Path::new("/dev/null")] {
            assert!(write_regular_file(path, "text").is_err(), "{}", path.display());
        }
        let file = folder.path().join("log");
        write_regular_file(&file, "a longer text").unwrap();
        write_regular_file(&file, "text").unwrap();
        assert_eq!(fs::read_to_string(file).unwrap(), "text");
    }
}

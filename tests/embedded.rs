//! `corveil` without a database: the embedded PostgreSQL, in a working folder that only the test uses.
#![cfg(feature = "embedded")]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Kubernetes and people are promised that an orderly end takes no longer.
const PROMISE: Duration = Duration::from_secs(5);

/// The server unpacks itself at the first start, on a machine that may be busy.
const PATIENCE: Duration = Duration::from_mins(3);

/// The program in a working folder, in an environment that names no database.
fn corveil(place: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corveil"));
    command
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", place)
        .current_dir(place)
        .stdin(Stdio::null());
    command
}

#[track_caller]
fn run(place: &Path, arguments: &[&str], code: i32) -> Output {
    expect(corveil(place, arguments).output().expect("start corveil"), code)
}

#[track_caller]
fn expect(output: Output, code: i32) -> Output {
    assert_eq!(output.status.code(), Some(code), "{}\n{}", text(&output.stdout), text(&output.stderr));
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Starts `corveil migrate` in the background and waits until it logs `part`. It logs to a file, so that it can be read
/// while it runs.
fn start(place: &Path, arguments: &[&str], part: &str) -> Child {
    let log = place.join("log");
    let stderr = std::fs::File::create(&log).expect("create the log");
    let mut command = corveil(place, &["migrate", "--log-level", "debug"]);
    let child = command.args(arguments).stdout(Stdio::null()).stderr(stderr).spawn().expect("start corveil");
    let start = Instant::now();
    while !std::fs::read_to_string(&log).is_ok_and(|log| log.contains(part)) {
        assert!(start.elapsed() < PATIENCE, "no `{part}` in {:?}", std::fs::read_to_string(&log));
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

fn signal(child: &Child, name: &str) {
    let script = format!("kill -s {name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &script]).status().expect("start `sh`").success());
}

/// The run that the README opens with.
fn readme_run() -> &'static str {
    let readme = include_str!("../README.md");
    let (_, run) = readme.split_once("$ cargo run -- migrate\n").expect("the README opens with a run");
    run.split_once("```").expect("the block ends").0
}

/// The log of a run, without what differs from one to the next: the clock, and how long things took.
fn logged(run: &str) -> Vec<&str> {
    run.lines()
        .map(|line| line.split_once("INFO ").map_or(line, |(_, text)| text))
        .map(|line| {
            line.split_once(" in ").filter(|(_, rest)| rest.contains('s')).map_or(line, |(text, _)| text)
        })
        .collect()
}

fn place() -> TempDir {
    tempfile::Builder::new().prefix("corveil-embedded-").tempdir().expect("create a folder")
}

#[test]
fn the_program_s_own_migrations_apply_without_a_database() {
    let place = place();
    let place = place.path();
    let first = run(place, &["migrate"], 0);
    assert!(text(&first.stdout).starts_with("applied 10 migrations"), "{}", text(&first.stdout));
    let real = text(&first.stderr) + &text(&first.stdout);
    assert_eq!(logged(&real), logged(readme_run()), "the README shows another run:\n{real}");
    assert!(place.join(".corveil").is_dir());

    assert!(text(&run(place, &["migrate"], 0).stdout).starts_with("nothing to do"));
    assert_eq!(text(&run(place, &["status"], 0).stdout).matches("applied  ").count(), 10);
    run(place, &["wait", "--timeout", "60s"], 0);
    run(place, &["wait", "--for", "db", "--timeout", "60s"], 0);
    run(place, &["verify"], 0);
    let verified = run(place, &["verify", "--schema"], 0);
    assert!(text(&verified.stdout).contains("and schema match"), "{}", text(&verified.stdout));
}

#[test]
fn one_process_at_a_time_and_a_signal_or_a_kill_costs_nothing() {
    let place = place();
    let place = place.path();
    let file = |name: &str, content: &str| {
        std::fs::create_dir_all(place.join("files")).expect("create the folder");
        std::fs::write(place.join("files").join(name), content).expect("write a file");
    };
    file("0001_a.sql", "CREATE TABLE a ()");
    file("0002_b.sql", "CREATE TABLE b (); SELECT pg_sleep(120);");
    let source = ["--source", "files"];

    let mut first = start(place, &source, "applied `0001_a.sql`");
    let second = run(place, &["migrate", "--source", "files"], 75);
    assert!(text(&second.stderr).contains("is in use by another process"), "{}", text(&second.stderr));
    let stopped = Instant::now();
    signal(&first, "TERM");
    assert_eq!(first.wait().expect("wait for corveil").code(), Some(75));
    assert!(stopped.elapsed() < PROMISE, "it took {:?}", stopped.elapsed());

    let mut killed = start(place, &source, "lock obtained");
    killed.kill().expect("kill corveil");
    killed.wait().expect("wait for corveil");

    let status = run(place, &["status", "--source", "files"], 1);
    assert!(text(&status.stdout).contains("pending   2  b"), "{}", text(&status.stdout));
    file("0002_b.sql", "CREATE TABLE b ();");
    file(
        "0003_c.sql",
        "-- no-transaction\nCREATE TABLE c (id int);\nCREATE INDEX CONCURRENTLY c_id ON c (id);",
    );
    let rerun = run(place, &["migrate", "--source", "files"], 0);
    assert!(text(&rerun.stdout).starts_with("applied 2 migrations"), "{}", text(&rerun.stdout));
    // The files are replayed in a second server, of which nothing stays.
    run(place, &["verify", "--source", "files", "--schema"], 0);
    let left = |folder: &Path| {
        let entries = std::fs::read_dir(folder).expect("read the folder").flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("corveil_scratch_")).count()
    };
    assert_eq!(left(&place.join(".corveil/tmp")), 0);
}

#[test]
fn an_empty_url_is_a_mistake_and_not_a_wish_for_the_embedded_server() {
    let place = place();
    for subcommand in ["migrate", "status", "wait", "verify"] {
        for variable in ["DATABASE_URL", "MIGRATE_DATABASE_URL"] {
            let output =
                corveil(place.path(), &[subcommand]).env(variable, "").output().expect("start corveil");
            let output = expect(output, 2);
            assert!(
                text(&output.stderr).contains(&format!("`{variable}` is not a PostgreSQL connection URL"))
            );
        }
    }
    assert!(!place.path().join(".corveil").exists());
}

#[test]
fn a_command_that_only_reads_makes_no_server() {
    let place = place();
    for subcommand in ["status", "wait", "verify"] {
        let output = run(place.path(), &[subcommand], 2);
        assert!(text(&output.stderr).contains("or run `corveil migrate`"), "{}", text(&output.stderr));
    }
    assert!(!place.path().join(".corveil").exists());
}

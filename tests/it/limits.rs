//! What is too large or never ends: files, logs that are not read, answers of a hostile server, and systems without means.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use sqlx::Connection as _;
use tokio::io::AsyncReadExt as _;

use crate::support::corveil::{Outcome, Running};
use crate::support::{Corveil, Database, Folder, SOON, wait_until};

const MEBIBYTE: usize = 1024 * 1024;

/// A table, and rows of numbers and texts for it of about that many bytes: as dense as SQL gets.
fn rows(bytes: usize) -> String {
    let mut sql = "CREATE TABLE seed (a int, b text, c int);\nINSERT INTO seed VALUES (0,'',0)".to_owned();
    for number in 0.. {
        if sql.len() >= bytes {
            break;
        }
        let _ = write!(sql, ",({number},'t{}',{})", number % 100, number % 7);
    }
    sql + ";\n"
}

/// The most memory that a process had, in bytes, as the kernel has it; it is asked until the process has ended.
async fn peak(run: Running) -> (usize, Outcome) {
    let status = format!("/proc/{}/status", run.process());
    let reader = thread::spawn(move || {
        let mut peak = 0;
        while let Ok(text) = std::fs::read_to_string(&status) {
            // A process that has ended and is not waited for has no memory left to report.
            let Some(mark) = text.lines().find_map(|line| line.strip_prefix("VmHWM:")) else { break };
            peak = mark.trim().trim_end_matches(" kB").parse::<usize>().expect("a number of kB") * 1024;
            thread::sleep(std::time::Duration::from_millis(1));
        }
        peak
    });
    let outcome = run.wait().await;
    (reader.join().expect("the reader of the mark"), outcome)
}

#[tokio::test]
async fn a_seed_file_takes_three_times_its_size_of_memory() {
    let small = Database::fresh().await;
    let folder = Folder::new().file("1_seed.sql", rows(0));
    let (base, outcome) = peak(Corveil::migrate(&small, &folder).spawn()).await;
    outcome.expect_code(0);

    let seed = rows(4 * MEBIBYTE);
    let statement_by_statement = seed.replace(",(", ";\nINSERT INTO seed VALUES (");
    for sql in
        [format!("BEGIN;\n{seed}COMMIT;\n"), statement_by_statement, format!("-- no-transaction\n{seed}")]
    {
        let database = Database::fresh().await;
        let folder = Folder::new().file("1_seed.sql", &sql);
        let (peak, outcome) = peak(Corveil::migrate(&database, &folder).spawn()).await;
        outcome.expect_code(0);
        assert_eq!(database.applied().await, [1]);
        let most = base + 3 * sql.len() + 2 * MEBIBYTE;
        assert!(peak <= most, "{peak} bytes for {} on top of {base}", sql.len());
    }
}

/// The same in statements of 64 KiB.
fn statements(bytes: usize) -> String {
    let seed = rows(64 * 1024);
    let (table, insert) = seed.split_once('\n').expect("two statements");
    format!("{table}\n{}", insert.repeat(bytes / insert.len()))
}

#[tokio::test]
async fn a_large_file_takes_little_memory_of_the_server() {
    let database = Database::fresh().await;
    database.execute("CREATE TABLE peaks (kilobytes int)").await;
    // The parent of what the server's process starts is that process.
    let measure = "COPY peaks FROM PROGRAM 'grep VmPeak /proc/$PPID/status | tr -dc 0-9';\n";
    let seed = statements(8 * MEBIBYTE);
    let folder = Folder::new().file("1_measure.sql", measure).file("2_seed.sql", seed + measure);
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    let grown: i32 = database.value("SELECT max(kilobytes) - min(kilobytes) FROM peaks").await;
    // Sent at once it would be twenty times the file.
    assert!(grown < 6 * 8 * 1024, "{grown} kB");
}

#[tokio::test]
async fn a_failure_far_down_in_a_large_file_is_found_at_its_line() {
    let database = Database::fresh().await;
    let sql = statements(3 * MEBIBYTE);
    let lines = sql.lines().count();
    for (bad, what) in
        [("INSERT INTO nowhere VALUES (1);", "nowhere"), ("INSERT INTO seed VALUES (1,;", "syntax error")]
    {
        let folder = Folder::new().file("1_seed.sql", format!("-- é\n{sql}\n{bad}\nSELECT 1;\n"));
        Corveil::migrate(&database, &folder)
            .run()
            .await
            .expect_code(3)
            .expect_stderr(&format!("1_seed.sql:{}:", lines + 3))
            .expect_stderr(what);
        assert!(database.applied().await.is_empty());
    }
}

#[tokio::test]
async fn a_file_of_many_bad_places_names_twenty_of_them() {
    let database = Database::fresh().await;
    let folder = Folder::new()
        .file("1_pairs.sql", "BEGIN;\nSELECT 1;\nCOMMIT;\n".repeat(16_000))
        .file("2_vacuum.sql", "VACUUM;\n".repeat(16_000))
        .file("3_copy.sql", "COPY t FROM stdin;\n".repeat(16_000))
        .file("4_psql.sql", "\\echo it's\n".repeat(16_000));
    let run = Corveil::migrate(&database, &folder).run().await.expect_code(2);
    let run = run
        .expect_stderr(
            "lines 1, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16, 18, 19, 21, 22, 24, 25, 27, 28, 30 and 31980 more",
        )
        .expect_stderr("`2_vacuum.sql` line 1 ")
        .expect_stderr("- and ");
    assert!(run.stderr.lines().count() < 100, "{run}");
    let json =
        Corveil::migrate(&database, &folder).args(["--output", "json"]).run().await.expect_code(2).json();
    let findings = json["error"]["findings"].to_string();
    assert!(findings.contains("has 15980 more places like these"), "{findings}");
}

#[tokio::test]
async fn pairs_of_begin_and_commit_are_applied_without_a_transaction() {
    let database = Database::fresh().await;
    let pairs = format!("-- no-transaction\n{}", "BEGIN; SELECT 1; COMMIT;\n".repeat(500));
    let folder = Folder::new().file("1_pairs.sql", pairs);
    Corveil::migrate(&database, &folder).run().await.expect_code(0);
    assert_eq!(database.applied().await, [1]);
}

/// Waits until a process is at work on a separate thread.
async fn until_it_computes(run: &Running) {
    let threads = format!("/proc/{}/task", run.process());
    let is_named = |thread: std::io::Result<std::fs::DirEntry>| {
        thread.is_ok_and(|thread| {
            std::fs::read_to_string(thread.path().join("comm")).is_ok_and(|name| name.trim() == "compute")
        })
    };
    wait_until("it computes", SOON, async || {
        std::fs::read_dir(&threads).is_ok_and(|mut all| all.any(is_named))
    })
    .await;
}

#[tokio::test]
async fn a_signal_is_heard_while_files_are_read() {
    let database = Database::fresh().await;
    let folder = Folder::new().file("1_seed.sql", rows(60 * MEBIBYTE));
    let dry_run = Corveil::migrate(&database, &folder).arg("--dry-run");
    for command in [
        Corveil::migrate(&database, &folder),
        dry_run,
        Corveil::with("status", &database, &folder),
        Corveil::with("verify", &database, &folder),
    ] {
        let run = command.spawn();
        until_it_computes(&run).await;
        run.signal("TERM").await;
        let outcome = run.wait().await.expect_code(75);
        outcome.expect_stderr("stopped by SIGTERM while reading the migration files");
    }
    assert!(!database.is_touched().await);
}

#[tokio::test]
async fn a_deadline_is_heard_while_files_are_read() {
    let database = Database::fresh().await;
    let folder = Folder::new().file("1_seed.sql", rows(60 * MEBIBYTE));
    let run = Corveil::migrate(&database, &folder).args(["--deadline", "300ms"]).run().await.expect_code(75);
    run.expect_stderr("stopped by its deadline of 300ms while reading the migration files");
    assert!(!database.is_touched().await);
}

/// More lines than a pipe and Corveil's buffer take.
const MANY_NOTICES: &str =
    "DO $$ BEGIN FOR i IN 1..30000 LOOP RAISE NOTICE '%', repeat('x', 200); END LOOP; END $$;";

#[tokio::test]
async fn a_log_that_is_not_read_does_not_stop_a_run() {
    for format in ["text", "json"] {
        let database = Database::fresh().await;
        let folder =
            Folder::new().file("1_notices.sql", MANY_NOTICES).file("2_after.sql", "CREATE TABLE after ()");
        let command = Corveil::migrate(&database, &folder);
        let (run, pipe) = command.args(["--log-level", "debug", "--log-format", format]).spawn_with_pipe();
        run.wait().await.expect_code(0).expect_stdout("applied 2 migrations");
        assert!(database.is_unlocked().await);
        drop(pipe);
    }
}

#[tokio::test]
async fn a_log_that_is_read_late_reports_what_it_lacks() {
    let database = Database::fresh().await;
    database.execute("CREATE TABLE t ()").await;
    let folder =
        Folder::new().file("1_notices.sql", MANY_NOTICES).file("2_wait.sql", "ALTER TABLE t ADD x int");
    let reader = database.begin("LOCK TABLE t IN ACCESS SHARE MODE").await;
    let command =
        Corveil::migrate(&database, &folder).args(["--log-level", "debug", "--lock-timeout", "none"]);
    let (run, mut pipe) = command.spawn_with_pipe();
    database.runner("query LIKE '%ALTER TABLE t ADD%' AND wait_event_type = 'Lock'").await;

    let (mut log, mut chunk) = (String::new(), [0; 8192]);
    while !log.contains("lines of the log are missing here") {
        let length = pipe.read(&mut chunk).await.unwrap();
        assert!(length > 0, "the log ended without a line about what it lacks");
        log += &String::from_utf8_lossy(&chunk[..length]);
    }
    reader.close().await.unwrap();
    pipe.read_to_string(&mut log).await.unwrap();
    run.wait().await.expect_code(0);
    assert!(log.contains("applied `2_wait.sql`"), "{}", &log[log.len().saturating_sub(2000)..]);
}

#[tokio::test]
async fn a_termination_log_that_is_a_pipe_without_a_reader_does_not_keep_a_run_from_ending() {
    let (database, folder) = (Database::fresh().await, Folder::new().file("1_bad.sql", "SELECT 'x"));
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let run = Corveil::migrate(&database, &folder).env("CORVEIL_TERMINATION_LOG", &fifo).run().await;
    run.expect_code(2).expect_stderr("cannot be written: it is no regular file");
}

/// A server that answers whatever comes with these bytes, and then with zeros for as long as they are taken.
struct HostileServer(u16);

impl HostileServer {
    fn that_sends(first: &'static [u8]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
        let port = listener.local_addr().expect("the address just bound").port();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || flood(client, first));
            }
        });
        Self(port)
    }

    /// Without the negotiation of TLS, which would be its first answer.
    fn url(&self, database: &Database) -> String {
        format!("{}?sslmode=disable", database.url().through(self.0))
    }
}

fn flood(mut client: TcpStream, first: &[u8]) {
    let _ = client.read(&mut [0; 4096]);
    let _ = client.write_all(first);
    while client.write_all(&[0; 8192]).is_ok() {}
}

#[tokio::test]
async fn a_server_that_lies_about_a_length_ends_the_run_with_an_exit_code() {
    let database = Database::fresh().await;
    let folder = Folder::new().file("1_a.sql", "SELECT 1");
    for (length, first) in [("too short", b"R\0\0\0\x02"), ("zero", b"R\0\0\0\0")] {
        let server = HostileServer::that_sends(first);
        let run = Corveil::migrate(&database, &folder)
            .env("DATABASE_URL", server.url(&database))
            .args(["--wait-for-db", "0s"]);
        let outcome = run.run().await.expect_code(75);
        let outcome = outcome.expect_stderr("error: ").expect_stderr("hint: ");
        assert!(outcome.stderr.lines().count() < 6, "{length}: {outcome}");
        assert!(!outcome.termination_log.is_empty(), "{length}: {outcome}");
    }
}

#[tokio::test]
async fn a_server_that_sends_without_end_does_not_get_the_run_killed() {
    let database = Database::fresh().await;
    let folder = Folder::new().file("1_a.sql", "SELECT 1");
    let server = HostileServer::that_sends(b"R\x40\0\0\0");
    // 128 MiB, which is what the chart gives.
    let run = Corveil::migrate(&database, &folder)
        .env("DATABASE_URL", server.url(&database))
        .limited("ulimit -m 131072");
    let (peak, outcome) = peak(run.spawn()).await;
    outcome
        .expect_code(75)
        .expect_stderr("MiB of memory of the 128 MiB that it may have")
        .expect_stderr("hint: ");
    // A server on the same machine sends faster than any network; what counts is that it does not get what it announced.
    assert!(peak < 256 * MEBIBYTE, "{peak}");
}

#[tokio::test]
async fn a_process_without_resources_ends_with_an_exit_code_and_the_reason() {
    let database = Database::fresh().await;
    let folder = Folder::new().file("1_a.sql", "SELECT 1");
    for limit in ["ulimit -n 4", "ulimit -n 5", "ulimit -n 6", "ulimit -n 7", "ulimit -n 8"] {
        let run =
            Corveil::migrate(&database, &folder).args(["--wait-for-db", "0s"]).limited(limit).run().await;
        assert!(matches!(run.code, Some(0 | 2 | 75)), "{limit}: {run}");
        assert!(run.code == Some(0) || run.stderr.contains("error: "), "{limit}: {run}");
    }
}

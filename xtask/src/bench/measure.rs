//! Runs the programs in turn and measures them.

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::bench::case::{Case, LONGEST_AFTERLIFE};
use crate::bench::migrations::{COLUMNS, FILES, Folders, Rows};
use crate::bench::program::Program;
use crate::bench::report::{self, Table};
use crate::bench::waiting;
use crate::postgres::server::Server;

/// A start takes milliseconds, so its median needs more samples than a run of seconds.
const STARTS_PER_ROUND: usize = 8;

/// How often the kernel's high-water mark is read. It only rises, so at most the growth of the last interval is missed.
const MEMORY_POLL: Duration = Duration::from_millis(1);

/// The pause between two queries of the server's sessions.
const BACKEND_POLL: Duration = Duration::from_millis(5);

/// Everything that a measurement needs.
pub(crate) struct Bench<'a> {
    programs: &'a [Program],
    server: &'a Server,
    far_port: u16,
    tables: Folders,
    long_statement: Folders,
    wide: Folders,
    rows: HashMap<u32, OnceCell<Rows>>,
    databases: Cell<usize>,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(programs: &'a [Program], server: &'a Server, far_port: u16) -> anyhow::Result<Self> {
        Ok(Self {
            programs,
            server,
            far_port,
            tables: Folders::tables(server.folder().join("tables"))?,
            long_statement: Folders::long_statement(server.folder().join("long"))?,
            wide: Folders::wide(server.folder().join("wide"))?,
            rows: [2, 10, 60].map(|size| (size, OnceCell::new())).into(),
            databases: Cell::new(0),
        })
    }

    pub(crate) fn measure(&self, case: Case, rounds: usize) -> anyhow::Result<Table> {
        report::progress(&format!("measuring: {}", case.title()))?;
        Ok(match case {
            Case::NoOp | Case::NoOpFar => self.starts(case, rounds * STARTS_PER_ROUND)?,
            Case::Files | Case::FilesFar => self.rounds(case, rounds, |program| {
                self.with_fresh_database(|database| {
                    let took = self.time(&mut program.migrate(&self.tables, &self.url(case, database)))?;
                    self.expect_tables(database)?;
                    Ok(took.as_secs_f64())
                })
            }),
            Case::Memory => self.rounds(case, rounds, |program| {
                self.with_fresh_database(|database| {
                    let peak = self.peak(&mut program.migrate(&self.tables, &self.url(case, database)))?;
                    self.expect_tables(database)?;
                    Ok(mebibytes(peak * 1024))
                })
            }),
            Case::Rows2 | Case::Rows10 | Case::Rows60 => self.rounds(case, rounds, |program| {
                self.with_fresh_database(|database| {
                    let folders = self.rows(case);
                    let took =
                        self.time(&mut program.migrate(&folders.folders, &self.url(case, database)))?;
                    self.expect_rows(database, folders)?;
                    Ok(took.as_secs_f64())
                })
            }),
            // It is the same each time, except for a page or two.
            Case::Rows2Memory | Case::Rows10Memory | Case::Rows60Memory => self.rounds(case, 1, |program| {
                self.with_fresh_database(|database| {
                    let folders = self.rows(case);
                    let peak =
                        self.peak(&mut program.migrate(&folders.folders, &self.url(case, database)))?;
                    self.expect_rows(database, folders)?;
                    Ok(mebibytes(peak * 1024))
                })
            }),
            Case::Size => self.rounds(case, 1, |program| Ok(mebibytes(fs::metadata(&program.path)?.len()))),
            Case::Kill => self.rounds(case, rounds, |program| {
                self.with_fresh_database(|database| self.afterlife(program, database))
            }),
            Case::Schema => self.rounds(case, rounds, |program| {
                self.with_fresh_database(|database| self.comparison(program, database))
            }),
            Case::Waiting => {
                self.rounds(case, 1, |program| Ok(waiting::measure(program, &self.tables)?.transactions))
            }
            Case::Started => {
                self.rounds(case, 1, |program| Ok(waiting::measure(program, &self.tables)?.started))
            }
        })
    }

    /// Measures starts. Each program has a database in which everything is applied before the first start is timed.
    fn starts(&self, case: Case, rounds: usize) -> anyhow::Result<Table> {
        let mut databases = HashMap::new();
        for program in self.programs {
            let database = self.fresh_database()?;
            let applied = self.time(&mut program.migrate(&self.tables, &self.url(Case::Files, &database)));
            databases.insert(program.kind.name(), (database, applied.map(drop)));
        }
        let table = self.rounds(case, rounds, |program| {
            let (database, applied) = &databases[program.kind.name()];
            if let Err(error) = applied {
                bail!("{error:#}");
            }
            self.expect_tables(database)?;
            let took = self.time(&mut program.start(&self.tables, &self.url(case, database)))?;
            Ok(took.as_secs_f64() * 1000.0)
        });
        for (database, _) in databases.into_values() {
            self.server.drop(&database)?;
        }
        Ok(table)
    }

    /// Every round begins with another program, so that no program always runs after the same one. A program that fails does
    /// not run again.
    fn rounds(&self, case: Case, rounds: usize, sample: impl Fn(&Program) -> anyhow::Result<f64>) -> Table {
        let programs: Vec<_> = self.programs.iter().filter(|it| case.is_for(it.kind)).cloned().collect();
        let mut table = Table::new(case, &programs);
        for round in 0..rounds {
            let (later, first) = programs.split_at(round % programs.len());
            for program in first.iter().chain(later) {
                if table.has_failed(program.kind) {
                    continue;
                }
                table.add(program.kind, sample(program));
            }
        }
        table
    }

    fn url(&self, case: Case, database: &str) -> String {
        Server::url(if case.is_far() { self.far_port } else { self.server.port() }, database)
    }

    fn fresh_database(&self) -> anyhow::Result<String> {
        let number = self.databases.get();
        self.databases.set(number + 1);
        let database = format!("bench_{number}");
        self.server.create(&database)?;
        Ok(database)
    }

    fn with_fresh_database<T>(&self, work: impl Fn(&str) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let database = self.fresh_database()?;
        let result = work(&database);
        self.server.drop(&database)?;
        result
    }

    /// Fails for a program that returns quickly because it did nothing.
    fn expect_tables(&self, database: &str) -> anyhow::Result<()> {
        let query = r"SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'item\_%\_created\_at'";
        let found: usize = self.server.sql(database, &[query])?.parse()?;
        ensure!(found == FILES, "it succeeded, but {found} of {FILES} files are applied");
        Ok(())
    }

    fn rows(&self, case: Case) -> &Rows {
        let size = case.rows().expect("it is one of rows");
        self.rows[&size].get_or_init(|| {
            Rows::write(self.server.folder().join(format!("rows-{size}")), size).expect("rows can be written")
        })
    }

    fn expect_rows(&self, database: &str, rows: &Rows) -> anyhow::Result<()> {
        let found: usize = self.server.sql(database, &["SELECT count(*) FROM seed"])?.parse()?;
        ensure!(found == rows.count, "it succeeded, but {found} of {} rows exist", rows.count);
        Ok(())
    }

    fn time(&self, command: &mut Command) -> anyhow::Result<Duration> {
        let command = self.logged(command)?;
        let begun = Instant::now();
        let status = command.status()?;
        let took = begun.elapsed();
        ensure!(status.success(), "{status}: {}", self.last_words());
        Ok(took)
    }

    /// The program's peak resident memory, in KiB, from the kernel's high-water mark. Unlike the figure of `wait4`, this mark
    /// starts at zero with the program and not at the memory of the bench itself.
    fn peak(&self, command: &mut Command) -> anyhow::Result<u64> {
        let mut child = self.logged(command)?.spawn()?;
        let status_file = format!("/proc/{}/status", child.id());
        let mut peak = 0;
        let status = loop {
            // For a program that has ended but was not waited for, the kernel reports no memory.
            let text = fs::read_to_string(&status_file)?;
            let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
            peak = mark.map_or(Ok(peak), str::parse)?;
            if let Some(status) = child.try_wait()? {
                break status;
            }
            thread::sleep(MEMORY_POLL);
        };
        ensure!(status.success(), "{status}: {}", self.last_words());
        Ok(peak)
    }

    /// How long the comparison takes from start to end, without the time for the replay of files that the program logs.
    fn comparison(&self, program: &Program, database: &str) -> anyhow::Result<f64> {
        let url = self.url(Case::Schema, database);
        self.time(&mut program.migrate(&self.wide, &url))?;
        let columns = "SELECT count(*) FROM information_schema.columns WHERE table_name LIKE 'wide%'";
        let found: usize = self.server.sql(database, &[columns])?.parse()?;
        ensure!(found == COLUMNS, "{found} of {COLUMNS} columns exist");
        let whole = self.time(&mut program.verify_schema(&self.wide, &url))?;
        let log = fs::read_to_string(self.log())?;
        let replayed = log.lines().find(|line| line.contains("replayed the files"));
        let took = replayed.and_then(|line| line.split_once("took_ms=")).context("it replayed nothing")?.1;
        let digits: String = took.chars().take_while(char::is_ascii_digit).collect();
        let replay = Duration::from_millis(digits.parse().context("no number of milliseconds")?);
        Ok(whole.saturating_sub(replay).as_secs_f64())
    }

    /// How long the session and its locks stay after a SIGKILL in the middle of a statement, in seconds.
    fn afterlife(&self, program: &Program, database: &str) -> anyhow::Result<f64> {
        let mut command = program.migrate(&self.long_statement, &self.url(Case::Kill, database));
        let mut child = self.logged(&mut command)?.spawn()?;
        let asleep = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND wait_event = 'PgSleep'"
        );
        if let Err(error) = self.wait_for_statement(&mut child, &asleep) {
            let _ = child.kill();
            child.wait()?;
            return Err(error);
        }

        let killed = Instant::now();
        child.kill()?;
        child.wait()?;
        let left = format!(
            "SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}')
                  + (SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
                     WHERE datname = '{database}')"
        );
        while self.server.sql("postgres", &[&left])? != "0" {
            if killed.elapsed() > LONGEST_AFTERLIFE {
                return Ok(f64::INFINITY);
            }
            thread::sleep(BACKEND_POLL);
        }
        Ok(killed.elapsed().as_secs_f64())
    }

    fn wait_for_statement(&self, child: &mut Child, query: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.server.sql("postgres", &[query])? == "0" {
            if let Some(status) = child.try_wait()? {
                bail!("{status} before its statement ran: {}", self.last_words());
            }
            ensure!(begun.elapsed() < Duration::from_secs(10), "the long statement never ran");
        }
        Ok(())
    }

    fn logged<'c>(&self, command: &'c mut Command) -> anyhow::Result<&'c mut Command> {
        let log = File::create(self.log()).context("cannot write the log of a program")?;
        Ok(command.stdout(log.try_clone()?).stderr(log))
    }

    fn log(&self) -> PathBuf {
        self.server.folder().join("program.log")
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = log.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(3)..].join(" / ")
    }
}

#[expect(clippy::cast_precision_loss, reason = "a file or a process is far smaller than 2^52 bytes")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

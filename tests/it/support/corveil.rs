//! Runs of the real program, in an environment that holds only what the test sets.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, ChildStderr, Command};

use crate::support::{Database, Folder, SOON, Url};

/// Longer than any run of a test should take: a run that hangs fails its test and shows how far it came.
const DEADLINE: Duration = Duration::from_mins(2);

/// A run to come.
pub(crate) struct Corveil {
    command: Command,
    place: TempDir,
}

impl Corveil {
    /// A subcommand without a database and without a folder.
    pub(crate) fn new(subcommand: &str) -> Self {
        let place = tempfile::Builder::new().prefix("corveil-run-").tempdir().expect("create a folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_corveil"));
        command
            .arg(subcommand)
            .env_clear()
            .env("HOME", place.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("CORVEIL_TERMINATION_LOG", place.path().join("termination-log"))
            .current_dir(place.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Self { command, place }
    }

    /// The same, where the process may open only so many files.
    pub(crate) fn with_open_files(files: u32, subcommand: &str) -> Self {
        let mut run = Self::new(subcommand);
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &format!("ulimit -n {files}; exec \"$0\" \"$@\""),
            env!("CARGO_BIN_EXE_corveil"),
        ]);
        command
            .arg(subcommand)
            .env_clear()
            .current_dir(run.place.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        for (name, value) in run.command.as_std().get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        run.command = command;
        run
    }

    /// `corveil migrate` of a folder on a database.
    pub(crate) fn migrate(database: &Database, folder: &Folder) -> Self {
        Self::with("migrate", database, folder)
    }

    /// Any subcommand with a folder on a database.
    pub(crate) fn with(subcommand: &str, database: &Database, folder: &Folder) -> Self {
        Self::new(subcommand).url(&database.url()).arg("--source").arg(folder.path())
    }

    /// Connects there instead.
    pub(crate) fn url(self, url: &Url) -> Self {
        self.env("DATABASE_URL", url.to_string())
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn args<I>(mut self, arguments: I) -> Self
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        self.command.args(arguments);
        self
    }

    /// Runs to the end.
    pub(crate) async fn run(self) -> Outcome {
        self.spawn().wait().await
    }

    /// Starts through a shell that limits the process first, as with `ulimit -n 6`.
    pub(crate) fn limited(mut self, limit: &str) -> Self {
        let of = self.command.as_std();
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("{limit} && exec \"$0\" \"$@\""))
            .arg(of.get_program())
            .args(of.get_args())
            .env_clear()
            .envs(of.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(self.place.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        self.command = command;
        self
    }

    /// Starts with a pipe for its log, which only the test can read.
    pub(crate) fn spawn_with_pipe(mut self) -> (Running, ChildStderr) {
        let stdout = std::fs::File::create(self.place.path().join("stdout")).expect("create an output file");
        let mut child = self.command.stdout(stdout).stderr(Stdio::piped()).spawn().expect("start corveil");
        let pipe = child.stderr.take().expect("it is piped");
        (Running { child, place: self.place }, pipe)
    }

    /// Starts, for runs that are watched, signalled or killed.
    pub(crate) fn spawn(mut self) -> Running {
        // Files instead of pipes: they never fill up, and can be read while the program writes.
        let create =
            |name| std::fs::File::create(self.place.path().join(name)).expect("create an output file");
        let child = self.command.stdout(create("stdout")).stderr(create("stderr")).spawn();
        Running { child: child.expect("start corveil"), place: self.place }
    }
}

/// A run under way; it is killed when the test drops it.
pub(crate) struct Running {
    child: Child,
    place: TempDir,
}

impl Running {
    pub(crate) async fn wait(mut self) -> Outcome {
        let Ok(status) = tokio::time::timeout(DEADLINE, self.child.wait()).await else {
            panic!("corveil did not end within {DEADLINE:?}\n{}", self.output());
        };
        self.outcome(status.expect("wait for corveil"))
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) async fn signal(&self, name: &str) {
        let process = self.process();
        // The shell's own `kill`: the program of that name is missing on small systems.
        let script = format!("kill -s {name} {process}");
        let status = Command::new("sh").args(["-c", &script]).status().await.expect("start `sh`");
        assert!(status.success(), "{script}: {status}");
    }

    /// SIGKILL, and waits until the process is gone.
    pub(crate) async fn kill(mut self) -> Outcome {
        self.child.start_kill().expect("kill corveil");
        self.wait().await
    }

    /// What it has written to stderr so far.
    pub(crate) fn stderr(&self) -> String {
        self.read("stderr")
    }

    /// Waits until it has written this to stderr.
    pub(crate) async fn until_it_logs(&self, part: &str) {
        let logged = async {
            while !self.stderr().contains(part) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let in_time = tokio::time::timeout(SOON, logged).await.is_ok();
        assert!(in_time, "no `{part}` within {SOON:?}\n{}", self.output());
    }

    /// The number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id().expect("corveil has ended")
    }

    fn outcome(&self, status: ExitStatus) -> Outcome {
        Outcome {
            code: status.code(),
            stdout: self.read("stdout"),
            stderr: self.stderr(),
            termination_log: self.read("termination-log"),
        }
    }

    fn output(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}", self.read("stdout"), self.stderr())
    }

    fn read(&self, name: &str) -> String {
        let file: PathBuf = self.place.path().join(name);
        std::fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

/// How a run ended and what it printed.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Nothing if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// Empty if it wrote none.
    pub(crate) termination_log: String,
}

impl Outcome {
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert!(self.code == Some(code), "expected exit code {code}, got {self}");
        self
    }

    #[track_caller]
    pub(crate) fn expect_stdout(self, part: &str) -> Self {
        assert!(self.stdout.contains(part), "no `{part}` on stdout: {self}");
        self
    }

    #[track_caller]
    pub(crate) fn expect_stderr(self, part: &str) -> Self {
        assert!(self.stderr.contains(part), "no `{part}` on stderr: {self}");
        self
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, stdout, stderr, termination_log } = self;
        write!(
            f,
            "{code:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n--- termination log\n{termination_log}"
        )
    }
}

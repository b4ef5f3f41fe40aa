//! A separate checkout, in which the tests make releases, and the command as a maintainer runs it there.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use xshell::{Shell, cmd};

/// A repository with the files of this checkout in one commit. Its builds are kept between the tests, as they are for a
/// maintainer.
pub(crate) struct Checkout {
    pub(crate) sh: Shell,
    pub(crate) root: PathBuf,
    base: String,
}

/// How the command ended, and everything that it printed.
pub(crate) struct Outcome {
    pub(crate) success: bool,
    pub(crate) text: String,
}

impl Checkout {
    pub(crate) fn new(folder: &Path) -> Self {
        let root = folder.join("checkout");
        let sh = Shell::new().expect("a working folder");
        sh.create_dir(&root).expect("a folder");
        sh.change_dir(&root);
        for entry in sh.read_dir(".").expect("a folder") {
            if !entry.ends_with("target") {
                sh.remove_path(entry).expect("a file of an earlier run");
            }
        }
        let original = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder in the checkout");
        let listed =
            cmd!(sh, "git -C {original} ls-files --cached --others --exclude-standard").quiet().read();
        for path in listed.expect("a git checkout").lines() {
            let to = root.join(path);
            fs::create_dir_all(to.parent().expect("a file is in a folder")).expect("a folder");
            // Git also lists files whose removal is not committed yet.
            if original.join(path).is_file() {
                fs::copy(original.join(path), to).unwrap_or_else(|error| panic!("{path}: {error}"));
            }
        }
        let checkout = Self { sh, root, base: String::new() };
        checkout.git("init --quiet --initial-branch main");
        for (name, value) in [("user.name", "Releaser"), ("user.email", "releaser@example.com")] {
            checkout.git(&format!("config {name} {value}"));
        }
        checkout.write("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing: `new`.\n");
        checkout.commit_all("Begin");
        let base = checkout.head();
        Self { base, ..checkout }
    }

    /// Resets the checkout to its first state, without any release.
    pub(crate) fn reset(&self) {
        self.git(&format!("reset --quiet --hard {}", self.base));
        self.git("clean --quiet --force -d");
        for tag in self.git("tag --list").lines() {
            self.git(&format!("tag --delete {tag}"));
        }
    }

    /// The command, with settings for quick builds: the tests do not depend on optimization.
    pub(crate) fn release(&self, arguments: &[&str]) -> Command {
        let mut command = self.xtask(&self.root);
        command.arg("release").args(arguments);
        if !arguments.iter().any(|argument| argument.starts_with("--check")) {
            command.arg("--check=true");
        }
        command
    }

    pub(crate) fn xtask(&self, root: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .current_dir(root)
            .env("CARGO_MANIFEST_DIR", root.join("xtask"))
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            // Keeps the user's credentials out.
            .env("DOCKER_CONFIG", self.root.join("target/no-docker-config"))
            .env_remove("DOCKER_AUTH_CONFIG")
            .stdin(Stdio::null());
        command
    }

    /// What must not change where nothing is released: commits, tags, files.
    pub(crate) fn state(&self) -> String {
        let status = self.git("status --porcelain --untracked-files=all");
        format!("{}\n{}\n{status}", self.git("show-ref --head"), self.git("ls-files --stage"))
    }

    pub(crate) fn head(&self) -> String {
        self.git("rev-parse HEAD")
    }

    pub(crate) fn git(&self, arguments: &str) -> String {
        let (sh, arguments) = (&self.sh, arguments.split(' '));
        cmd!(sh, "git {arguments...}").quiet().read().expect("git does it")
    }

    pub(crate) fn commit_all(&self, message: &str) {
        let sh = &self.sh;
        self.git("add --all");
        cmd!(sh, "git commit --quiet --message {message}").quiet().run().expect("git commits");
    }

    pub(crate) fn read(&self, path: &str) -> String {
        self.sh.read_file(path).expect("a file")
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        self.sh.write_file(path, text).expect("a file");
    }
}

/// A version greater than the checkout's.
pub(crate) fn version(minor: u32) -> String {
    let (major, _) = env!("CARGO_PKG_VERSION").split_once('.').expect("three numbers");
    format!("{major}.{}.0", 1000 + minor)
}

pub(crate) fn run(mut command: Command) -> Outcome {
    let output = command.output().expect("a child process");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Outcome { success: output.status.success(), text: text.concat() }
}

/// Runs the command, and calls `then` with its process once it reports that this step begins.
pub(crate) fn run_until(mut command: Command, step: usize, then: impl FnOnce(&mut Child)) -> Outcome {
    // A group of its processes, so that all of them can be killed.
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("a child process");
    let mut stdout = child.stdout.take().expect("a pipe");
    let stderr = child.stderr.take().expect("a pipe");
    let reader = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    let mut then = Some(then);
    let mut text = String::new();
    for line in BufReader::new(stderr).lines() {
        let line = line.expect("a line");
        if line.starts_with(&format!("[{step:2}/"))
            && let Some(then) = then.take()
        {
            then(&mut child);
        }
        text.push_str(&line);
        text.push('\n');
    }
    assert!(then.is_none(), "step {step} never began:\n{text}");
    let status = child.wait().expect("a child process");
    text.push_str(&reader.join().expect("a thread").expect("a pipe"));
    Outcome { success: status.success(), text }
}

/// `SIGKILL` to the command and to everything that it started.
pub(crate) fn kill(child: &mut Child) {
    let group = format!("-{}", child.id());
    let status = Command::new("kill").args(["-KILL", "--", &group]).status();
    assert!(status.expect("a program of every system").success());
}

impl Outcome {
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert!(self.success, "{}", self.text);
        self
    }

    /// Fails unless the command failed and printed these words.
    #[track_caller]
    pub(crate) fn fails(self, words: &[&str]) -> Self {
        assert!(!self.success, "{}", self.text);
        for word in words {
            assert!(self.text.contains(word), "no `{word}` in:\n{}", self.text);
        }
        self
    }
}

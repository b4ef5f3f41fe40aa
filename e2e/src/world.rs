//! What one scenario has to itself: a namespace, an engine, a folder with everything that was said.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::engine::Engine;
use crate::stage::Stage;
use crate::wait::until;

/// In a scenario's folder: everything that was said.
pub(crate) const LOG: &str = "log.txt";

/// One scenario under one engine.
pub(crate) struct World<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) engine: Engine,
    pub(crate) namespace: String,
    /// Logs, values and whatever else belongs to the run.
    pub(crate) folder: PathBuf,
    started: Instant,
}

/// How a program ended, and everything it printed.
pub(crate) struct Outcome {
    pub(crate) success: bool,
    pub(crate) text: String,
    pub(crate) took: Duration,
}

impl<'a> World<'a> {
    /// Without its namespace yet.
    pub(crate) fn new(stage: &'a Stage, scenario: &str, engine: Engine) -> Result<Self> {
        let namespace = namespace(scenario, engine);
        let folder = stage.folder.join(&namespace);
        fs::create_dir_all(&folder)?;
        Ok(Self { stage, engine, namespace, folder, started: Instant::now() })
    }

    pub(crate) fn create_namespace(&self) -> Result<()> {
        self.kubectl_anywhere(&["create", "namespace", &self.namespace])?;
        // A pod that comes before the account is refused.
        until("the default ServiceAccount", Duration::from_mins(1), || {
            Ok(self.get("serviceaccount", "default")?.map(drop))
        })
    }

    /// Waits until it is gone.
    pub(crate) fn remove_namespace(&self) -> Result<()> {
        let delete = ["delete", "namespace", &self.namespace, "--ignore-not-found", "--timeout=120s"];
        self.kubectl_anywhere(&delete).map(drop)
    }

    /// Lets the namespace go, in its own time.
    pub(crate) fn abandon(&self) -> Result<()> {
        self.kubectl_anywhere(&["delete", "namespace", &self.namespace, "--wait=false"]).map(drop)
    }

    /// Adds a line to the scenario's log.
    pub(crate) fn say(&self, text: &str) -> Result<()> {
        let seconds = self.started.elapsed().as_secs_f64();
        writeln!(self.log()?, "[{seconds:7.2}] {}", text.trim_end()).context("write the log")
    }

    fn log(&self) -> Result<File> {
        let path = self.folder.join(LOG);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.with_context(|| format!("open {}", path.display()))
    }

    /// A program that speaks to the cluster.
    pub(crate) fn program(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).envs(self.stage.environment()).current_dir(xtask::project::root());
        command
    }

    /// Runs a program to its end, whatever that is, and keeps what it printed.
    pub(crate) fn run(&self, command: Command) -> Result<Outcome> {
        self.run_with(command, "")
    }

    fn run_with(&self, mut command: Command, input: &str) -> Result<Outcome> {
        let words = command.get_args().map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
        self.say(&format!("$ {} {words}", command.get_program().to_string_lossy()))?;
        let start = Instant::now();
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        // Small enough for a pipe's buffer, whether or not it is read; dropped, so that it ends.
        process.stdin.take().context("a pipe was asked for")?.write_all(input.as_bytes())?;
        let output = process.wait_with_output()?;
        let told = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let outcome =
            Outcome { success: output.status.success(), text: told.concat(), took: start.elapsed() };
        self.say(&format!("{}\n{}", output.status, outcome.text))?;
        Ok(outcome)
    }

    /// kubectl in the scenario's namespace. A failure says what kubectl said.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let namespace = ["--namespace", &self.namespace];
        self.kubectl_anywhere(&[&namespace, arguments].concat())
    }

    /// kubectl in whatever namespace the arguments name.
    pub(crate) fn kubectl_anywhere(&self, arguments: &[&str]) -> Result<String> {
        let output = self.program(&self.stage.kubectl, arguments).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            bail!("kubectl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// An object of the namespace, if it is there.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Result<Option<Value>> {
        let text = self.kubectl(&["get", kind, name, "--ignore-not-found", "--output=json"])?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&text)?))
    }

    /// The objects of these kinds that have these labels; all of them for no label.
    pub(crate) fn list(&self, kinds: &str, selector: &str) -> Result<Vec<Value>> {
        let selector = format!("--selector={selector}");
        let text = self.kubectl(&["get", kinds, &selector, "--output=json"])?;
        let mut list: Value = serde_json::from_str(&text)?;
        let items = list["items"].take();
        Ok(serde_json::from_value(items)?)
    }

    /// Creates or changes an object, or a list of them.
    pub(crate) fn apply(&self, object: &Value) -> Result<()> {
        self.apply_in(&self.namespace, object)
    }

    /// The same in another namespace.
    pub(crate) fn apply_in(&self, namespace: &str, object: &Value) -> Result<()> {
        let apply = ["apply", "--server-side", "--force-conflicts", "--filename=-"];
        let arguments = [&["--namespace", namespace][..], &apply].concat();
        let outcome = self.run_with(self.program(&self.stage.kubectl, &arguments), &object.to_string())?;
        ensure!(outcome.success, "kubectl apply: {}", outcome.text);
        Ok(())
    }

    /// What somebody woken by the failure would look at first.
    pub(crate) fn tell_everything(&self) -> Result<()> {
        for arguments in [
            &["get", "all,pvc,secrets,networkpolicies,resourcequotas", "--output=wide"][..],
            &["get", "events", "--sort-by=.lastTimestamp"],
            &["describe", "jobs,pods"],
        ] {
            let text = self.kubectl(arguments).unwrap_or_else(|error| error.to_string());
            self.say(&format!("$ kubectl {}\n{text}", arguments.join(" ")))?;
        }
        for pod in self.list("pods", "")? {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            for which in ["--previous=false", "--previous=true"] {
                let logs = ["logs", name, "--all-containers", "--prefix", "--tail=40", which];
                // Most have no previous container.
                if let Ok(text) = self.kubectl(&logs) {
                    self.say(&format!("$ kubectl {}\n{text}", logs.join(" ")))?;
                }
            }
        }
        Ok(())
    }
}

/// The namespace of a scenario, and its folder.
pub(crate) fn namespace(scenario: &str, engine: Engine) -> String {
    format!("e2e-{scenario}-{}", engine.name())
}

impl Outcome {
    /// Success is what was expected.
    pub(crate) fn expect_success(self) -> Result<Self> {
        ensure!(self.success, "it should have succeeded, and said:\n{}", self.text);
        Ok(self)
    }

    /// A failure is what was expected, with these words in what was printed.
    pub(crate) fn expect_failure(self, words: &[&str]) -> Result<Self> {
        ensure!(!self.success, "it should have failed, and said:\n{}", self.text);
        for words in words {
            ensure!(self.text.contains(words), "`{words}` is not in what was printed:\n{}", self.text);
        }
        Ok(self)
    }
}

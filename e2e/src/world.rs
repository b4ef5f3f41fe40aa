//! What belongs to one scenario: a namespace, an engine, and a folder with the output of every command.

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

/// The file in a scenario's folder with every command and its output.
pub(crate) const LOG: &str = "log.txt";

/// One scenario under one engine.
pub(crate) struct World<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) engine: Engine,
    pub(crate) namespace: String,
    /// Logs, values and other files of the run.
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
    /// A scenario's world, before its namespace is created.
    pub(crate) fn new(stage: &'a Stage, scenario: &str, engine: Engine) -> Result<Self> {
        let namespace = namespace(scenario, engine);
        let folder = stage.folder.join(&namespace);
        fs::create_dir_all(&folder)?;
        Ok(Self { stage, engine, namespace, folder, started: Instant::now() })
    }

    pub(crate) fn create_namespace(&self) -> Result<()> {
        self.kubectl_anywhere(&["create", "namespace", &self.namespace])?;
        // The API server refuses pods before the account exists.
        until("the default ServiceAccount", Duration::from_mins(1), || {
            Ok(self.get("serviceaccount", "default")?.map(drop))
        })
    }

    /// Deletes the namespace, and waits until it is gone.
    pub(crate) fn remove_namespace(&self) -> Result<()> {
        let delete = ["delete", "namespace", &self.namespace, "--ignore-not-found", "--timeout=120s"];
        self.kubectl_anywhere(&delete).map(drop)
    }

    /// Deletes the namespace, and does not wait.
    pub(crate) fn abandon(&self) -> Result<()> {
        self.kubectl_anywhere(&["delete", "namespace", &self.namespace, "--wait=false"]).map(drop)
    }

    /// Adds a line to the scenario's log.
    pub(crate) fn record(&self, text: &str) -> Result<()> {
        let seconds = self.started.elapsed().as_secs_f64();
        writeln!(self.log()?, "[{seconds:7.2}] {}", text.trim_end()).context("write the log")
    }

    fn log(&self) -> Result<File> {
        let path = self.folder.join(LOG);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.with_context(|| format!("open {}", path.display()))
    }

    /// A command that uses the cluster.
    pub(crate) fn program(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).envs(self.stage.environment()).current_dir(xtask::project::root());
        command
    }

    /// Runs a program to its end, success or failure, and logs its output.
    pub(crate) fn run(&self, command: Command) -> Result<Outcome> {
        self.run_with(command, "")
    }

    fn run_with(&self, mut command: Command, input: &str) -> Result<Outcome> {
        let words = command.get_args().map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
        self.record(&format!("$ {} {words}", command.get_program().to_string_lossy()))?;
        let start = Instant::now();
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        // The input fits into a pipe's buffer, even if it is not read. The pipe is dropped, so that the input ends.
        process.stdin.take().context("a pipe was asked for")?.write_all(input.as_bytes())?;
        let output = process.wait_with_output()?;
        let printed =
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let outcome =
            Outcome { success: output.status.success(), text: printed.concat(), took: start.elapsed() };
        self.record(&format!("{}\n{}", output.status, outcome.text))?;
        Ok(outcome)
    }

    /// kubectl in the scenario's namespace. The error of a failure has what kubectl printed.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let namespace = ["--namespace", &self.namespace];
        self.kubectl_anywhere(&[&namespace, arguments].concat())
    }

    /// kubectl in the namespace that the arguments name.
    pub(crate) fn kubectl_anywhere(&self, arguments: &[&str]) -> Result<String> {
        let output = self.program(&self.stage.kubectl, arguments).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            bail!("kubectl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// An object of the namespace, if it exists.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Result<Option<Value>> {
        let text = self.kubectl(&["get", kind, name, "--ignore-not-found", "--output=json"])?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&text)?))
    }

    /// The objects of these kinds with these labels; all of them without a label.
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

    /// Logs what an on-call engineer would check first after a failure.
    pub(crate) fn record_state(&self) -> Result<()> {
        for arguments in [
            &["get", "all,pvc,secrets,networkpolicies,resourcequotas", "--output=wide"][..],
            &["get", "events", "--sort-by=.lastTimestamp"],
            &["describe", "jobs,pods"],
        ] {
            let text = self.kubectl(arguments).unwrap_or_else(|error| error.to_string());
            self.record(&format!("$ kubectl {}\n{text}", arguments.join(" ")))?;
        }
        for pod in self.list("pods", "")? {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            for which in ["--previous=false", "--previous=true"] {
                let logs = ["logs", name, "--all-containers", "--prefix", "--tail=40", which];
                // Most pods have no previous container.
                if let Ok(text) = self.kubectl(&logs) {
                    self.record(&format!("$ kubectl {}\n{text}", logs.join(" ")))?;
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
    /// Fails unless the program succeeded.
    pub(crate) fn expect_success(self) -> Result<Self> {
        ensure!(self.success, "it should have succeeded, and printed:\n{}", self.text);
        Ok(self)
    }

    /// Fails unless the program failed and printed these words.
    pub(crate) fn expect_failure(self, words: &[&str]) -> Result<Self> {
        ensure!(!self.success, "it should have failed, and printed:\n{}", self.text);
        for words in words {
            ensure!(self.text.contains(words), "`{words}` is not in the output:\n{}", self.text);
        }
        Ok(self)
    }
}

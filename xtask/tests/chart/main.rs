//! What every rendering of the chart must be. Each test is a rule; the cases are the files in `chart/ci`.

mod decode;
mod exposed;
mod files;
mod gate;
mod helmfile;
mod impossible;
mod install;
mod names;
mod objects;
mod openshift;
mod parent;
mod pods;
mod postgresql;
mod random;
mod refusals;
mod registries;
mod runbook;
mod settings;
mod unquoted;
mod waiting;

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use serde::Deserialize;
use serde_json::Value;
use xshell::Shell;

use xtask::generate;
use xtask::render::{Case, cases, template};
use xtask::tools::{self, Tool};

/// Objects of one case.
struct Rendering {
    case: String,
    text: String,
    objects: Vec<Value>,
}

impl Rendering {
    /// Objects of a kind.
    fn of(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    fn get(&self, kind: &str, name: &str) -> &Value {
        let found = self.of(kind).find(|object| object["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("{}: no {kind} `{name}`", self.case))
    }
}

fn shell() -> Shell {
    let sh = Shell::new().expect("a working folder");
    sh.change_dir(xtask::project::root());
    // A run of Helm is over before it needs its memory back: collecting garbage is a quarter of its time.
    sh.set_var("GOGC", "off");
    sh
}

/// Looked for once: a program on the PATH is asked for its version each time.
fn program(tool: Tool) -> PathBuf {
    static FOUND: Mutex<Vec<(Tool, PathBuf)>> = Mutex::new(Vec::new());
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, path)) = found.iter().find(|(known, _)| *known == tool) {
        return path.clone();
    }
    let path = tools::path(&shell(), tool).unwrap_or_else(|error| panic!("{error:#}"));
    found.push((tool, path.clone()));
    path
}

/// All cases with Helm 4, rendered once for all tests.
fn renderings() -> &'static [Rendering] {
    static RENDERINGS: OnceLock<Vec<Rendering>> = OnceLock::new();
    RENDERINGS.get_or_init(|| with(Tool::Helm4))
}

/// The same rendered once more, as `cargo xtask gen` writes it.
fn snapshots() -> &'static [(PathBuf, String)] {
    static SNAPSHOTS: OnceLock<Vec<(PathBuf, String)>> = OnceLock::new();
    SNAPSHOTS
        .get_or_init(|| generate::renderings::files(&shell()).unwrap_or_else(|error| panic!("{error:#}")))
}

fn with(tool: Tool) -> Vec<Rendering> {
    let (sh, helm) = (shell(), program(tool));
    let cases = cases().expect("a folder of cases");
    let render = |case: &Case| {
        let text = template(&sh, &helm, case).unwrap_or_else(|error| panic!("{error:#}"));
        Rendering { case: case.name(), objects: objects(&text), text }
    };
    cases.iter().map(render).collect()
}

fn rendering(case: &str) -> &'static Rendering {
    let found = renderings().iter().find(|rendering| rendering.case == case);
    found.unwrap_or_else(|| panic!("no file of values `chart/ci/{case}-values.yaml`"))
}

/// The documents in what Helm prints.
fn objects(text: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(text);
    let read = documents.map(|document| Value::deserialize(document).expect("Helm prints YAML"));
    read.filter(|object| !object.is_null()).collect()
}

/// The pod that an object makes, with its metadata.
fn pod(object: &Value) -> Option<&Value> {
    match object["kind"].as_str()? {
        "Pod" => Some(object),
        "Deployment" | "Job" | "StatefulSet" => Some(&object["spec"]["template"]),
        _ => None,
    }
}

//! A stand-in for `helm diff upgrade`, as far as `helmfile apply` calls it, for machines without the plugin. Where the
//! real plugin is installed, the scenarios use it.
//!
//! It compares what <https://github.com/databus23/helm-diff>, version 3.15, compares:
//! - Before is the last revision, even one that failed: `helm get manifest` is called without `--revision` (`getRelease` in
//!   `cmd/helm.go`).
//! - Before includes the last revision's hooks, unless `--no-hooks` or `--three-way-merge` is given (`runHelm3` in
//!   `cmd/upgrade.go`). It never includes the hooks of tests.
//! - After is what `helm template` renders; `--no-hooks` leaves out hooks. Helm 4 queries the cluster while it renders, Helm
//!   3 does not (`template` in `cmd/helm.go`).
//! - `--three-way-merge` compares with the objects in the cluster instead: `live.rs`.

mod live;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Write, stdout};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::exit;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use xshell::{Shell, cmd};

use xtask::project::objects;
use xtask::tools::Version;

/// The exit code of helm-diff with `--detailed-exitcode` when something changes.
const CHANGED: i32 = 2;

/// The name of the plugin and of its stand-in.
const NAME: &str = "diff";

/// Flags of `helm diff upgrade` that `helm template` has too. Each takes a value.
const SHARED: &[&str] = &["--values", "--set", "--set-string", "--version", "--kube-version"];

/// Flags that only change how a difference is shown: with a value, and without one.
const SHOWN: &[&str] = &["--context", "--output"];
const IGNORED: &[&str] = &[
    "--allow-unreleased",
    "--color",
    "--no-color",
    "--reset-values",
    "--show-secrets",
    "--suppress-secrets",
    "--strip-trailing-cr",
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Read objects of the cluster with this kubectl
    #[arg(long)]
    kubectl: PathBuf,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Returns a folder of plugins for Helm, with the user's helm-diff in it or the stand-in, and the name of the one that it
/// is.
pub(crate) fn plugins(
    sh: &Shell,
    helm: &Path,
    kubectl: &Path,
    folder: &Path,
) -> Result<(PathBuf, &'static str)> {
    let own = PathBuf::from(cmd!(sh, "{helm} env HELM_PLUGINS").quiet().read()?.trim());
    for entry in own.read_dir().into_iter().flatten() {
        let manifest = fs::read_to_string(entry?.path().join("plugin.yaml")).unwrap_or_default();
        let manifest: Value = serde_yaml::from_str(&manifest).unwrap_or_default();
        if manifest["name"] == NAME {
            return Ok((own, "helm-diff"));
        }
    }
    let plugins = folder.join("helm/plugins");
    let stand_in = plugins.join(NAME);
    fs::create_dir_all(&stand_in)?;
    let program = std::env::current_exe()?;
    let script = stand_in.join("diff.sh");
    let call = format!("'{}' helm-diff --kubectl '{}' -- \"$@\"", program.display(), kubectl.display());
    fs::write(&script, format!("#!/bin/sh\nexec {call}\n"))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let manifest = format!(
        "name: {NAME}\nversion: 3.15.0\nusage: what an upgrade would change\ndescription: what an upgrade would change\n\
         command: \"$HELM_PLUGIN_DIR/diff.sh\"\n"
    );
    fs::write(stand_in.join("plugin.yaml"), manifest)?;
    Ok((plugins, "a stand-in for helm-diff"))
}

pub(crate) fn run(sh: &Shell, Args { kubectl, words }: &Args) -> Result<()> {
    let call = Call::read(words)?;
    // Helm removes its own flags, such as `--namespace`, from the arguments of a plugin.
    let given = |name: &str| {
        std::env::var(name)
            .with_context(|| format!("`{name}` is not set: Helm has to call this, as its plugin"))
    };
    let (helm, namespace) = (given("HELM_BIN")?, given("HELM_NAMESPACE")?);
    let Call { release, chart, flags, .. } = &call;
    let at = ["--namespace", &namespace];
    let get = |what: &str| {
        let text = cmd!(sh, "{helm} get {what} {release} {at...}").quiet().ignore_stderr().read()?;
        anyhow::Ok(by_name(objects::parse(&text)?))
    };
    let is_there =
        cmd!(sh, "{helm} status {release} {at...}").quiet().ignore_stdout().ignore_stderr().run().is_ok();
    let mut before = if is_there { get("manifest")? } else { Objects::new() };

    let version = cmd!(sh, "{helm} version --short").quiet().read()?;
    let is_helm3 = Version::find(&version).is_some_and(|version| version.major == 3);
    let asks: &[_] = if is_helm3 { &["--validate", "--dry-run=client"] } else { &["--dry-run=server"] };
    let upgrade = is_there.then_some("--is-upgrade");
    let no_hooks = call.no_hooks.then_some("--no-hooks");
    let template = cmd!(sh, "{helm} template {release} {chart} {at...} {flags...}");
    let rendered = template.args(asks).args(upgrade).args(no_hooks).quiet().read()?;
    let mut after = by_name(objects::parse(&rendered)?);

    if call.three_way_merge {
        (before, after) = live::three_ways(kubectl, &namespace, &before, &after)?;
    } else if is_there && !call.no_hooks {
        before.extend(get("hooks")?);
    }
    let changes = differences(&before, &after);
    for change in &changes {
        writeln!(stdout(), "{change}")?;
    }
    if call.detailed_exit_code && !changes.is_empty() {
        exit(CHANGED);
    }
    Ok(())
}

/// The arguments of a call that have an effect here.
struct Call {
    release: String,
    chart: String,
    flags: Vec<String>,
    detailed_exit_code: bool,
    no_hooks: bool,
    three_way_merge: bool,
}

impl Call {
    fn read(words: &[String]) -> Result<Self> {
        let mut words = words.iter();
        match words.next().map(String::as_str) {
            Some("upgrade") => {}
            other => bail!("`helm diff {}` is not supported here, only `upgrade`", other.unwrap_or_default()),
        }
        let (mut flags, mut names) = (Vec::new(), Vec::new());
        let (mut detailed_exit_code, mut no_hooks, mut three_way_merge) = (false, false, false);
        while let Some(word) = words.next() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (word.as_str(), None),
            };
            if SHARED.contains(&name) || SHOWN.contains(&name) {
                let value = match value {
                    Some(value) => value,
                    None => words.next().with_context(|| format!("`{name}` has no value"))?.clone(),
                };
                if SHARED.contains(&name) {
                    flags.extend([name.to_owned(), value]);
                }
            } else if name == "--detailed-exitcode" {
                detailed_exit_code = true;
            } else if name == "--no-hooks" {
                no_hooks = true;
            } else if name == "--three-way-merge" {
                three_way_merge = true;
            } else if !name.starts_with("--") {
                names.push(word.clone());
            } else if !IGNORED.contains(&name) {
                // The value of an unknown flag would be read as a name.
                bail!("`{name}` is not supported here\nhint: see `e2e/src/helm_diff.rs`");
            }
        }
        let [release, chart] = names.try_into().ok().context("a release and a chart are expected")?;
        Ok(Self { release, chart, flags, detailed_exit_code, no_hooks, three_way_merge })
    }
}

type Objects = BTreeMap<String, Value>;

/// The objects by name. Tests are not part of an upgrade.
fn by_name(objects: Vec<Value>) -> Objects {
    let mut named = Objects::new();
    for object in objects {
        if object.pointer("/metadata/annotations/helm.sh~1hook").is_some_and(|hook| hook == "test") {
            continue;
        }
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let name = format!("{}, {} ({})", text("/metadata/name"), text("/kind"), text("/apiVersion"));
        named.insert(name, object);
    }
    named
}

/// A line for each object that differs. It has no values, as some are secrets.
fn differences(before: &Objects, after: &Objects) -> Vec<String> {
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let mut lines: Vec<_> = gone.map(|name| format!("{name} has been removed")).collect();
    for (name, object) in after {
        match before.get(name) {
            None => lines.push(format!("{name} has been added")),
            Some(old) if old != object => lines.push(format!("{name} has changed")),
            Some(_) => {}
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Objects {
        by_name(objects::parse(text).expect("it is YAML"))
    }

    #[test]
    fn each_kind_of_difference_is_listed_without_secrets() {
        let secret = |value: &str| {
            format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\nstringData: {{k: {value}}}\n")
        };
        let other = "apiVersion: v1\nkind: Service\nmetadata: {name: b}\n";
        let before = read(&format!("{}---\n{other}", secret("old")));
        assert!(differences(&before, &before).is_empty());
        assert_eq!(
            differences(&before, &read(&secret("new"))),
            ["b, Service (v1) has been removed", "a, Secret (v1) has changed"]
        );
        assert_eq!(differences(&read(""), &read(other)), ["b, Service (v1) has been added"]);
    }

    #[test]
    fn helmfiles_call_is_parsed() {
        let call = "upgrade --allow-unreleased corveil ./chart --kube-version 1.36.3 --values a.yaml --set a=b \
                    --detailed-exitcode --color --context 3 --reset-values --three-way-merge --no-hooks";
        let words: Vec<_> = call.split_whitespace().map(str::to_owned).collect();
        let call = Call::read(&words).expect("a call");
        assert_eq!((call.release.as_str(), call.chart.as_str()), ("corveil", "./chart"));
        assert_eq!(call.flags, ["--kube-version", "1.36.3", "--values", "a.yaml", "--set", "a=b"]);
        assert!(call.detailed_exit_code && call.three_way_merge && call.no_hooks);
        let unknown = ["upgrade", "a", "b", "--new", "c"].map(str::to_owned);
        assert!(Call::read(&unknown).is_err(), "a value would be read as a name");
    }
}

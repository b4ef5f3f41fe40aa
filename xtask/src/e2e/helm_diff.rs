//! `helm diff upgrade`, as far as `helmfile apply` calls it, for machines without the plugin: what the chart renders beside
//! what the release holds, hooks too. The real plugin is used where it is installed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Write, stdout};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::exit;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use xshell::{Shell, cmd};

use crate::objects;

/// What helm-diff ends with under `--detailed-exitcode` when something changes.
const CHANGED: i32 = 2;

/// The name that both plugins have.
const NAME: &str = "diff";

/// Flags of `helm diff upgrade` that `helm template` has too, each with a value.
const SHARED: &[&str] = &["--values", "--set", "--set-string", "--version", "--kube-version"];

/// Flags that say only how a difference is shown: with a value, and without one.
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
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// The folder of plugins for Helm, with the user's own helm-diff in it or ours. Says which.
pub(crate) fn plugins(sh: &Shell, helm: &Path, folder: &Path) -> Result<(PathBuf, &'static str)> {
    let own = PathBuf::from(cmd!(sh, "{helm} env HELM_PLUGINS").quiet().read()?.trim());
    for entry in own.read_dir().into_iter().flatten() {
        let manifest = fs::read_to_string(entry?.path().join("plugin.yaml")).unwrap_or_default();
        let manifest: Value = serde_yaml::from_str(&manifest).unwrap_or_default();
        if manifest["name"] == NAME {
            return Ok((own, "helm-diff"));
        }
    }
    let plugins = folder.join("helm/plugins");
    let ours = plugins.join(NAME);
    fs::create_dir_all(&ours)?;
    let program = std::env::current_exe()?;
    let script = ours.join("diff.sh");
    fs::write(&script, format!("#!/bin/sh\nexec '{}' helm-diff -- \"$@\"\n", program.display()))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let manifest = format!(
        "name: {NAME}\nversion: 3.15.0\nusage: what an upgrade would change\ndescription: what an upgrade would change\n\
         command: \"$HELM_PLUGIN_DIR/diff.sh\"\n"
    );
    fs::write(ours.join("plugin.yaml"), manifest)?;
    Ok((plugins, "a stand-in for helm-diff"))
}

pub(crate) fn run(sh: &Shell, Args { words }: &Args) -> Result<()> {
    let call = Call::read(words)?;
    // Helm takes its own flags, the namespace among them, out of the words.
    let given = |name: &str| {
        std::env::var(name).with_context(|| format!("`{name}` is not set: Helm calls this, as its plugin"))
    };
    let (helm, namespace) = (given("HELM_BIN")?, given("HELM_NAMESPACE")?);
    let Call { release, chart, flags, .. } = &call;
    let at = ["--namespace", &namespace];
    let get = |what: &str| cmd!(sh, "{helm} get {what} {release} {at...}").quiet().ignore_stderr().read();
    let is_there =
        cmd!(sh, "{helm} status {release} {at...}").quiet().ignore_stdout().ignore_stderr().run().is_ok();
    let before =
        if is_there { format!("{}\n---\n{}", get("manifest")?, get("hooks")?) } else { String::new() };
    let upgrade = is_there.then_some("--is-upgrade");
    let after =
        cmd!(sh, "{helm} template {release} {chart} {at...} {flags...} {upgrade...}").quiet().read()?;

    let changes = differences(&by_name(&before)?, &by_name(&after)?);
    for change in &changes {
        writeln!(stdout(), "{change}")?;
    }
    if call.detailed_exit_code && !changes.is_empty() {
        exit(CHANGED);
    }
    Ok(())
}

/// The words of a call that mean something here.
struct Call {
    release: String,
    chart: String,
    flags: Vec<String>,
    detailed_exit_code: bool,
}

impl Call {
    fn read(words: &[String]) -> Result<Self> {
        let mut words = words.iter();
        match words.next().map(String::as_str) {
            Some("upgrade") => {}
            other => bail!("`helm diff {}` is not known here, only `upgrade`", other.unwrap_or_default()),
        }
        let (mut flags, mut names) = (Vec::new(), Vec::new());
        let mut detailed_exit_code = false;
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
            } else if !name.starts_with("--") {
                names.push(word.clone());
            } else if !IGNORED.contains(&name) {
                // Its value, if it has one, would be taken for a name.
                bail!("`{name}` is not known here\nhint: see `xtask/src/e2e/helm_diff.rs`");
            }
        }
        let [release, chart] = names.try_into().ok().context("a release and a chart are expected")?;
        Ok(Self { release, chart, flags, detailed_exit_code })
    }
}

type Objects = BTreeMap<String, Value>;

/// Every object by what names it. Tests are no part of an upgrade.
fn by_name(manifests: &str) -> Result<Objects> {
    let mut named = Objects::new();
    for object in objects::parse(manifests)? {
        if object.pointer("/metadata/annotations/helm.sh~1hook").is_some_and(|hook| hook == "test") {
            continue;
        }
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let name = format!("{}, {} ({})", text("/metadata/name"), text("/kind"), text("/apiVersion"));
        named.insert(name, object);
    }
    Ok(named)
}

/// A line for each object that is not the same on both sides. No values: some are secrets.
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

    #[test]
    fn each_kind_of_difference_is_told_and_no_secret_with_it() {
        let secret = |value: &str| {
            format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\nstringData: {{k: {value}}}\n")
        };
        let other = "apiVersion: v1\nkind: Service\nmetadata: {name: b}\n";
        let read = |text: &str| by_name(text).expect("it is YAML");
        let before = read(&format!("{}---\n{other}", secret("old")));
        assert!(differences(&before, &before).is_empty());
        assert_eq!(
            differences(&before, &read(&secret("new"))),
            ["b, Service (v1) has been removed", "a, Secret (v1) has changed"]
        );
        assert_eq!(differences(&read(""), &read(other)), ["b, Service (v1) has been added"]);
    }

    #[test]
    fn helmfiles_call_is_understood() {
        let call = "upgrade --allow-unreleased corveil ./chart --kube-version 1.36.3 --values a.yaml --set a=b \
                    --detailed-exitcode --color --context 3 --reset-values";
        let words: Vec<_> = call.split_whitespace().map(str::to_owned).collect();
        let call = Call::read(&words).expect("it is understood");
        assert_eq!((call.release.as_str(), call.chart.as_str()), ("corveil", "./chart"));
        assert_eq!(call.flags, ["--kube-version", "1.36.3", "--values", "a.yaml", "--set", "a=b"]);
        assert!(call.detailed_exit_code);
        let unknown = ["upgrade", "a", "b", "--new", "c"].map(str::to_owned);
        assert!(Call::read(&unknown).is_err(), "a value would be taken for a name");
    }
}

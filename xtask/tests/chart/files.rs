//! The chart's own files: what they say about themselves, and that they are all used.

use std::collections::BTreeSet;

use xshell::cmd;

use super::*;
use xtask::generate::values::{self, Key, Kind};

#[test]
fn both_helms_find_nothing_to_complain_about() {
    let files: BTreeSet<_> = cases().unwrap().into_iter().map(|case| case.values).collect();
    for tool in [Tool::Helm3, Tool::Helm4] {
        for values in &files {
            let helm = program(tool);
            let sh = shell();
            let lint = cmd!(sh, "{helm} lint --strict --quiet chart --kube-version 1.31.0 --values {values}");
            lint.quiet().run().unwrap_or_else(|error| panic!("{}: {error}", values.display()));
        }
    }
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let chart = std::fs::read_to_string(xtask::project::root().join("chart/Chart.yaml")).unwrap();
    let chart: Value = serde_yaml::from_str(&chart).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(chart["version"], version);
    assert_eq!(chart["appVersion"], version);
    let images = chart["annotations"]["artifacthub.io/images"].as_str().unwrap();
    for image in ["everything", "default"].iter().flat_map(|case| images_of(rendering(case))) {
        let is_ours = image.starts_with("registry.example/");
        assert!(is_ours || images.contains(&image), "`{image}` is not among the images of Chart.yaml");
    }
}

fn images_of(rendering: &Rendering) -> Vec<String> {
    let containers = rendering.objects.iter().filter_map(pod).flat_map(|pod| {
        let lists = ["containers", "initContainers"].map(|list| pod["spec"][list].as_array());
        lists.into_iter().flatten().flatten()
    });
    containers.filter_map(|container| Some(container["image"].as_str()?.to_owned())).collect()
}

#[test]
fn every_template_begins_by_making_the_values_complete() {
    for (path, text) in templates() {
        if path.contains("/_") {
            continue;
        }
        let first = text.lines().find(|line| !line.starts_with("{{- /*")).unwrap_or_default();
        assert!(first.starts_with("{{- include \"corveil.values\" . "), "{path}: {first}");
    }
}

/// What would make a rendering differ from the one before is a change at every `helmfile diff`, and runs the gate anew.
#[test]
fn nothing_changes_from_one_rendering_to_the_next() {
    for (path, text) in templates() {
        for word in [
            ".Release.Revision",
            "now",
            "rand",
            "uuidv4",
            "genCA",
            "genSelfSigned",
            "genPrivateKey",
            "htpasswd",
        ] {
            let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
            let found = text.match_indices(word).any(|(at, _)| {
                let after = text[at + word.len()..].chars().next();
                !text[..at].ends_with(is_name) && (word == "rand" || !after.is_some_and(is_name))
            });
            let in_action =
                text.split("{{").skip(1).any(|rest| rest.split("}}").next().unwrap_or("").contains(word));
            assert!(!(found && in_action && !is_comment(&text, word)), "{path}: `{word}`");
        }
    }
    for (first, (_, second)) in renderings().iter().zip(snapshots()) {
        let lines = first.text.lines().filter(|line| !line.trim().is_empty());
        // The first line says that the file is generated.
        assert!(lines.eq(second.lines().skip(1)), "{}", first.case);
    }
}

/// Whether the word is in comments alone.
fn is_comment(text: &str, word: &str) -> bool {
    text.split("{{")
        .skip(1)
        .filter_map(|rest| rest.split("}}").next())
        .all(|action| !action.contains(word) || action.trim_start_matches(['-', ' ']).starts_with("/*"))
}

#[test]
fn every_value_is_used() {
    let templates: String = templates().into_iter().map(|(_, text)| text).collect();
    let mut unused = Vec::new();
    look(&values::keys(), "", &templates, &mut unused);
    assert!(unused.is_empty(), "no template reads {unused:?}");
}

fn look(keys: &[Key], parent: &str, templates: &str, unused: &mut Vec<String>) {
    for key in keys {
        let path = format!("{parent}{}", key.name);
        match &key.kind {
            Kind::Section(keys, _) => look(keys, &format!("{path}."), templates, unused),
            Kind::Removed => {}
            Kind::Value(..) | Kind::Unset(..) => {
                let last = format!(".{}", key.name);
                let is_used = templates.contains(&format!(".Values.{path}"))
                    || templates.match_indices(&last).any(|(at, _)| {
                        !templates[at + last.len()..].starts_with(|c: char| c.is_alphanumeric())
                    });
                if !is_used {
                    unused.push(path);
                }
            }
        }
    }
}

/// Every template of the chart.
fn templates() -> Vec<(String, String)> {
    let sh = shell();
    let listed = cmd!(sh, "git ls-files --cached --others --exclude-standard chart/templates").quiet().read();
    let read =
        |path: &str| (path.to_owned(), std::fs::read_to_string(xtask::project::root().join(path)).unwrap());
    listed.unwrap().lines().map(read).collect()
}

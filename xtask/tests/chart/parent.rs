//! The chart as a dependency of another one, as platform teams install it.

use serde_json::json;
use xshell::cmd;

use super::*;
use crate::gate::HELMS;

/// What the parent's values are, in files of every kind that people write.
const VALUES: &str = "
x-secret: &secret not-a-secret
tags: {ai: true}
global:
  defaultStorageClass: fast
  someoneElses: {anything: [1]}
gateway:
  enabled: true
  x-labels: &labels {team: platform}
  podLabels: *labels
  corveil: {secretKey: *secret}
";

/// A chart that has this one as a dependency, under an alias or under its own name.
struct Parent(tempfile::TempDir);

impl Parent {
    fn new(helm: Tool, alias: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = alias.unwrap_or("corveil-chart");
        let repository = format!("file://{}", xtask::project::root().join("chart").display());
        let chart = json!({
            "apiVersion": "v2", "name": "platform", "version": "1.0.0",
            "dependencies": [{
                "name": "corveil-chart", "version": "*", "repository": repository,
                "alias": alias, "condition": format!("{name}.enabled"), "tags": ["ai"],
            }],
        });
        std::fs::write(folder.path().join("Chart.yaml"), chart.to_string()).unwrap();
        let (sh, helm, path) = (shell(), program(helm), folder.path());
        cmd!(sh, "{helm} dependency update --skip-refresh {path}").quiet().ignore_stdout().run().unwrap();
        Self(folder)
    }

    /// What Helm says to these values.
    fn render(&self, helm: Tool, values: &str) -> (bool, String) {
        let (sh, helm, path) = (shell(), program(helm), self.0.path());
        let output = cmd!(sh, "{helm} template prod {path} --kube-version 1.31.0 --values -").stdin(values);
        let output = output.quiet().ignore_status().output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text.into_owned())
    }
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} `{name}`"))
}

#[test]
fn a_parent_passes_a_condition_an_alias_anchors_and_globals() {
    for helm in HELMS {
        let parent = Parent::new(helm, Some("gateway"));
        let (is_rendered, text) = parent.render(helm, VALUES);
        assert!(is_rendered, "{helm:?}: {text}");
        let objects = objects(&text);
        let app = find(&objects, "Deployment", "corveil");
        let labels = &app["spec"]["template"]["metadata"]["labels"];
        assert_eq!(
            (&labels["team"], &labels["app.kubernetes.io/name"]),
            (&json!("platform"), &json!("gateway"))
        );
        assert_eq!(app["spec"]["template"]["spec"]["containers"][0]["name"], "gateway");
        let claim = &find(&objects, "StatefulSet", "prod-postgresql")["spec"]["volumeClaimTemplates"][0];
        assert_eq!(claim["spec"]["storageClassName"], "fast");
        find(&objects, "Job", "corveil-migrate");
    }
}

#[test]
fn a_parent_that_turns_the_chart_off_gets_none_of_it() {
    for helm in HELMS {
        for alias in [None, Some("gateway")] {
            let name = alias.unwrap_or("corveil-chart");
            let values = |is_enabled: bool| {
                json!({name: {"enabled": is_enabled, "corveil": {"secretKey": "key"}}}).to_string()
            };
            let parent = Parent::new(helm, alias);
            let (is_rendered, text) = parent.render(helm, &values(false));
            assert!(is_rendered && objects(&text).is_empty(), "{helm:?}: {text}");
            let (is_rendered, text) = parent.render(helm, &values(true));
            assert!(is_rendered && text.contains("wait-for-db"), "{helm:?}: {text}");
        }
    }
}

#[test]
fn an_alias_with_letters_that_no_container_has_names_one_that_kubernetes_accepts() {
    for helm in HELMS {
        let (is_rendered, text) =
            Parent::new(helm, Some("AI_Gateway")).render(helm, "AI_Gateway: {corveil: {secretKey: key}}");
        assert!(is_rendered, "{helm:?}: {text}");
        let objects = objects(&text);
        let app = find(&objects, "Deployment", "corveil");
        assert_eq!(app["spec"]["template"]["spec"]["containers"][0]["name"], "ai-gateway");
    }
}

/// Otherwise all of it would be installed.
#[test]
fn enabled_that_nobody_reads_is_refused() {
    let (is_rendered, text) = refusals::answer(&["template"], &["enabled=false"]);
    assert!(!is_rendered && text.contains("`enabled` is false, which only the `condition`"), "{text}");
}

#[test]
fn a_misspelt_key_is_still_refused_under_a_parent() {
    for helm in HELMS {
        let parent = Parent::new(helm, None);
        let (is_rendered, text) =
            parent.render(helm, "corveil-chart: {enabled: true, corveil: {secretKey: key}, replicas: 2}");
        assert!(!is_rendered && text.contains("replicas"), "{helm:?}: {text}");
    }
}

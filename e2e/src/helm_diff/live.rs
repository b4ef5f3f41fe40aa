//! `--three-way-merge`: compares the objects in the cluster with what an upgrade would make of them, without hooks of the
//! last revision (`Generate` in helm-diff's `manifest/generate.go`).
//!
//! - An object in the cluster is compared with the result of a patch that the API server runs dry (`ServerDryRun`). The patch
//!   adds and changes what the chart renders, and removes what the last revision has and the chart no longer renders
//!   (`createPatch`). So what a failed revision removed is not found any more.
//! - An object that the cluster does not have is added; one that only the last revision has is removed.
//! - The status and the server's fields of the metadata are ignored (`deleteStatusAndTidyMetadata` in `manifest/util.go`).
//!
//! The first half of the patch is what `kubectl apply` does, from the same library, to objects that it did not create. So
//! `kubectl apply` does it here. helm-diff treats custom resources differently; no scenario has one.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::helm_diff::{Objects, by_name};

/// Before and after, from the last revision and what the chart renders now.
pub(crate) fn three_ways(
    kubectl: &Path,
    namespace: &str,
    released: &Objects,
    rendered: &Objects,
) -> Result<(Objects, Objects)> {
    let ask = |words: &[&str], objects: Objects| ask(kubectl, namespace, words, objects);
    let live = ask(&["get", "--ignore-not-found"], rendered.clone())?;
    let mut there = rendered.clone();
    there.retain(|name, _| live.contains_key(name));
    let patched = ask(&["apply", "--dry-run=server"], there)?;
    Ok(sides(released, rendered, live, patched))
}

/// Runs kubectl on these objects, and returns those that it prints.
fn ask(kubectl: &Path, namespace: &str, words: &[&str], objects: Objects) -> Result<Objects> {
    if objects.is_empty() {
        return Ok(Objects::new());
    }
    let mut command = Command::new(kubectl);
    command.args(words).args(["--namespace", namespace, "--filename=-", "--output=json"]);
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = pipes.spawn().with_context(|| format!("start {}", kubectl.display()))?;
    let items: Vec<_> = objects.into_values().collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    // kubectl reads its whole input before it prints anything.
    process.stdin.take().context("a pipe was asked for")?.write_all(list.to_string().as_bytes())?;
    let output = process.wait_with_output()?;
    if !output.status.success() {
        bail!("kubectl {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    if output.stdout.trim_ascii().is_empty() {
        return Ok(Objects::new());
    }
    let mut answer: Value = serde_json::from_slice(&output.stdout)?;
    let found =
        if answer["kind"] == "List" { serde_json::from_value(answer["items"].take())? } else { vec![answer] };
    Ok(by_name(found))
}

/// Before has the live objects and those to remove. After has the rendered objects, merged into the live ones where they
/// exist.
fn sides(released: &Objects, rendered: &Objects, live: Objects, patched: Objects) -> (Objects, Objects) {
    let mut before = released.clone();
    before.retain(|name, _| !rendered.contains_key(name));
    before.extend(live);
    let mut after = rendered.clone();
    for (name, mut object) in patched {
        if let (Some(old), Some(new)) = (released.get(&name), rendered.get(&name)) {
            take_out(&mut object, old, new);
        }
        after.insert(name, object);
    }
    before.values_mut().chain(after.values_mut()).for_each(tidy);
    (before, after)
}

/// Removes what the last revision has and the chart no longer renders: in maps by key, and in lists by the names of the
/// items.
fn take_out(object: &mut Value, old: &Value, new: &Value) {
    match (object, old, new) {
        (Value::Object(object), Value::Object(old), Value::Object(new)) => {
            object.retain(|key, _| !old.contains_key(key) || new.contains_key(key));
            for (key, value) in object {
                if let (Some(old), Some(new)) = (old.get(key), new.get(key)) {
                    take_out(value, old, new);
                }
            }
        }
        (Value::Array(object), Value::Array(old), Value::Array(new)) => {
            object.retain(|item| namesake(item, old).is_none() || namesake(item, new).is_some());
            for item in object {
                if let (Some(old), Some(new)) = (namesake(item, old), namesake(item, new)) {
                    take_out(item, old, new);
                }
            }
        }
        _ => {}
    }
}

fn namesake<'a>(item: &Value, of: &'a [Value]) -> Option<&'a Value> {
    let name = item.get("name")?;
    of.iter().find(|other| other.get("name") == Some(name))
}

/// Keeps only fields that a chart can set.
fn tidy(object: &mut Value) {
    let remove = |from: Option<&mut Value>, keys: &[&str]| {
        if let Some(Value::Object(map)) = from {
            map.retain(|key, _| !keys.contains(&key.as_str()));
        }
    };
    remove(Some(object), &["status"]);
    let server = ["creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"];
    remove(object.get_mut("metadata"), &server);
    let annotations = [
        "deployment.kubernetes.io/revision",
        // Added by the dry run of `kubectl apply`.
        "kubectl.kubernetes.io/last-applied-configuration",
        "meta.helm.sh/release-name",
        "meta.helm.sh/release-namespace",
    ];
    remove(object.pointer_mut("/metadata/annotations"), &annotations);
    if object.pointer("/metadata/annotations") == Some(&json!({})) {
        remove(object.get_mut("metadata"), &["annotations"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::helm_diff::differences;
    use xtask::project::objects;

    fn deployment(image: &str, more: &str) -> Objects {
        let text = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: a{more}}}\n\
             spec: {{template: {{spec: {{containers: [{{name: app, image: '{image}'}}]}}}}}}\n"
        );
        by_name(objects::parse(&text).expect("it is YAML"))
    }

    fn found(released: &Objects, rendered: &Objects, live: &Objects, patched: &Objects) -> Vec<String> {
        let (before, after) = sides(released, rendered, live.clone(), patched.clone());
        differences(&before, &after)
    }

    #[test]
    fn repeating_a_failed_upgrade_is_a_difference_only_in_the_cluster() {
        let (old, new) = (deployment("app:1", ""), deployment("app:2", ""));
        // The last revision failed in its hook. It has the same objects as the new rendering.
        let failed = &new;
        assert!(differences(failed, &new).is_empty(), "as helm-diff compares without `--three-way-merge`");
        assert_eq!(found(failed, &new, &old, &new), ["a, Deployment (apps/v1) has changed"]);
        assert_eq!(
            found(failed, &new, &Objects::new(), &Objects::new()),
            ["a, Deployment (apps/v1) has been added"],
            "a first install that failed"
        );
        assert!(found(&new, &new, &new, &new).is_empty(), "a success");
    }

    #[test]
    fn what_the_server_adds_is_no_difference() {
        let rendered = deployment("app:1", "");
        let live = deployment(
            "app:1",
            ", uid: u, generation: 3, annotations: {deployment.kubernetes.io/revision: '1', meta.helm.sh/release-name: a}",
        );
        let patched = deployment(
            "app:1",
            ", uid: u, generation: 3, annotations: {kubectl.kubernetes.io/last-applied-configuration: x}",
        );
        assert!(found(&rendered, &rendered, &live, &patched).is_empty());
    }

    #[test]
    fn what_is_no_longer_rendered_differs_only_from_the_last_revision() {
        let labelled = deployment("app:1", ", labels: {b: c}");
        let plain = deployment("app:1", "");
        // A patch leaves the label where it is.
        assert_eq!(found(&labelled, &plain, &labelled, &labelled), ["a, Deployment (apps/v1) has changed"]);
        assert!(found(&plain, &plain, &labelled, &labelled).is_empty(), "that one failed");
        assert_eq!(
            found(&plain, &Objects::new(), &Objects::new(), &Objects::new()),
            ["a, Deployment (apps/v1) has been removed"]
        );
    }

    #[test]
    fn an_item_is_removed_from_a_list_by_its_name() {
        let env = |names: &[&str]| names.iter().map(|name| json!({"name": name})).collect::<Value>();
        let mut live = env(&["chart", "injected", "kept"]);
        take_out(&mut live, &env(&["chart", "kept"]), &env(&["kept"]));
        assert_eq!(live, env(&["injected", "kept"]));
    }
}

//! `--three-way-merge`: what is in the cluster beside what an upgrade would make of it, without hooks of the last revision
//! (`Generate` in helm-diff's `manifest/generate.go`).
//!
//! - What the cluster has is compared with the answer to a patch that the API server only tries (`ServerDryRun`). The patch
//!   adds and changes what the chart renders, and takes out what the last revision has and the chart renders no more
//!   (`createPatch`). So what a revision took out that failed is not found any more.
//! - What the cluster does not have is new; what only the last revision has is removed.
//! - The status and what the server writes into the metadata do not count (`deleteStatusAndTidyMetadata` in
//!   `manifest/util.go`).
//!
//! The first half of the patch is that of `kubectl apply` for objects that it did not make, from the same library, so it is
//! tried by that. helm-diff treats custom resources otherwise; no scenario has one.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::helm_diff::{Objects, by_name};

/// Before and after, of the last revision and of what the chart renders now.
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

/// What kubectl says of these objects.
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
    // It is read to its end before anything is answered.
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

/// Before is what is live and what is to go; after is what is rendered, merged into what is live where there is something.
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

/// Takes out what the last revision has and the chart renders no more: map by map, and in lists the items that have names.
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

/// Leaves what a chart can say.
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
        // kubectl's own, of the patch that is tried.
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
    fn the_same_again_after_a_failure_was_no_difference() {
        let (old, new) = (deployment("app:1", ""), deployment("app:2", ""));
        // The last revision failed in its hook, and has what is rendered once more.
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
    fn what_is_rendered_no_more_is_a_difference_to_the_last_revision_alone() {
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
    fn an_item_is_taken_out_of_a_list_by_its_name() {
        let env = |names: &[&str]| names.iter().map(|name| json!({"name": name})).collect::<Value>();
        let mut live = env(&["chart", "injected", "kept"]);
        take_out(&mut live, &env(&["chart", "kept"]), &env(&["kept"]));
        assert_eq!(live, env(&["injected", "kept"]));
    }
}

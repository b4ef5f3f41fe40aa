//! Volumes for pods, created beforehand: folders of this machine, whose owner the kubelet may change as `fsGroup` asks.

use std::fs;
use std::io::{Write, stderr};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use xshell::{Shell, cmd};

use crate::cluster::local::files;
use crate::cluster::local::layout::{Layout, NODE};

const CLASS: &str = "local";

/// More than a run of all tests claims. A claimed volume cannot be claimed again before it is renewed.
const VOLUMES: usize = 40;

pub(crate) fn write(node: &Layout) -> Result<()> {
    (0..VOLUMES).try_for_each(|number| empty(node, number))?;
    let volumes = (0..VOLUMES).map(|number| volume(node, number));
    let objects = list(std::iter::once(class()).chain(volumes));
    files::write(&node.config("storage.json"), &objects.to_string())
}

/// Creates released volumes again. Otherwise the object would keep its claim for ever, and the folder its files.
pub(crate) fn renew(sh: &Shell, node: &Layout) -> Result<()> {
    let (kubectl, kubeconfig) = (node.program("kubectl"), node.kubeconfig());
    let kubectl = || cmd!(sh, "{kubectl} --kubeconfig {kubeconfig} --request-timeout=30s").quiet();
    let there = kubectl().args(["get", "persistentvolumes", "--output=json"]).read()?;
    let used = used(&serde_json::from_str(&there)?);
    if used.is_empty() {
        return Ok(());
    }
    let delete = ["delete", "persistentvolumes", "--ignore-not-found", "--timeout=30s"];
    kubectl().args(delete).args(used.iter().map(|number| name(*number))).ignore_stdout().run()?;
    used.iter().try_for_each(|number| empty(node, *number))?;
    let objects = list(used.iter().map(|number| volume(node, *number)));
    kubectl().args(["create", "--filename=-"]).stdin(objects.to_string()).ignore_stdout().run()?;
    writeln!(stderr(), "cluster: {} volumes were renewed", used.len())?;
    Ok(())
}

/// The volumes that were claimed and are free now. One without an object is left from an interrupted renewal.
fn used(volumes: &Value) -> Vec<usize> {
    let items = volumes["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_used = |number: &usize| {
        let there = items.iter().find(|item| item["metadata"]["name"] == name(*number));
        there.is_none_or(|item| item["status"]["phase"] == "Released" || item["status"]["phase"] == "Failed")
    };
    (0..VOLUMES).filter(is_used).collect()
}

/// Replaces the folder, so that neither files nor the owner stay.
fn empty(node: &Layout, number: usize) -> Result<()> {
    let folder = node.volume(&name(number));
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))
}

fn class() -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": CLASS,
            "annotations": { "storageclass.kubernetes.io/is-default-class": "true" },
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    })
}

fn volume(node: &Layout, number: usize) -> Value {
    let here = json!({ "key": "kubernetes.io/hostname", "operator": "In", "values": [NODE] });
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": { "name": name(number) },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": { "storage": "8Gi" },
            "storageClassName": CLASS,
            "persistentVolumeReclaimPolicy": "Retain",
            // A hostPath would keep its owner: `fsGroup` does not apply to it.
            "local": { "path": node.volume(&name(number)) },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [here] }] } },
        },
    })
}

fn list(objects: impl Iterator<Item = Value>) -> Value {
    json!({ "apiVersion": "v1", "kind": "List", "items": objects.collect::<Vec<_>>() })
}

fn name(number: usize) -> String {
    format!("local-{number:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_used_once_it_is_released_or_was_lost() {
        let volume =
            |number, phase| json!({ "metadata": { "name": name(number) }, "status": { "phase": phase } });
        let phases = ["Available", "Bound", "Released", "Failed"];
        let there = (0..VOLUMES - 1).map(|number| volume(number, phases.get(number).unwrap_or(&"Available")));
        let other = json!({ "metadata": { "name": "other" }, "status": { "phase": "Released" } });
        let there = list(there.chain([other]));
        assert_eq!(used(&there), [2, 3, VOLUMES - 1]);
    }

    #[test]
    fn an_emptied_volume_keeps_no_files() {
        let state = tempfile::tempdir().expect("a folder");
        let node = Layout::at(state.path().to_owned());
        empty(&node, 0).expect("a volume");
        let file = node.volume(&name(0)).join("a/b");
        files::write(&file, "1").expect("a file");
        empty(&node, 0).expect("a volume");
        assert_eq!(fs::read_dir(node.volume(&name(0))).expect("a volume").count(), 0);
    }
}

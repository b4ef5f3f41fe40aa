//! Volumes for pods, made beforehand: folders of this machine, whose owner may be changed as `fsGroup` asks.

use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cluster::local::files;
use crate::cluster::local::layout::{Layout, NODE};

const CLASS: &str = "local";

/// More than a run of all tests claims; none is used twice.
const VOLUMES: usize = 40;

pub(super) fn write(node: &Layout) -> Result<()> {
    for number in 0..VOLUMES {
        let folder = node.volume(&name(number));
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    }
    files::write(&node.config("storage.json"), &objects(node).to_string())
}

fn objects(node: &Layout) -> Value {
    let class = json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": CLASS,
            "annotations": { "storageclass.kubernetes.io/is-default-class": "true" },
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    });
    let volume = |number| {
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
                // A hostPath would keep its owner whatever `fsGroup` says.
                "local": { "path": node.volume(&name(number)) },
                "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [here] }] } },
            },
        })
    };
    let volumes = (0..VOLUMES).map(volume);
    let items: Vec<_> = std::iter::once(class).chain(volumes).collect();
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

fn name(number: usize) -> String {
    format!("local-{number:02}")
}

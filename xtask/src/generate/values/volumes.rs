//! Volumes and where containers have them, typed as in `kubernetes.rs`.

use serde_json::{Map, Value, json};

use crate::generate::values::kubernetes::{
    data_key, fields, flag, list, matching, name, number, one_of, quantity, relative, text,
};
use crate::generate::values::patterns::{DNS_LABEL, RELATIVE};

/// Permissions of a file.
const MODE: i64 = 0o777;

/// Sources that a chart's user rarely has: Kubernetes alone checks what is in them.
const OTHERS: [&str; 7] = ["cephfs", "ephemeral", "fc", "flexVolume", "glusterfs", "iscsi", "rbd"];

pub(super) fn mounts() -> Value {
    list(&fields(
        &["name", "mountPath"],
        json!({
            "name": matching(DNS_LABEL),
            "mountPath": {"type": "string", "minLength": 1, "pattern": "^[^:]+$"},
            // Another one needs a privileged container.
            "mountPropagation": one_of(&["None", "HostToContainer"]),
            "readOnly": flag(),
            "recursiveReadOnly": one_of(&["Disabled"]),
            "subPath": {"type": "string", "pattern": format!("^({RELATIVE})?$")},
            "subPathExpr": {"type": "string", "pattern": "^[^/.]*$"},
        }),
    ))
}

pub(super) fn volumes() -> Value {
    let mut properties = sources();
    properties.insert("name".into(), matching(DNS_LABEL));
    list(&json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["name"],
        // A name and one source.
        "minProperties": 2,
        "maxProperties": 2,
        "properties": properties,
    }))
}

fn sources() -> Map<String, Value> {
    let item =
        fields(&["key", "path"], json!({"key": data_key(), "path": relative(), "mode": number(0, MODE)}));
    let items = list(&item);
    let mode = number(0, MODE);
    let read_only = flag();
    let sources = json!({
        "configMap": fields(&["name"], json!({"name": name(), "items": items, "defaultMode": mode, "optional": flag()})),
        "csi": fields(
            &["driver"],
            json!({
                "driver": {"type": "string", "maxLength": 63, "pattern": "^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?(\\.[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*$"},
                "fsType": text(),
                "nodePublishSecretRef": fields(&["name"], json!({"name": name()})),
                "readOnly": read_only,
                "volumeAttributes": {"type": "object", "additionalProperties": {"type": "string"}},
            }),
        ),
        "downwardAPI": {"type": "object"},
        "emptyDir": fields(&[], json!({"medium": one_of(&["", "Memory"]), "sizeLimit": quantity()})),
        "hostPath": fields(
            &["path"],
            json!({
                "path": {"type": "string", "pattern": "^(/[-_a-zA-Z0-9][-_.a-zA-Z0-9]*)+$|^/$"},
                "type": one_of(&["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"]),
            }),
        ),
        "image": {"type": "object"},
        "nfs": fields(
            &["server", "path"],
            json!({"server": matching("[-.:a-zA-Z0-9]+"), "path": matching("(/[-_a-zA-Z0-9]+)+"), "readOnly": read_only}),
        ),
        "persistentVolumeClaim": fields(&["claimName"], json!({"claimName": name(), "readOnly": read_only})),
        "projected": {"type": "object"},
        "secret": fields(&["secretName"], json!({"secretName": name(), "items": items, "defaultMode": mode, "optional": flag()})),
    });
    let Value::Object(mut sources) = sources else { unreachable!("sources are an object") };
    for other in OTHERS {
        sources.insert(other.into(), json!({"type": "object"}));
    }
    sources
}

//! The database server of the scenarios as Kubernetes objects.

use serde_json::{Value, json};

use crate::stand_in::POSTGRES;

/// The password of every role. Nothing outside of the cluster reaches the server, and it is deleted with the cluster.
pub(crate) const PASSWORD: &str = "e2e-only";

/// The namespace of the server that scenarios share.
pub(crate) const SHARED: &str = "e2e-database";

/// A server as objects: one pod, which keeps its data when it is stopped.
pub(crate) fn server() -> Value {
    let labels = json!({"app": "postgres"});
    let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path});
    let limits = json!({"cpu": "1", "memory": "512Mi"});
    let pod = json!({
        "automountServiceAccountToken": false,
        "terminationGracePeriodSeconds": 20,
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": 1001, "runAsGroup": 1001, "fsGroup": 1001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [{
            "name": "postgres",
            "image": POSTGRES,
            "imagePullPolicy": "IfNotPresent",
            // Many scenarios connect at once.
            "args": ["-c", "max_connections=300", "-c", "fsync=off"],
            "env": [
                {"name": "POSTGRES_USER", "value": "postgres"},
                {"name": "POSTGRES_PASSWORD", "value": PASSWORD},
                {"name": "PGDATA", "value": "/data/pgdata"},
            ],
            "readinessProbe": {
                "exec": {"command": ["pg_isready", "--host=127.0.0.1"]},
                "periodSeconds": 1, "timeoutSeconds": 5,
            },
            "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": limits},
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            "volumeMounts": [
                mount("data", "/data"), mount("run", "/var/run/postgresql"), mount("tmp", "/tmp"),
            ],
        }],
        "volumes": [{"name": "run", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
    });
    let claim = json!({
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "postgres"},
        "spec": {
            "serviceName": "postgres", "replicas": 1, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
            "volumeClaimTemplates": [claim],
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "postgres"},
        "spec": {"selector": labels, "ports": [{"port": 5432}]},
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [service, set]})
}

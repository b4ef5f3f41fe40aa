//! As much of an API server as Helm's `lookup` asks: what a chart sees of a cluster, without one.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};

/// A server on a port of its own, for as long as the test runs.
pub(crate) struct Cluster {
    address: String,
}

/// What it says of the bundled database.
#[derive(Clone, Copy)]
enum Database {
    Missing,
    Ready(u32),
    Forbidden,
}

/// Every kind in the chart, by group and version.
const KINDS: &[(&str, &[(&str, &str)])] = &[
    (
        "v1",
        &[
            ("configmaps", "ConfigMap"),
            ("pods", "Pod"),
            ("secrets", "Secret"),
            ("serviceaccounts", "ServiceAccount"),
            ("services", "Service"),
        ],
    ),
    ("apps/v1", &[("deployments", "Deployment"), ("statefulsets", "StatefulSet")]),
    ("batch/v1", &[("jobs", "Job")]),
    ("networking.k8s.io/v1", &[("networkpolicies", "NetworkPolicy")]),
];

impl Cluster {
    /// It holds nothing.
    pub(crate) fn without_database() -> Self {
        Self::serve(Database::Missing)
    }

    /// It holds the bundled database's `StatefulSet`, with so many ready replicas.
    pub(crate) fn with_database(ready: u32) -> Self {
        Self::serve(Database::Ready(ready))
    }

    /// It lists nothing, as for somebody who may not ask.
    pub(crate) fn that_forbids() -> Self {
        Self::serve(Database::Forbidden)
    }

    /// What to tell Helm, so that its lookups come here.
    pub(crate) fn arguments<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let ours = ["--dry-run=server", "--disable-openapi-validation", "--kube-apiserver", &self.address];
        ours.into_iter().chain(more.iter().copied()).collect()
    }

    fn serve(database: Database) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("it is bound"));
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || converse(stream, database));
            }
        });
        Self { address }
    }
}

/// Answers the requests of one connection.
fn converse(stream: TcpStream, database: Database) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(request) = lines.next().transpose()? {
        let target = request.split(' ').nth(1).unwrap_or_default();
        let (status, body) = answer(target.split('?').next().unwrap_or_default(), database);
        // A GET has no body: its head ends with an empty line.
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let (body, kind) = (body.to_string(), "content-type: application/json");
        let length = body.len();
        write!(writer, "HTTP/1.1 {status} -\r\n{kind}\r\ncontent-length: {length}\r\n\r\n{body}")?;
    }
    Ok(())
}

fn answer(path: &str, database: Database) -> (u16, Value) {
    if let Some(resources) = resources(path) {
        return (200, resources);
    }
    match (path, database) {
        ("/version", _) => (200, json!({"major": "1", "minor": "31", "gitVersion": "v1.31.0"})),
        ("/api", _) => (200, json!({"kind": "APIVersions", "versions": ["v1"]})),
        ("/apis", _) => (200, groups()),
        ("/apis/apps/v1/namespaces/apps/deployments", Database::Forbidden) => failure(403, "Forbidden"),
        ("/apis/apps/v1/namespaces/apps/deployments", _) => {
            let (kind, metadata) = ("DeploymentList", json!({}));
            (200, json!({"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "items": []}))
        }
        ("/apis/apps/v1/namespaces/apps/statefulsets/corveil-postgresql", Database::Ready(ready)) => {
            // The API server leaves out what is zero.
            let status = if ready == 0 { json!({"replicas": 1}) } else { json!({"readyReplicas": ready}) };
            let metadata = json!({"name": "corveil-postgresql", "namespace": "apps"});
            let kind = "StatefulSet";
            (200, json!({"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "status": status}))
        }
        _ => failure(404, "NotFound"),
    }
}

/// The kinds of one group and version.
fn resources(path: &str) -> Option<Value> {
    let version = path.strip_prefix("/apis/").or(path.strip_prefix("/api/"))?;
    let (_, kinds) = KINDS.iter().find(|(known, _)| *known == version)?;
    let kinds = kinds.iter().map(|(name, kind)| {
        json!({"name": name, "singularName": "", "kind": kind, "namespaced": true, "verbs": ["get", "list"]})
    });
    Some(json!({"kind": "APIResourceList", "groupVersion": version, "resources": kinds.collect::<Vec<_>>()}))
}

fn groups() -> Value {
    let groups = KINDS.iter().filter_map(|(version, _)| {
        let (name, number) = version.split_once('/')?;
        let version = json!({"groupVersion": version, "version": number});
        Some(json!({"name": name, "versions": [version], "preferredVersion": version}))
    });
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups.collect::<Vec<_>>()})
}

fn failure(code: u16, reason: &str) -> (u16, Value) {
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason});
    (code, status)
}

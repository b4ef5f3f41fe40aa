//! Records everything that happens to one kind of object in a namespace, in the order in which the API server reports it.

use std::io::BufReader;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::builds::Build;
use crate::wait::until;
use crate::world::World;

/// An object of each watched kind that does nothing. A change of it is reported after all earlier changes.
pub(crate) const SENTINEL: &str = "sentinel";

/// The annotation of the sentinel that is changed.
const MARK: &str = "corveil.example/mark";

/// One reported state of an object.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// When it was received.
    pub(crate) at: SystemTime,
    /// `ADDED`, `MODIFIED` or `DELETED`.
    pub(crate) change: String,
    pub(crate) object: Value,
}

/// A watch that continues until it is dropped.
pub(crate) struct Watch<'a> {
    world: &'a World<'a>,
    kind: &'static str,
    process: Child,
    events: Arc<Mutex<Vec<Event>>>,
    has_ended: Arc<AtomicBool>,
    marks: AtomicU32,
}

impl<'a> Watch<'a> {
    /// Watches from now on.
    pub(crate) fn start(world: &'a World<'a>, kind: &'static str) -> Result<Self> {
        world.apply(&sentinel(kind)?)?;
        let get = ["get", kind, "--watch", "--output-watch-events", "--output", "json"];
        let arguments = [&["--namespace", &world.namespace][..], &get].concat();
        let mut process = world
            .program(&world.stage.kubectl, &arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("start a watch with kubectl")?;
        let output = BufReader::new(process.stdout.take().context("a pipe was asked for")?);
        let (events, has_ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (record, end) = (Arc::clone(&events), Arc::clone(&has_ended));
        thread::spawn(move || {
            #[derive(Deserialize)]
            struct Reported {
                #[serde(rename = "type")]
                change: String,
                object: Value,
            }
            let stream = serde_json::Deserializer::from_reader(output).into_iter::<Reported>();
            for Reported { change, object } in stream.map_while(Result::ok) {
                let event = Event { at: SystemTime::now(), change, object };
                record.lock().unwrap_or_else(PoisonError::into_inner).push(event);
            }
            end.store(true, Ordering::Release);
        });
        let watch = Self { world, kind, process, events, has_ended, marks: AtomicU32::new(0) };
        // From the first received event on, nothing is missed.
        watch.events()?;
        Ok(watch)
    }

    /// Everything that has happened until now, including events that had not arrived yet.
    pub(crate) fn events(&self) -> Result<Vec<Event>> {
        let mark = self.marks.fetch_add(1, Ordering::Relaxed).to_string();
        let annotation = format!("{MARK}={mark}");
        self.world.kubectl(&["annotate", self.kind, SENTINEL, &annotation, "--overwrite"])?;
        let bears_it = |event: &Event| {
            event.name() == SENTINEL && event.object["metadata"]["annotations"][MARK] == mark.as_str()
        };
        until("a watch to report what happened", Duration::from_secs(30), || {
            let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
            if events.iter().rev().any(bears_it) {
                return Ok(Some(events.iter().filter(|event| event.name() != SENTINEL).cloned().collect()));
            }
            ensure!(!self.has_ended.load(Ordering::Acquire), "the watch on {} ended", self.kind);
            Ok(None)
        })
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        // The process may have ended already, and `drop` cannot return an error.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The fields that the kind and a strict namespace require.
fn sentinel(kind: &str) -> Result<Value> {
    let metadata = json!({"name": SENTINEL});
    let pod = json!({
        "automountServiceAccountToken": false,
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": SENTINEL, "image": "never-pulled.example/none",
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"cpu": "1m", "memory": "1Mi"}},
        }],
    });
    Ok(match kind {
        "pods" => {
            // The gate is never removed, so the pod is never scheduled.
            let mut gated = pod;
            gated["schedulingGates"] = json!([{"name": "corveil.example/never"}]);
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": gated})
        }
        "jobs" => json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata,
            "spec": {"suspend": true, "template": {"spec": pod}},
        }),
        "networkpolicies" => json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata,
            "spec": {"podSelector": {"matchLabels": {"app": SENTINEL}}},
        }),
        _ => bail!("there is no sentinel for {kind}"),
    })
}

impl Event {
    pub(crate) fn name(&self) -> &str {
        self.object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
    }

    fn label(&self, label: &str) -> Option<&str> {
        self.object.pointer("/metadata/labels")?.get(label)?.as_str()
    }

    /// Whether it is a pod of the app's Deployment, of this build.
    pub(crate) fn is_app(&self, build: Build) -> bool {
        self.label("app.kubernetes.io/name") == Some("corveil-chart")
            && self.label("pod-template-hash").is_some()
            && is_of(&self.object, build)
    }

    /// Whether it is of this build's migration: a Job, or a pod of one.
    pub(crate) fn is_migration(&self, build: Build) -> bool {
        self.label("app.kubernetes.io/component") == Some("migrate") && is_of(&self.object, build)
    }

    /// The exit code of the pod's first container, once it has one.
    pub(crate) fn exit_code(&self) -> Option<i64> {
        self.object.pointer("/status/containerStatuses/0/state/terminated/exitCode")?.as_i64()
    }

    /// Whether the condition is true of the object.
    pub(crate) fn is(&self, condition: &str) -> bool {
        is(&self.object, condition)
    }
}

/// Whether the condition is true of the object.
pub(crate) fn is(object: &Value, condition: &str) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|found| found["type"] == condition && found["status"] == "True")
}

/// Whether a pod, or what makes pods, runs this build.
pub(crate) fn is_of(object: &Value, build: Build) -> bool {
    let of = |pointer| object.pointer(pointer).and_then(Value::as_str);
    let image = of("/spec/template/spec/containers/0/image").or_else(|| of("/spec/containers/0/image"));
    image.and_then(|image| image.rsplit_once(':')).is_some_and(|(_, tag)| tag == build.tag())
}

//! Records everything that happens to one kind of object in a namespace, in the order in which the API server tells it.

use std::io::BufReader;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

/// One state of an object, as it was told.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// When it reached us.
    pub(crate) at: SystemTime,
    /// `ADDED`, `MODIFIED` or `DELETED`.
    pub(crate) change: String,
    pub(crate) object: Value,
}

/// A watch that goes on until it is dropped.
pub(crate) struct Watch {
    process: Child,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Watch {
    /// Starts `kubectl get KIND --watch`. Something that exists already is told as added.
    pub(crate) fn start(mut kubectl: Command, kind: &str) -> Result<Self> {
        let get = ["get", kind, "--watch", "--output-watch-events", "--output", "json"];
        let mut process = kubectl
            .args(get)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("start a watch with kubectl")?;
        let told = BufReader::new(process.stdout.take().context("a pipe was asked for")?);
        let events = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&events);
        thread::spawn(move || {
            #[derive(Deserialize)]
            struct Told {
                #[serde(rename = "type")]
                change: String,
                object: Value,
            }
            let stream = serde_json::Deserializer::from_reader(told).into_iter::<Told>();
            // It ends in the middle of nothing when the process is killed.
            for Told { change, object } in stream.map_while(Result::ok) {
                let event = Event { at: SystemTime::now(), change, object };
                record.lock().unwrap_or_else(PoisonError::into_inner).push(event);
            }
        });
        Ok(Self { process, events })
    }

    /// What has been told so far.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody left to tell.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Event {
    pub(crate) fn name(&self) -> &str {
        self.object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
    }

    fn label(&self, label: &str) -> Option<&str> {
        self.object.pointer("/metadata/labels")?.get(label)?.as_str()
    }

    /// Whether it is a pod that the app's Deployment made.
    pub(crate) fn is_app(&self) -> bool {
        self.label("app.kubernetes.io/name") == Some("corveil-chart")
            && self.label("pod-template-hash").is_some()
    }

    /// Whether it is of the migration: its Job, or a pod of that.
    pub(crate) fn is_migration(&self) -> bool {
        self.label("app.kubernetes.io/component") == Some("migrate")
    }

    /// Whether the pod's first container has this tag.
    pub(crate) fn has_tag(&self, tag: &str) -> bool {
        let image = self.object.pointer("/spec/containers/0/image").and_then(Value::as_str);
        image.and_then(|image| image.rsplit_once(':')).is_some_and(|(_, of)| of == tag)
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

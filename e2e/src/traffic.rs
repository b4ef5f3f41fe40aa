//! A user of the app throughout a rollout: a pod that keeps sending requests to the Service, and logs each answer.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::engine::APP;
use crate::stand_in::POSTGRES;
use crate::wait::until;
use crate::world::World;

/// Each request opens a new connection, as those of many users would.
const LOOP: &str = "while :; do
  if answer=$(busybox timeout 5 wget -q -O - \"$1\" 2>&1); then echo ok; else echo \"failed at $(date -u +%T): $answer\"; fi
  sleep 0.1
done";

/// A pod that sends requests until the namespace is deleted.
pub(crate) struct Traffic<'a> {
    world: &'a World<'a>,
}

impl<'a> Traffic<'a> {
    /// Starts the pod, and waits for the first answer: the app has to run. The pod requests the readiness page, which queries
    /// the database.
    pub(crate) fn start(world: &'a World<'a>) -> Result<Self> {
        Self::start_with(world, "/health/ready")
    }

    /// The same with another page.
    pub(crate) fn start_with(world: &'a World<'a>, page: &str) -> Result<Self> {
        let url = format!("http://{APP}:8000{page}");
        world.apply(&json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "client", "labels": {"app": "client"}},
            "spec": {
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 0,
                "restartPolicy": "Never",
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 1001, "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [{
                    "name": "client", "image": POSTGRES, "imagePullPolicy": "IfNotPresent",
                    "command": ["/bin/sh", "-c", LOOP, "client", url],
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"},
                    },
                }],
            },
        }))?;
        let traffic = Self { world };
        until("the first answer to the client", Duration::from_mins(1), || {
            Ok(traffic.answers().unwrap_or_default().0.gt(&0).then_some(()))
        })?;
        Ok(traffic)
    }

    /// The number of answered requests, and the errors of the others.
    fn answers(&self) -> Result<(usize, Vec<String>)> {
        let log = self.world.kubectl(&["logs", "client", "--tail=-1"])?;
        let (ok, failed): (Vec<_>, Vec<_>) = log.lines().partition(|line| *line == "ok");
        Ok((ok.len(), failed.into_iter().map(str::to_owned).collect()))
    }

    /// Fails unless every request so far was answered. Returns how many were.
    pub(crate) fn expect_no_failure(&self) -> Result<usize> {
        let (before, _) = self.answers()?;
        // Includes the request that is running now.
        until("one more answer", Duration::from_secs(30), || {
            let (ok, failed) = self.answers()?;
            Ok((ok > before || !failed.is_empty()).then_some(()))
        })?;
        let (ok, failed) = self.answers()?;
        ensure!(failed.is_empty(), "{} of {} requests failed: {failed:?}", failed.len(), ok + failed.len());
        Ok(ok)
    }
}

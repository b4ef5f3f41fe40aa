//! A namespace as a strict platform team gives it out.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::e2e::builds::Build;
use crate::e2e::engine::Rollout;
use crate::e2e::scenario::Gated;
use crate::e2e::world::{Outcome, World};
use crate::objects::merge;

pub(super) fn run(world: &World) -> Result<String> {
    let enforce = "pod-security.kubernetes.io/enforce=restricted";
    let warn = "pod-security.kubernetes.io/warn=restricted";
    world.kubectl_anywhere(&["label", "namespace", &world.namespace, enforce, warn])?;
    world.apply(&json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            // With a quota on them, a pod without requests and limits is refused.
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "quota"},
            "spec": {"hard": {
                "requests.cpu": "1", "requests.memory": "1Gi", "limits.cpu": "4", "limits.memory": "4Gi", "pods": "12",
            }},
        },
        {
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "default-deny"},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        },
    ]}))?;
    let mut gated = Gated::bundled(world)?;
    gated.values = merge(gated.values, json!({"networkPolicy": {"enabled": true}}));
    for build in [Build::First, Build::Next] {
        let outcome = roll(world, &gated.rollout(build))?;
        ensure!(!outcome.text.contains("would violate PodSecurity"), "{}", outcome.text);
    }
    gated.expect_job_before_pods(Build::Next)?;
    expect_policies(&gated)?;
    Ok("policies are checked as objects: the local node's network does not enforce them".into())
}

fn roll(world: &World, rollout: &Rollout) -> Result<Outcome> {
    world.roll(rollout)?.expect_success()
}

/// Each pod there was is selected by a policy of the chart's, which lets it reach what it needs.
fn expect_policies(gated: &Gated) -> Result<()> {
    // The hook's own policy goes with its Job, so it is looked up where it was told: in a watch, or as it stays.
    let policies = gated.policies.events();
    for pod in gated.pods.events() {
        let selects = |policy: &&Value| {
            let wanted = policy.pointer("/spec/podSelector/matchLabels").and_then(Value::as_object);
            let labels = &pod.object["metadata"]["labels"];
            wanted.is_some_and(|wanted| wanted.iter().all(|(name, value)| labels[name] == *value))
        };
        let is_selected = policies.iter().any(|policy| selects(&&policy.object));
        ensure!(is_selected, "no policy of the chart's selects pod `{}`", pod.name());
    }
    Ok(())
}

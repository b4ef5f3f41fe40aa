//! A namespace with the restrictions that a strict platform team sets.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::builds::Build;
use crate::scenario::{Gated, adoption};
use crate::world::World;

pub(crate) fn run(world: &World) -> Result<String> {
    let enforce = "pod-security.kubernetes.io/enforce=restricted";
    let warn = "pod-security.kubernetes.io/warn=restricted";
    world.kubectl_anywhere(&["label", "namespace", &world.namespace, enforce, warn])?;
    world.apply(&json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            // The quota makes the API server refuse pods without requests and limits.
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
    // Users who come from chart 1.0.0 start this pod first.
    adoption::start_adopt_pod(world, &["--dry-run=server"])?;
    let gated = Gated::bundled(world)?;
    for build in [Build::First, Build::Next] {
        let rollout = gated.rollout_with(build, &json!({"networkPolicy": {"enabled": true}}));
        let outcome = world.roll(&rollout)?.expect_success()?;
        ensure!(!outcome.text.contains("would violate PodSecurity"), "{}", outcome.text);
    }
    gated.expect_job_before_pods(Build::Next)?;
    expect_policies(&gated)?;
    Ok("policies are checked as objects: the local node's network does not enforce them".into())
}

/// Fails unless a policy of the chart selects each pod, and allows the ports of its connections to the database: 53 and 5432.
fn expect_policies(gated: &Gated) -> Result<()> {
    // The hook's policy is deleted with its Job, so it is taken from the recorded events.
    let policies = gated.policies.events()?;
    for pod in gated.pods.events()? {
        let selects = |policy: &Value| {
            let wanted = policy.pointer("/spec/podSelector/matchLabels").and_then(Value::as_object);
            let labels = &pod.object["metadata"]["labels"];
            wanted.is_some_and(|wanted| wanted.iter().all(|(name, value)| labels[name] == *value))
        };
        let selecting: Vec<_> =
            policies.iter().map(|event| &event.object).filter(|policy| selects(policy)).collect();
        ensure!(!selecting.is_empty(), "no policy of the chart selects pod `{}`", pod.name());
        let is_server = pod.object["metadata"]["labels"]["app.kubernetes.io/component"] == "primary";
        let (direction, needed) =
            if is_server { ("ingress", &[5432][..]) } else { ("egress", &[53, 5432][..]) };
        for port in needed {
            let allows = |policy: &&Value| {
                let rules = policy["spec"][direction].as_array().into_iter().flatten();
                let mut ports = rules.flat_map(|rule| rule["ports"].as_array().into_iter().flatten());
                ports.any(|allowed| allowed["port"] == *port)
            };
            ensure!(selecting.iter().any(allows), "no {direction} on port {port} for pod `{}`", pod.name());
        }
    }
    Ok(())
}

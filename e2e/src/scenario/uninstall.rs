//! What `helm uninstall` leaves: the volume, and after a failure objects that one command removes.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::builds::{Build, CAUSE};
use crate::database::Database;
use crate::rollout::Rollout;
use crate::scenario::disturbed::in_mid_migration;
use crate::scenario::{Gated, first_install};
use crate::wait::until;
use crate::watch::SENTINEL;
use crate::world::World;

/// Every kind that a release, its hooks or their controllers can have created.
const KINDS: &str = "deployments,replicasets,statefulsets,pods,jobs,services,configmaps,secrets,serviceaccounts,\
                     networkpolicies,poddisruptionbudgets,ingresses,persistentvolumeclaims";

pub(crate) fn run(world: &World) -> Result<String> {
    let gated = Gated::bundled(world)?.installed()?;
    world.helm(&["uninstall", world.release(), "--wait", "--timeout", "90s"])?.expect_success()?;
    expect_left(world, &["PersistentVolumeClaim"])?;
    world.kubectl(&["delete", "pvc", "--all"])?;
    drop(gated);

    let database = Database::create(world)?;
    let gated = Gated::external(world, &database)?.installed()?;
    let notes = world.helm(&["get", "notes", world.release()])?.expect_success()?.text;
    world.roll(&gated.rollout(Build::Broken))?.expect_failure(&[CAUSE])?;
    world.helm(&["uninstall", world.release(), "--wait", "--timeout", "90s"])?.expect_success()?;
    expect_left(world, &["Job", "Pod"])?;
    first_install::follow(world, &notes, " delete job,secret,networkpolicy ")?;
    expect_left(world, &[])?;

    let gated = gated.installed()?;
    kill_in_mid_migration(&gated, &database)?;
    world.helm(&["uninstall", world.release(), "--wait", "--timeout", "90s"])?.expect_success()?;
    expect_left(world, &["Job", "Pod", "Secret"])?;
    first_install::follow(world, &notes, " delete job,secret,networkpolicy ")?;
    expect_left(world, &[])?;
    Ok("success: the claim; failure: Job and pod; SIGKILL: Job, pod and Secret, until the command of NOTES"
        .into())
}

/// Kills Helm with SIGKILL while the Job runs.
fn kill_in_mid_migration(gated: &Gated, database: &Database) -> Result<()> {
    let world = gated.world;
    let rollout: Rollout = gated.rollout(Build::Endless);
    let mut helm = world.command(&rollout)?.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let is_under_way = in_mid_migration(database);
    helm.kill()?;
    helm.wait().context("wait for Helm")?;
    is_under_way
}

/// Fails unless exactly these kinds are left. Objects that every namespace has do not count.
fn expect_left(world: &World, kinds: &[&str]) -> Result<()> {
    let is_as_expected = |left: &[(String, String)]| {
        left.iter().all(|(kind, _)| kinds.contains(&kind.as_str()))
            && kinds.iter().all(|kind| left.iter().any(|(left, _)| left == kind))
    };
    // Pods take a moment to end.
    let waited = until("nothing else to be left", Duration::from_mins(1), || {
        Ok(is_as_expected(&left(world)?).then_some(()))
    });
    waited.with_context(|| format!("left: {:?}", left(world).unwrap_or_default()))
}

/// The kinds and names of all objects, except those that every namespace has.
pub(crate) fn left(world: &World) -> Result<Vec<(String, String)>> {
    let mut left = Vec::new();
    for object in world.list(KINDS, "")? {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (kind, name) = (text("/kind"), text("/metadata/name"));
        let is_the_namespaces = matches!(
            (kind.as_str(), name.as_str()),
            ("ConfigMap", "kube-root-ca.crt") | ("ServiceAccount", "default")
        );
        if !is_the_namespaces && name != SENTINEL {
            left.push((kind, name));
        }
    }
    Ok(left)
}

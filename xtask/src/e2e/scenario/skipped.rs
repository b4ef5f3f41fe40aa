//! Ways around the hook. It is no gate alone: the pods wait too, so that what is skipped is a rollout that waits.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::e2e::builds::{ADDED, Build, FIRST};
use crate::e2e::database::Database;
use crate::e2e::engine::{APP, Engine, JOB, RELEASE};
use crate::e2e::scenario::Gated;
use crate::e2e::scenario::disturbed::in_mid_migration;
use crate::e2e::traffic::Traffic;
use crate::e2e::wait::until;
use crate::e2e::world::{Outcome, World};
use crate::objects;

/// A rollout that makes no progress is told of so early here.
fn impatient() -> Value {
    json!({"wait": {"progressDeadlineSeconds": 20}})
}

pub(super) fn no_hooks(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let gated = Gated::external(world, &database)?.installed()?;
    let traffic = Traffic::start(world)?;
    let rollout = gated.rollout_with(Build::Next, &impatient()).within(45);
    // Helm 3 knows that time is up; Helm 4 what the Deployment says.
    let reason =
        if world.engine == Engine::Helm3 { "deadline exceeded" } else { "rogress deadline exceeded" };
    let outcome = world.roll(&rollout.clone().with("--no-hooks"))?.expect_failure(&[reason])?;
    gated.expect_blocked(Build::Next)?;
    expect_named(&gated)?;
    let rollout = rollout.within(180);
    let next = world.roll(&rollout)?;
    ensure!(database.applied()? == FIRST + 1, "{} are applied", database.applied()?);
    // The blocked pod starts by itself. Helm 4 does not wait for that: it reads that progress has ended, as it had before.
    until("the blocked pod to start", Duration::from_mins(2), || {
        let status = &gated.deployment()?["status"];
        let is_done = ["replicas", "updatedReplicas", "readyReplicas"].iter().all(|count| status[count] == 1);
        Ok(is_done.then_some(()))
    })?;
    if world.engine == Engine::Helm4 {
        next.expect_failure(&[reason])?;
        world.roll(&rollout)?.expect_success()?;
    } else {
        next.expect_success()?;
    }
    let served = traffic.expect_no_failure()?;
    Ok(format!("failed after {:.1} s; {served} requests, none failed", outcome.took.as_secs_f64()))
}

/// The blocked pod's log and its description name what is missing.
fn expect_named(gated: &Gated) -> Result<()> {
    let world = gated.world;
    let pods = world.list("pods", "app.kubernetes.io/name=corveil-chart")?;
    let is_new = |pod: &&Value| {
        let image = pod.pointer("/spec/containers/0/image").and_then(Value::as_str);
        image.is_some_and(|image| image.ends_with(Build::Next.tag()))
    };
    let pod = pods.iter().find(is_new).context("there is no blocked pod")?;
    let name = pod["metadata"]["name"].as_str().context("a pod has a name")?;
    let log = world.kubectl(&["logs", name, "--container=wait-for-db"])?;
    ensure!(log.contains(ADDED), "the log does not name what is missing: {log}");
    // Once its first container has ended to be seen.
    until("`kubectl describe` to name what is missing", Duration::from_secs(40), || {
        Ok(world.kubectl(&["describe", "pod", name])?.contains(ADDED).then_some(()))
    })
}

pub(super) fn job_deleted(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let gated = Gated::external(world, &database)?.installed()?;
    let traffic = Traffic::start(world)?;
    let rollout = gated.rollout_with(Build::Slow, &impatient()).within(45);
    let outcome: Outcome = thread::scope(|scope| {
        let upgrade = scope.spawn(|| world.roll(&rollout));
        in_mid_migration(&database)?;
        world.kubectl(&["delete", "job", JOB])?;
        upgrade.join().ok().context("the upgrade's thread panicked")?
    })?;
    outcome.expect_failure(&[])?;
    gated.expect_blocked(Build::Slow)?;
    ensure!(database.applied()? == FIRST, "{} are applied", database.applied()?);
    let rolled = gated.deployment()?.pointer("/spec/template/spec/containers/0/image").cloned();
    let was_skipped =
        rolled.as_ref().and_then(Value::as_str).is_some_and(|image| image.ends_with(Build::Slow.tag()));
    world.roll(&gated.rollout(Build::Next))?.expect_success()?;
    let served = traffic.expect_no_failure()?;
    let what = if was_skipped { "the engine went on, the pods did not" } else { "the engine noticed" };
    Ok(format!("{what}; {served} requests, none failed"))
}

pub(super) fn stale_job(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let gated = Gated::external(world, &database)?.installed()?;
    let traffic = Traffic::start(world)?;
    leave_stale_job(&gated)?;
    let rollout = gated.rollout_with(Build::Next, &impatient()).within(30);
    let outcome = world.roll(&rollout)?;
    gated.expect_blocked(Build::Next)?;
    let end = if outcome.success { "succeeded" } else { "failed" };
    world.kubectl(&[
        "patch",
        "job",
        JOB,
        "--type=merge",
        "--patch",
        r#"{"metadata":{"finalizers":null}}"#,
    ])?;
    until("the stale Job to go", Duration::from_secs(30), || {
        let job = world.get("job", JOB)?;
        let is_held = |job: &Value| job["metadata"]["finalizers"].is_array();
        Ok((!job.as_ref().is_some_and(is_held)).then_some(()))
    })?;
    world.roll(&gated.rollout(Build::Next))?.expect_success()?;
    ensure!(database.applied()? == FIRST + 1, "{} are applied", database.applied()?);
    let served = traffic.expect_no_failure()?;
    Ok(format!("the engine {end}, no new pod was ready; {served} requests, none failed"))
}

/// The first build's Job as the chart renders it, completed, and held when it is deleted.
fn leave_stale_job(gated: &Gated) -> Result<()> {
    let world = gated.world;
    let (helm, chart) = (world.stage.helm(world.engine), &world.stage.chart);
    let values = world.folder.join(format!("{}-values.json", Build::First.tag()));
    let tag = format!("image.tag={}", Build::First.tag());
    let (chart, values) = (chart.to_string_lossy(), values.to_string_lossy());
    let template = ["template", RELEASE, &chart, "--is-upgrade", "--values", &values, "--set", &tag];
    let text = world.run(world.program(helm, &template))?.expect_success()?.text;
    for mut object in objects::parse(&text)? {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        // The Job, and the Secret that it reads.
        if name == JOB || name == format!("{APP}-migrate-copy") {
            if name == JOB {
                object["metadata"]["finalizers"] = json!(["corveil.example/held"]);
            }
            world.apply(&object)?;
        }
    }
    world.kubectl(&["wait", "--for=condition=Complete", "job", JOB, "--timeout=60s"]).map(drop)
}

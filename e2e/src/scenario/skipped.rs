//! Ways around the hook. The hook is not the only gate: the pods wait for the migrations too, so a skipped hook only blocks
//! the rollout.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::builds::{ADDED, Build, FIRST};
use crate::database::Database;
use crate::engine::{APP, Engine, JOB, RELEASE};
use crate::rollout::Rollout;
use crate::scenario::disturbed::in_mid_migration;
use crate::scenario::{APP_PODS, Gated};
use crate::traffic::Traffic;
use crate::wait::until;
use crate::watch::is_of;
use crate::world::{Outcome, World};
use xtask::project::objects;
use xtask::tools::Tool;

/// Makes Kubernetes report early that a rollout makes no progress.
pub(crate) fn impatient() -> Value {
    json!({"wait": {"progressDeadlineSeconds": 20}})
}

pub(crate) fn no_hooks(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let gated = Gated::external(world, &database)?.installed()?;
    let traffic = Traffic::start(world)?;
    let rollout = gated.rollout_with(Build::Next, &impatient()).within(45);
    // Helm 3 reports its timeout; Helm 4 reports the condition of the Deployment.
    let reason =
        if world.engine == Engine::Helm3 { "deadline exceeded" } else { "rogress deadline exceeded" };
    // Helmfile's flag of this name concerns its output, not what Helm runs.
    let skip = if world.engine == Engine::Helmfile { "--sync-args=--no-hooks" } else { "--no-hooks" };
    let outcome = world.roll(&rollout.with(skip))?.expect_failure(&[reason])?;
    gated.expect_blocked(Build::Next)?;
    expect_named(&gated)?;
    // With the chart's default deadline, which is a difference for Helmfile.
    recover(&gated, &database, &gated.rollout(Build::Next))?;
    let served = gated.expect_served(&traffic, Build::Next)?;
    Ok(format!("failed after {:.1} s; {served} requests, none failed", outcome.took.as_secs_f64()))
}

/// The next upgrade migrates, and the blocked pod starts by itself. Helm 4 may not wait for that: it still reads the old
/// condition that progress has stopped. Then the upgrade after that succeeds.
fn recover(gated: &Gated, database: &Database, rollout: &Rollout) -> Result<()> {
    let world = gated.world;
    let outcome = world.roll(rollout)?;
    ensure!(database.applied()? == FIRST + 1, "{} are applied", database.applied()?);
    until("the new pod to start", Duration::from_mins(2), || {
        let status = &gated.deployment()?["status"];
        let is_done = ["replicas", "updatedReplicas", "readyReplicas"].iter().all(|count| status[count] == 1);
        Ok(is_done.then_some(()))
    })?;
    if world.engine.helm() == Tool::Helm4 && !outcome.success {
        outcome.expect_failure(&["Progress deadline exceeded"])?;
        let mut again = rollout.clone();
        if world.engine == Engine::Helmfile {
            // All objects are written already, and `helmfile apply` rolls out only differences.
            again = again.with("--set=podAnnotations.again=yes");
        }
        return world.roll(&again)?.expect_success().map(drop);
    }
    outcome.expect_success().map(drop)
}

/// Fails unless the blocked pod's log and its description name the missing migration.
pub(crate) fn expect_named(gated: &Gated) -> Result<()> {
    let world = gated.world;
    let pods = world.list("pods", APP_PODS)?;
    let pod = pods.iter().find(|pod| is_of(pod, Build::Next)).context("there is no blocked pod")?;
    let name = pod["metadata"]["name"].as_str().context("a pod has a name")?;
    let log = world.kubectl(&["logs", name, "--container=wait-for-db"])?;
    ensure!(log.contains(ADDED), "the log does not name what is missing: {log}");
    // Its termination message is there once its first container has ended.
    until("`kubectl describe` to name what is missing", Duration::from_secs(40), || {
        Ok(world.kubectl(&["describe", "pod", name])?.contains(ADDED).then_some(()))
    })
}

pub(crate) fn job_deleted(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let gated = Gated::external(world, &database)?.installed()?;
    let traffic = Traffic::start(world)?;
    let rollout = gated.rollout_with(Build::Slow, &impatient()).within(45);
    let outcome: Outcome = thread::scope(|scope| {
        let upgrade = scope.spawn(|| world.roll(&rollout));
        in_mid_migration(&database)?;
        world.kubectl(&["delete", "job", JOB, "--timeout=60s"])?;
        upgrade.join().ok().context("the upgrade's thread panicked")?
    })?;
    outcome.expect_failure(&[])?;
    gated.expect_blocked(Build::Slow)?;
    ensure!(database.applied()? == FIRST, "{} are applied", database.applied()?);
    let was_skipped = is_of(&gated.deployment()?, Build::Slow);
    world.roll(&gated.rollout(Build::Next))?.expect_success()?;
    let served = gated.expect_served(&traffic, Build::Next)?;
    let what = if was_skipped { "the engine continued, the pods did not" } else { "the engine noticed" };
    Ok(format!("{what}; {served} requests, none failed"))
}

pub(crate) fn stale_job(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let gated = Gated::external(world, &database)?.installed()?;
    let traffic = Traffic::start(world)?;
    let held = Held::leave(&gated)?;
    let mut rollout = gated.rollout_with(Build::Next, &impatient()).within(30);
    if world.engine == Engine::Helm4 {
        // The only wait mode of Helm 4 that does not inspect objects that are being deleted.
        rollout = rollout.with("--wait=hookOnly");
    }
    let outcome = world.roll(&rollout)?;
    held.expect_in_the_way()?;
    let was_rolled = is_of(&gated.deployment()?, Build::Next);
    if was_rolled {
        expect_named(&gated)?;
    }
    gated.expect_blocked(Build::Next)?;
    ensure!(database.applied()? == FIRST, "{} are applied", database.applied()?);
    held.let_go()?;
    until("the stale Job to go", Duration::from_mins(1), || {
        Ok(world.get("job", JOB)?.is_none().then_some(()))
    })?;

    recover(&gated, &database, &gated.rollout(Build::Next))?;
    let served = gated.expect_served(&traffic, Build::Next)?;
    let end = if outcome.success { "succeeded" } else { "failed" };
    let rolled = if was_rolled { "the pods did not start" } else { "nothing was rolled" };
    Ok(format!("the engine {end}, {rolled}; {served} requests, none failed"))
}

/// A completed Job of the build that is rolled out next. A finalizer keeps it when it is deleted.
struct Held<'a> {
    world: &'a World<'a>,
    uid: String,
}

impl<'a> Held<'a> {
    /// Creates the Job as the chart renders it, but for another database: it migrates that one, and not the app's.
    fn leave(gated: &Gated<'a>) -> Result<Self> {
        let world = gated.world;
        let other = Database::create_other(world)?;
        let (helm, chart) = (world.stage.helm(world.engine), world.stage.chart.to_string_lossy());
        let values = gated.rollout_with(Build::Next, &impatient()).values_file(world)?;
        let tag = format!("image.tag={}", Build::Next.tag());
        let values = values.to_string_lossy();
        let template = ["template", RELEASE, &chart, "--is-upgrade", "--values", &values, "--set", &tag];
        let namespace = ["--namespace", &world.namespace];
        let text =
            world.run(world.program(helm, &[&template[..], &namespace].concat()))?.expect_success()?.text;
        for mut object in objects::parse(&text)? {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            if name == format!("{APP}-migrate-copy") {
                object["stringData"]["DATABASE_URL"] = json!(other.url());
            } else if name == JOB {
                object["metadata"]["finalizers"] = json!(["corveil.example/held"]);
            } else {
                continue;
            }
            world.apply(&object)?;
        }
        let stale = Self { world, uid: uid(world)? };
        world.kubectl(&["wait", "--for=condition=Complete", "job", JOB, "--timeout=60s"])?;
        Ok(stale)
    }

    /// Fails unless the engine deleted the Job and it still exists.
    fn expect_in_the_way(&self) -> Result<()> {
        let job = self.world.get("job", JOB)?.context("the stale Job is gone")?;
        ensure!(uid(self.world)? == self.uid, "it is another Job");
        ensure!(job["metadata"]["deletionTimestamp"].is_string(), "the engine did not delete the Job");
        Ok(())
    }

    fn let_go(&self) -> Result<()> {
        let patch = r#"{"metadata":{"finalizers":null}}"#;
        self.world.kubectl(&["patch", "job", JOB, "--type=merge", "--patch", patch]).map(drop)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Its finalizer would keep the namespace for ever. The Job may be gone already.
        let _ = self.let_go();
    }
}

fn uid(world: &World) -> Result<String> {
    world.kubectl(&["get", "job", JOB, "--output=jsonpath={.metadata.uid}"])
}

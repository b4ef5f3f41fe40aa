//! A running migration that is ended from outside.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::builds::{ADDED, Build, FIRST};
use crate::database::Database;
use crate::engine::JOB;
use crate::scenario::{Gated, expect_untouched};
use crate::traffic::Traffic;
use crate::wait::until;
use crate::watch::Event;
use crate::world::{Outcome, World};

pub(crate) fn deadline(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let gated = Gated::external(world, &database)?.installed()?;
    let (before, schema) = (gated.deployment()?, database.schema()?);
    // The program ends itself 20 s before the deadline of its Job: after 30 s here.
    let bounds = json!({"migrate": {
        "waitForDb": "10s", "lockWait": "10s", "activeDeadlineSeconds": 50, "backoffLimit": 0,
    }});
    let rollout = gated.rollout_with(Build::Endless, &bounds);
    let outcome = world.roll(&rollout)?.expect_failure(&[ADDED, "stopped by its deadline of 30s"])?;
    ensure!(gated.exit_codes(Build::Endless)? == [75], "{:?}", gated.exit_codes(Build::Endless)?);
    ensure!(database.running("pg_sleep")? == 0, "the statement still runs on the server");
    ensure!(database.schema()? == schema, "the schema was changed");
    expect_untouched(&before, &gated.deployment()?)?;
    gated.expect_no_pod(Build::Endless)?;
    Ok(format!("failed after {:.1} s", outcome.took.as_secs_f64()))
}

pub(crate) fn pod_deleted(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let gated = Gated::external(world, &database)?.installed()?;
    let traffic = Traffic::start(world)?;
    let rollout = gated.rollout(Build::Slow);
    let outcome: Outcome = thread::scope(|scope| {
        let upgrade = scope.spawn(|| world.roll(&rollout));
        in_mid_migration(&database)?;
        let pod = world.list("pods", &format!("job-name={JOB}"))?;
        let name = pod.first().and_then(|pod| pod["metadata"]["name"].as_str()).context("the Job's pod")?;
        world.kubectl(&["delete", "pod", name, "--timeout=60s"])?;
        upgrade.join().ok().context("the upgrade's thread panicked")?
    })?;
    outcome.expect_success()?;
    gated.expect_job_before_pods(Build::Slow)?;
    ensure!(database.applied()? == FIRST + 1, "{} are applied", database.applied()?);
    let pods = gated.pods.events()?;
    let migrating = pods.iter().filter(|pod| pod.is_migration(Build::Slow));
    let mut names: Vec<_> = migrating.map(Event::name).collect();
    names.sort_unstable();
    names.dedup();
    ensure!(names.len() == 2, "the Job should have created 2 pods, and created {}", names.len());
    let served = gated.expect_served(&traffic, Build::Slow)?;
    Ok(format!("applied once, by the second pod; {served} requests, none failed"))
}

/// Waits until the server runs the migration's statement.
pub(crate) fn in_mid_migration(database: &Database) -> Result<()> {
    until("the migration to run", Duration::from_mins(1), || {
        Ok((database.running("pg_sleep")? > 0).then_some(()))
    })
}

//! Outages that pass and outages that do not: a database that is down, a lock that is held.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::builds::{Build, FIRST};
use crate::database::{self, Database};
use crate::engine::JOB;
use crate::scenario::{Gated, expect_untouched};
use crate::wait::until;
use crate::world::{Outcome, World};

/// A short wait for these scenarios; in production the chart's defaults apply.
const SHORT: &str = "8s";

pub(crate) fn database_returns(world: &World) -> Result<String> {
    database::own_server(world)?;
    let database = Database::create_on(world, &world.namespace)?;
    let gated = Gated::external(world, &database)?.installed()?;
    database::stop(world)?;
    let outcome = meanwhile(&gated, "Connection refused", || database::start(world))?.expect_success()?;
    ensure!(database.applied()? == FIRST + 1, "{} are applied", database.applied()?);
    gated.expect_job_before_pods(Build::Next)?;
    Ok(format!("upgraded in {:.1} s", outcome.took.as_secs_f64()))
}

pub(crate) fn database_gone(world: &World) -> Result<String> {
    database::own_server(world)?;
    let database = Database::create_on(world, &world.namespace)?;
    let gated = Gated::external(world, &database)?.installed()?;
    let before = gated.deployment()?;
    database::stop(world)?;
    let short = json!({"migrate": {"waitForDb": SHORT}});
    let rollout = gated.rollout_with(Build::Next, &short);
    let outcome = world
        .roll(&rollout)?
        .expect_failure(&["could not be used within 8s: Connection refused", "hint: "])?;
    expect_tried_twice(&gated)?;
    expect_untouched(&before, &gated.deployment()?)?;
    gated.expect_no_pod(Build::Next)?;
    database::start(world)?;
    database::ready(world, &world.namespace)?;
    ensure!(database.applied()? == FIRST, "{} are applied", database.applied()?);
    Ok(format!("two tries, failed after {:.1} s", outcome.took.as_secs_f64()))
}

pub(crate) fn lock_released(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let gated = Gated::external(world, &database)?.installed()?;
    let held = database.hold_lock()?;
    let outcome = meanwhile(&gated, "waiting for the migration lock", || {
        drop(held);
        Ok(())
    })?;
    outcome.expect_success()?;
    ensure!(database.applied()? == FIRST + 1, "{} are applied", database.applied()?);
    gated.expect_job_before_pods(Build::Next)?;
    Ok("waited, then migrated".into())
}

pub(crate) fn lock_kept(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let gated = Gated::external(world, &database)?.installed()?;
    let before = gated.deployment()?;
    let held = database.hold_lock()?;
    let short = json!({"migrate": {"lockWait": SHORT}});
    let rollout = gated.rollout_with(Build::Next, &short);
    let outcome =
        world.roll(&rollout)?.expect_failure(&["the migration lock was not obtained within 8s", "psql"])?;
    expect_tried_twice(&gated)?;
    expect_untouched(&before, &gated.deployment()?)?;
    gated.expect_no_pod(Build::Next)?;
    drop(held);
    world.roll(&rollout)?.expect_success()?;
    gated.expect_job_before_pods(Build::Next)?;
    ensure!(database.applied()? == FIRST + 1, "{} are applied", database.applied()?);
    gated.expect_no_difference(&rollout)?;
    Ok(format!(
        "two tries, failed after {:.1} s; upgraded once the lock was free",
        outcome.took.as_secs_f64()
    ))
}

/// Exit code 75 is not permanent: the Job creates a second pod, and no third one.
fn expect_tried_twice(gated: &Gated) -> Result<()> {
    let codes = gated.exit_codes(Build::Next)?;
    ensure!(codes == [75, 75], "the migration's pods ended with {codes:?}");
    Ok(())
}

/// Rolls out the next build, and calls `act` once the Job logs that it waits.
fn meanwhile(gated: &Gated, waits: &str, act: impl FnOnce() -> Result<()>) -> Result<Outcome> {
    let world = gated.world;
    thread::scope(|scope| {
        let rollout = gated.rollout(Build::Next);
        let upgrade = scope.spawn(move || world.roll(&rollout));
        until(&format!("the Job to wait: `{waits}`"), Duration::from_mins(1), || {
            let log = world.kubectl(&["logs", &format!("job/{JOB}"), "--tail=-1"]).unwrap_or_default();
            Ok(log.contains(waits).then_some(()))
        })?;
        act()?;
        upgrade.join().ok().context("the upgrade's thread panicked")?
    })
}

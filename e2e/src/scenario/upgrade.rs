//! The two main guarantees: a new migration gates the rollout, and a broken one stops it cleanly.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::builds::{ADDED, Build, CAUSE, FIRST};
use crate::database::Database;
use crate::scenario::{Gated, UPGRADES, expect_untouched};
use crate::traffic::Traffic;
use crate::watch::Event;
use crate::world::World;

pub(crate) fn next(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let gated = Gated::external(world, &database)?.installed()?;
    let seen = roll_to_next(&gated)?;
    ensure!(database.applied()? == FIRST + 1, "{} are applied", database.applied()?);
    Ok(seen)
}

pub(crate) fn next_bundled(world: &World) -> Result<String> {
    roll_to_next(&Gated::bundled(world)?.installed()?)
}

fn roll_to_next(gated: &Gated) -> Result<String> {
    let traffic = Traffic::start(gated.world)?;
    gated.world.roll(&gated.rollout(Build::Next))?.expect_success()?;
    gated.expect_job_before_pods(Build::Next)?;
    let served = gated.expect_served(&traffic, Build::Next)?;
    gated.expect_second_apply_without_diff(Build::Next)?;
    let events = gated.pods.events()?;
    let end = migration_end(&events).context("a migration pod that ended has a time")?;
    let start = first_pod(&events).context("a pod has a time of creation")?;
    Ok(format!("Job ended {end}, first new pod {start}; {served} requests, none failed"))
}

fn migration_end(events: &[Event]) -> Option<&str> {
    let ended =
        events.iter().find(|event| event.is_migration(Build::Next) && event.exit_code() == Some(0))?;
    time(ended, "/status/containerStatuses/0/state/terminated/finishedAt")
}

fn first_pod(events: &[Event]) -> Option<&str> {
    time(events.iter().find(|event| event.is_app(Build::Next))?, "/metadata/creationTimestamp")
}

/// The time of day, to the second, from a time stamp of Kubernetes.
fn time<'a>(event: &'a Event, pointer: &str) -> Option<&'a str> {
    event.object.pointer(pointer).and_then(Value::as_str)?.get(11..19)
}

pub(crate) fn broken_then_fixed(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let gated = Gated::external(world, &database)?.installed()?;
    let traffic = Traffic::start(world)?;
    let (before, schema) = (gated.deployment()?, database.schema()?);

    let outcome = world.roll(&gated.rollout(Build::Broken))?.expect_failure(&[CAUSE, ADDED])?;
    ensure!(world.release_status()? == "failed", "the release is {}", world.release_status()?);
    expect_untouched(&before, &gated.deployment()?)?;
    gated.expect_no_pod(Build::Broken)?;
    ensure!(database.schema()? == schema, "the schema was changed");
    ensure!(gated.exit_codes(Build::Broken)? == [3], "{:?}", gated.exit_codes(Build::Broken)?);
    traffic.expect_no_failure()?;

    world.roll(&gated.rollout(Build::Next))?.expect_success()?;
    gated.expect_job_before_pods(Build::Next)?;
    ensure!(world.release_status()? == "deployed", "the release is {}", world.release_status()?);
    ensure!(database.applied()? == FIRST + 1, "{} are applied", database.applied()?);
    let served = gated.expect_served(&traffic, Build::Next)?;
    gated.expect_second_apply_without_diff(Build::Next)?;
    Ok(format!("failed after {:.1} s; {served} requests, none failed", outcome.took.as_secs_f64()))
}

/// helm-diff compares with the last revision, even one that failed. So the second try would find nothing to do, and succeed.
pub(crate) fn broken_repeated(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let gated = Gated::external(world, &database)?.installed()?;
    let (before, schema) = (gated.deployment()?, database.schema()?);
    for _ in 0..2 {
        world.roll(&gated.rollout(Build::Broken))?.expect_failure(&[UPGRADES, CAUSE, ADDED])?;
        ensure!(world.release_status()? == "failed", "the release is {}", world.release_status()?);
        expect_untouched(&before, &gated.deployment()?)?;
    }
    gated.expect_no_pod(Build::Broken)?;
    ensure!(database.schema()? == schema, "the schema was changed");
    ensure!(gated.exit_codes(Build::Broken)? == [3, 3], "{:?}", gated.exit_codes(Build::Broken)?);

    world.roll(&gated.rollout(Build::Next))?.expect_success()?;
    gated.expect_job_before_pods(Build::Next)?;
    ensure!(database.applied()? == FIRST + 1, "{} are applied", database.applied()?);
    gated.expect_second_apply_without_diff(Build::Next)?;
    Ok("failed twice, then recovered".into())
}

/// All objects were written when it failed, so nothing differs.
pub(crate) fn rollout_repeated(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let gated = Gated::external(world, &database)?.installed()?;
    let late = json!({"extraEnv": [
        {"name": "LATE", "valueFrom": {"secretKeyRef": {"name": "late", "key": "late"}}},
    ]});
    let rollout = gated.rollout_with(Build::Next, &late);
    world.roll(&rollout.clone().with("--timeout=30"))?.expect_failure(&[])?;
    ensure!(database.applied()? == FIRST + 1, "{} are applied", database.applied()?);
    world.roll(&rollout)?.expect_failure(&["the last revision of `corveil` is `failed`", "helmfile sync"])?;
    gated.expect_blocked(Build::Next)?;

    world.secret("late", &json!({"late": "here"}))?;
    world.roll(&rollout.clone().by_sync())?.expect_success()?;
    ensure!(world.release_status()? == "deployed", "the release is {}", world.release_status()?);
    gated.expect_no_difference(&rollout)?;
    Ok("failed twice, then recovered".into())
}

//! Rolls back to the previous build on the newer schema.

use anyhow::{Result, ensure};

use crate::builds::{Build, FIRST};
use crate::database::Database;
use crate::engine::{APP, Engine};
use crate::scenario::Gated;
use crate::traffic::Traffic;
use crate::watch::is_of;
use crate::world::World;

pub(crate) fn run(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let gated = Gated::external(world, &database)?.installed()?;
    let traffic = Traffic::start(world)?;
    world.roll(&gated.rollout(Build::Next))?.expect_success()?;

    let deployment = format!("deployment/{APP}");
    world.kubectl(&["rollout", "undo", &deployment])?;
    world.kubectl(&["rollout", "status", &deployment, "--timeout=120s"])?;
    expect_running(&gated, Build::First)?;

    roll_on(&gated)?;
    expect_running(&gated, Build::Next)?;
    let jobs = gated.jobs_so_far()?;
    world.helm(&["rollback", world.release(), "1", "--wait", "--timeout", "120s"])?.expect_success()?;
    expect_running(&gated, Build::First)?;
    ensure!(gated.jobs_so_far()? == jobs, "the rollback ran a Job, although it has nothing to migrate");

    ensure!(database.applied()? == FIRST + 1, "the schema was changed");
    let served = gated.expect_served(&traffic, Build::First)?;
    Ok(format!("{served} requests, none failed"))
}

/// Helm 4 uses server-side apply, and does not overwrite what kubectl wrote meanwhile without `--force-conflicts`.
fn roll_on(gated: &Gated) -> Result<()> {
    let (world, next) = (gated.world, gated.rollout(Build::Next));
    if world.engine == Engine::Helm3 {
        return world.roll(&next)?.expect_success().map(drop);
    }
    world.roll(&next)?.expect_failure(&["conflict occurred", "\"kubectl\""])?;
    world.roll(&next.with("--force-conflicts"))?.expect_success().map(drop)
}

pub(crate) fn expect_running(gated: &Gated, build: Build) -> Result<()> {
    let deployment = gated.deployment()?;
    ensure!(is_of(&deployment, build), "{} is not rolled out", build.tag());
    ensure!(deployment["status"]["readyReplicas"] == 1, "no pod of the build is ready");
    Ok(())
}

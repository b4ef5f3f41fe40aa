//! Upgrades two releases on one database, such as those of two regions, at the same time.

use std::thread;

use anyhow::{Context, Result, ensure};

use crate::builds::{Build, FIRST};
use crate::database::Database;
use crate::scenario::Gated;
use crate::world::World;

pub(crate) fn run(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let other = World::begin(world.stage, "two-releases-b", world.engine)?;
    let gated =
        [Gated::external(world, &database)?.installed()?, Gated::external(&other, &database)?.installed()?];
    thread::scope(|scope| {
        let upgrades = gated.each_ref().map(|gated| {
            let rollout = gated.rollout(Build::Slow);
            let world = gated.world;
            scope.spawn(move || world.roll(&rollout)?.expect_success())
        });
        for upgrade in upgrades {
            upgrade.join().ok().context("an upgrade's thread panicked")??;
        }
        anyhow::Ok(())
    })?;
    for gated in &gated {
        gated.expect_job_before_pods(Build::Slow)?;
    }
    ensure!(database.applied()? == FIRST + 1, "{} are applied", database.applied()?);
    let runs = database.query("SELECT count(*) FROM _corveil_runs WHERE outcome = 'succeeded'")?;
    ensure!(
        runs.trim() == "2",
        "two runs should have applied migrations: the first install and one upgrade, not {runs}"
    );
    other.abandon()?;
    Ok("one of the two upgrades applied the migration".into())
}

//! A commit with a new migration.

use anyhow::{Result, ensure};

use crate::builds::{Build, FIRST};
use crate::database::Database;
use crate::scenario::argocd::{FIRST_SYNC, Followed, seconds};
use crate::traffic::Traffic;
use crate::world::World;

pub(crate) fn run(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let followed = Followed::external(world, &database)?.installed()?;
    let traffic = Traffic::start(world)?;
    let next = followed.roll(Build::Next)?;
    let took = followed.application.live(&next, FIRST_SYNC)?;
    followed.gated.expect_job_before_pods(Build::Next)?;
    ensure!(database.applied()? == FIRST + 1, "{} are applied", database.applied()?);
    let served = traffic.expect_no_failure()?;
    followed.end(&[])?;
    Ok(format!("live {} after the commit; {served} requests, none failed", seconds(took)))
}

//! The first sync, with each kind of database.

use anyhow::{Result, ensure};

use crate::builds::{Build, FIRST};
use crate::database::Database;
use crate::scenario::argocd::{Followed, seconds};
use crate::world::World;

pub(crate) fn external(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let followed = Followed::external(world, &database)?;
    let took = followed.install()?;
    followed.gated.expect_job_before_pods(Build::First)?;
    ensure!(database.applied()? == FIRST, "{} are applied", database.applied()?);
    followed.end(&[])?;
    Ok(format!("live {} after the commit", seconds(took)))
}

pub(crate) fn bundled(world: &World) -> Result<String> {
    let followed = Followed::bundled(world)?;
    let took = followed.install()?;
    followed.gated.expect_job_before_pods(Build::First)?;
    // The claim belongs to the `StatefulSet`, which keeps it.
    followed.end(&["PersistentVolumeClaim"])?;
    Ok(format!("live {} after the commit; the volume stays", seconds(took)))
}

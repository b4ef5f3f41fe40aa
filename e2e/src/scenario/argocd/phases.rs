//! Each phase of the chart with each kind of database: a first sync, a broken migration, and the fix.

use anyhow::Result;
use serde_json::{Value, json};

use crate::builds::Build;
use crate::database::Database;
use crate::scenario::argocd::{FIRST_SYNC, Followed, seconds};
use crate::scenario::expect_untouched;
use crate::traffic::Traffic;
use crate::world::World;

/// A `StatefulSet` keeps its claim.
const VOLUME: &[&str] = &["PersistentVolumeClaim"];

fn phase(name: &str) -> Value {
    json!({"migrate": {"argocd": {"phase": name}}})
}

/// Here the chart creates the Secrets. They do not exist yet during PreSync, so the chart copies them for the Job.
pub(crate) fn presync(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let mut followed = Followed::external(world, &database)?;
    let own = json!({"existingSecret": "", "migrate": {"database": {"existingSecret": ""}}});
    let helm = json!({"valuesObject": own});
    followed.application = followed.application.with(json!({"spec": {"source": {"helm": helm}}}));
    let url = json!({"externalDatabase": {"url": database.url()}});
    go(followed.with_values(phase("PreSync")).with_values(url), &[])
}

pub(crate) fn sync(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    go(Followed::external(world, &database)?.with_values(phase("Sync")), &[])
}

pub(crate) fn wave(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    go(Followed::external(world, &database)?.with_values(phase("Wave")), &[])
}

pub(crate) fn sync_bundled(world: &World) -> Result<String> {
    go(Followed::bundled(world)?, VOLUME)
}

pub(crate) fn wave_bundled(world: &World) -> Result<String> {
    go(Followed::bundled(world)?.with_values(phase("Wave")), VOLUME)
}

/// Runs the syncs of one phase. The assertions are the same in every phase.
pub(crate) fn go(followed: Followed, left: &[&str]) -> Result<String> {
    let first = followed.install()?;
    followed.gated.expect_job_before_pods(Build::First)?;
    let traffic = Traffic::start(followed.gated.world)?;
    let before = followed.gated.deployment()?;

    let broken = followed.roll(Build::Broken)?;
    followed.application.retried(&broken, 1, FIRST_SYNC)?;
    let failed = broken.at.elapsed()?;
    let health = followed.application.now()?["status"]["health"]["status"].clone();
    expect_untouched(&before, &followed.gated.deployment()?)?;
    followed.gated.expect_no_pod(Build::Broken)?;

    let next = followed.roll(Build::Next)?;
    let fixed = followed.application.live(&next, FIRST_SYNC)?;
    followed.gated.expect_job_before_pods(Build::Next)?;
    let served = traffic.expect_no_failure()?;
    let runs = followed.gated.exit_codes(Build::Broken)?.len();
    followed.end(left)?;
    Ok(format!(
        "first live after {}, broken failed after {} with the application {}, fix live after {}, when the broken one had run {runs} times; {served} requests, none failed",
        seconds(first),
        seconds(failed),
        health.as_str().unwrap_or("of no health"),
        seconds(fixed)
    ))
}

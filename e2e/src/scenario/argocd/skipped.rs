//! Syncs that skip every hook. The pods wait for the migrations too, so a skipped hook only blocks the rollout.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::builds::{Build, FIRST};
use crate::database::Database;
use crate::engine::APP;
use crate::scenario::argocd::{FIRST_SYNC, Followed, seconds};
use crate::scenario::skipped::{expect_named, impatient};
use crate::traffic::Traffic;
use crate::wait::until;
use crate::world::World;
use xtask::project::released;

pub(crate) fn selective(world: &World) -> Result<String> {
    skip(world, &["--resource", &format!("apps:Deployment:{APP}")])
}

pub(crate) fn apply(world: &World) -> Result<String> {
    skip(world, &["--strategy", "apply"])
}

/// A user syncs by hand, with an option that skips hooks.
fn skip(world: &World, option: &[&str]) -> Result<String> {
    let database = Database::create(world)?;
    let followed = Followed::external(world, &database)?.with_values(impatient()).installed()?;
    let application = &followed.application;
    let traffic = Traffic::start(world)?;
    application.automate(false)?;
    let jobs = followed.gated.jobs_so_far()?;
    let next = followed.roll(Build::Next)?;
    world.argocd(&[&["app", "sync", &application.name, "--async"], option].concat())?.expect_success()?;
    application.until("the rollout to make no progress", FIRST_SYNC, |now| {
        (now["status"]["health"]["status"] == "Degraded").then_some(())
    })?;
    let noticed = next.at.elapsed()?;
    ensure!(followed.gated.jobs_so_far()? == jobs, "the Job ran: nothing was skipped");
    followed.gated.expect_blocked(Build::Next)?;
    // The init container logs it after it has waited for a while.
    until("the blocked pod to name what is missing", Duration::from_mins(1), || {
        Ok(expect_named(&followed.gated).ok())
    })?;
    ensure!(database.applied()? == FIRST, "{} are applied", database.applied()?);

    world.argocd(&["app", "sync", &application.name, "--timeout", "120"])?.expect_success()?;
    application.live(&next, FIRST_SYNC)?;
    ensure!(database.applied()? == FIRST + 1, "{} are applied", database.applied()?);
    let served = traffic.expect_no_failure()?;
    followed.end(&[])?;
    Ok(format!("Degraded after {}, no new pod was ready; {served} requests, none failed", seconds(noticed)))
}

/// A user changes the live object. Argo CD reverts it without a hook, as no migration is pending. Until then the pods of the
/// unmigrated image wait.
pub(crate) fn self_heal(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let followed = Followed::external(world, &database)?.installed()?;
    let application = &followed.application;
    let traffic = Traffic::start(world)?;
    let image = format!("{}:{}", released::current().repository(), Build::Next.tag());
    let mut took = Vec::new();
    // First in all containers. Then only in the app's: the init container keeps the old build and finds its migrations
    // applied.
    for container in ["*", "corveil-chart"] {
        let jobs = followed.gated.jobs_so_far()?;
        let generation = followed.gated.deployment()?["metadata"]["generation"].as_u64();
        let start = std::time::SystemTime::now();
        world.kubectl(&["set", "image", &format!("deployment/{APP}"), &format!("{container}={image}")])?;
        application.until("self-heal", FIRST_SYNC, |_| {
            let now = followed.gated.deployment().ok()?;
            let containers = now.pointer("/spec/template/spec/containers/0/image")?.as_str()?;
            let is_back = containers.ends_with(Build::First.tag());
            // Once by hand, once by Argo CD.
            (is_back && now["metadata"]["generation"].as_u64() >= generation.map(|before| before + 2))
                .then_some(())
        })?;
        took.push(seconds(start.elapsed()?));
        application.until("health", FIRST_SYNC, |now| {
            let status = &now["status"];
            (status["health"]["status"] == "Healthy" && status["sync"]["status"] == "Synced").then_some(())
        })?;
        followed.gated.expect_blocked(Build::Next)?;
        ensure!(followed.gated.jobs_so_far()? == jobs, "self-heal ran the Job");
    }
    ensure!(database.applied()? == FIRST, "{} are applied", database.applied()?);
    let served = traffic.expect_no_failure()?;
    followed.end(&[])?;
    Ok(format!("reverted after {}; {served} requests, none failed", took.join(" and ")))
}

//! Moves one release from `helm upgrade` to Argo CD and back.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::builds::{Build, FIRST};
use crate::database::Database;
use crate::engine::Engine;
use crate::scenario::argocd::{FIRST_SYNC, Followed, seconds};
use crate::scenario::rollback::expect_running;
use crate::traffic::Traffic;
use crate::watch::Event;
use crate::world::{Outcome, World};
use xtask::project::objects::merge;

pub(crate) fn helm3(world: &World) -> Result<String> {
    run(world, Engine::Helm3, &[])
}

/// Helm 4 uses server-side apply, where Argo CD owns the fields that it wrote.
pub(crate) fn helm4(world: &World) -> Result<String> {
    run(world, Engine::Helm4, &["--force-conflicts"])
}

fn run(world: &World, helm: Engine, back: &[&str]) -> Result<String> {
    let database = Database::create(world)?;
    let followed = Followed::external(world, &database)?;
    upgrade(&followed, helm, Build::First, &[])?.expect_success()?;
    let traffic = Traffic::start(world)?;
    let pods = pods(&followed)?;

    let took = followed.install()?;
    ensure!(pods == self::pods(&followed)?, "the move to Argo CD replaced the pods");
    followed.application.expect_clean()?;
    let next = followed.roll(Build::Next)?;
    followed.application.live(&next, FIRST_SYNC)?;
    followed.gated.expect_job_before_pods(Build::Next)?;

    // Deletes only the Application, and keeps what it applied.
    followed.application.release()?;
    expect_running(&followed.gated, Build::Next)?;
    let plain = upgrade(&followed, helm, Build::Next, &[])?;
    if !plain.success {
        upgrade(&followed, helm, Build::Next, back)?.expect_success()?;
    }
    expect_running(&followed.gated, Build::Next)?;
    // From then on the gate works as before.
    upgrade(&followed, helm, Build::Broken, back)?.expect_failure(&[])?;
    expect_running(&followed.gated, Build::Next)?;
    upgrade(&followed, helm, Build::First, back)?.expect_success()?;
    expect_running(&followed.gated, Build::First)?;
    ensure!(database.applied()? == FIRST + 1, "{} are applied", database.applied()?);
    let served = traffic.expect_no_failure()?;
    let helm = if plain.success { "`helm upgrade` alone" } else { "`helm upgrade --force-conflicts`" };
    Ok(format!(
        "moved in {} without a new pod, and back by {helm}; {served} requests, none failed",
        seconds(took)
    ))
}

/// The names of the app's pods so far.
fn pods(followed: &Followed) -> Result<Vec<String>> {
    let events = followed.gated.pods.events()?;
    let is_app = |pod: &&Event| Build::ALL.into_iter().any(|build| pod.is_app(build));
    let mut names: Vec<_> = events.iter().filter(is_app).map(|pod| pod.name().to_owned()).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// Runs `helm upgrade` with the Application's values.
fn upgrade(followed: &Followed, helm: Engine, build: Build, options: &[&str]) -> Result<Outcome> {
    let world = followed.gated.world;
    let values = followed.application.values().context("the Application has values")?;
    let values = merge(followed.gated.rollout(build).values(), values);
    let file = world.folder.join(format!("{}-values.json", build.tag()));
    fs::write(&file, values.to_string())?;
    let (chart, file) = (world.stage.chart.to_string_lossy(), file.to_string_lossy());
    let arguments = ["upgrade", "--install", world.release(), &chart, "--namespace", &world.namespace];
    let rest = ["--values", &file, "--wait", "--timeout", "120s"];
    world.run(world.program(world.stage.helm(helm), &[&arguments[..], &rest, options].concat()))
}

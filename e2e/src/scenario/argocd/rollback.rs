//! Rolls back to the previous build on the newer schema: with a commit, and with the CLI.

use anyhow::{Context, Result, ensure};

use crate::builds::{Build, FIRST};
use crate::database::Database;
use crate::scenario::argocd::{FIRST_SYNC, Followed, seconds};
use crate::scenario::rollback::expect_running;
use crate::traffic::Traffic;
use crate::world::World;

pub(crate) fn run(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let followed = Followed::external(world, &database)?.installed()?;
    let application = &followed.application;
    let traffic = Traffic::start(world)?;
    application.live(&followed.roll(Build::Next)?, FIRST_SYNC)?;

    let back = application.repository.revert()?;
    application.refresh()?;
    let took = application.live(&back, FIRST_SYNC)?;
    expect_running(&followed.gated, Build::First)?;
    // The old build's Job finds a newer schema and has nothing to do.
    ensure!(
        followed.gated.exit_codes(Build::First)?.iter().all(|code| *code == 0),
        "the old build's Job failed"
    );

    let again = application.repository.revert()?;
    application.refresh()?;
    application.live(&again, FIRST_SYNC)?;
    expect_running(&followed.gated, Build::Next)?;
    // Argo CD refuses a rollback while auto-sync would undo it at once.
    application.automate(false)?;
    let id = previous(&followed)?;
    world.argocd(&["app", "rollback", &application.name, &id, "--timeout", "120"])?.expect_success()?;
    application.until("the rollback to be healthy", FIRST_SYNC, |now| {
        let is_over = now["operation"].is_null() && now["status"]["operationState"]["phase"] == "Succeeded";
        (is_over && now["status"]["health"]["status"] == "Healthy").then_some(())
    })?;
    expect_running(&followed.gated, Build::First)?;
    application.automate(true)?;
    application.refresh()?;
    application.live(&again, FIRST_SYNC)?;
    expect_running(&followed.gated, Build::Next)?;

    ensure!(database.applied()? == FIRST + 1, "the schema was changed");
    let served = traffic.expect_no_failure()?;
    followed.end(&[])?;
    Ok(format!("the reverting commit live after {}; {served} requests, none failed", seconds(took)))
}

/// The deployment before the last one, as `argocd app history` numbers it.
fn previous(followed: &Followed) -> Result<String> {
    let history = ["app", "history", &followed.application.name, "--output", "id"];
    let ids = followed.gated.world.argocd(&history)?.expect_success()?.text;
    let ids: Vec<_> = ids.split_whitespace().collect();
    let previous = ids.len().checked_sub(2).and_then(|index| ids.get(index));
    Ok((*previous.context("there is no deployment before the last")?).to_owned())
}

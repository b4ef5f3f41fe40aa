//! The first install: nothing is there, and with the bundled database not even that.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::builds::{ADDED, Build, CAUSE, FIRST};
use crate::database::Database;
use crate::engine::JOB;
use crate::scenario::Gated;
use crate::world::World;

pub(crate) fn external(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let gated = Gated::external(world, &database)?;
    let outcome = world.roll(&gated.rollout(Build::First))?.expect_success()?;
    gated.expect_job_before_pods(Build::First)?;
    ensure!(database.applied()? == FIRST, "{} of {FIRST} are applied", database.applied()?);
    if !world.engine.is_helmfile() {
        // Helmfile shows Helm's output only of a failure.
        let said = format!("applied {FIRST} migrations");
        ensure!(outcome.text.contains(&said), "the Job's log was not printed");
    }
    ensure!(world.get("job", JOB)?.is_none(), "a Job that succeeded is to go");
    world.helm(&["test", world.release()])?.expect_success()?;
    gated.expect_second_apply_without_diff(Build::First)?;
    Ok(format!("{:.1} s until all was ready", outcome.took.as_secs_f64()))
}

pub(crate) fn bundled(world: &World) -> Result<String> {
    let gated = Gated::bundled(world)?;
    let outcome = world.roll(&gated.rollout(Build::First))?.expect_success()?;
    gated.expect_job_before_pods_are_ready(Build::First)?;
    let postgres = format!("{}-postgresql", world.release());
    let claim = world.get("pvc", &format!("data-{postgres}-0"))?.context("there is no claim")?;
    ensure!(claim["status"]["phase"] == "Bound", "the claim is not bound");
    gated.expect_second_apply_without_diff(Build::First)?;
    if !world.engine.is_helmfile() {
        // Now that there is a database, the hook answers for it.
        let again = world.roll(&gated.rollout(Build::First))?.expect_success()?;
        ensure!(again.text.contains("nothing to do"), "the hook's log was not printed: {}", again.text);
    }
    Ok(format!("{:.1} s until all was ready", outcome.took.as_secs_f64()))
}

pub(crate) fn broken_external(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let gated = Gated::external(world, &database)?;
    let outcome = world.roll(&gated.rollout(Build::Broken))?.expect_failure(&[CAUSE, ADDED])?;
    gated.expect_no_pod(Build::Broken)?;
    ensure!(gated.exit_codes(Build::Broken)? == [3], "{:?}", gated.exit_codes(Build::Broken)?);
    ensure!(outcome.took < Duration::from_mins(1), "it was to fail at once");
    // An upgrade to Helm, which skips what is for `pre-install` alone.
    world.roll(&gated.rollout(Build::Next))?.expect_success()?;
    gated.expect_job_before_pods(Build::Next)?;
    ensure!(database.applied()? == FIRST + 1, "{} are applied", database.applied()?);
    Ok(format!("failed after {:.1} s", outcome.took.as_secs_f64()))
}

pub(crate) fn broken_bundled(world: &World) -> Result<String> {
    let gated = Gated::bundled(world)?;
    let outcome = world.roll(&gated.rollout(Build::Broken).within(60))?.expect_failure(&[])?;
    ensure!(outcome.took >= Duration::from_mins(1), "it was to fail at the timeout");
    gated.expect_never_ready(Build::Broken)?;
    let notes = world.helm(&["get", "notes", world.release()])?.expect_success()?.text;
    let cause = follow(world, &notes, "component=migrate --tail")?;
    ensure!(cause.contains(CAUSE), "the command of NOTES does not show the cause but: {cause}");
    world.roll(&gated.rollout(Build::Next))?.expect_success()?;
    gated.expect_never_ready(Build::Broken)?;
    Ok(format!("failed after {:.1} s, mended by the next upgrade", outcome.took.as_secs_f64()))
}

pub(crate) fn without_database(world: &World) -> Result<String> {
    // Enough for the app and its Job, not for the server's 256Mi.
    world.apply(&json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"},
        "spec": {"hard": {"requests.memory": "200Mi"}},
    }))?;
    let gated = Gated::bundled(world)?;
    world.roll(&gated.rollout(Build::First).within(30))?.expect_failure(&[])?;
    let postgres = format!("{}-postgresql-0", world.release());
    ensure!(world.get("pod", &postgres)?.is_none(), "the quota was to keep the database away");
    gated.expect_never_ready(Build::First)?;
    world.kubectl(&["delete", "resourcequota", "small"])?;
    world.roll(&gated.rollout(Build::Next))?.expect_success()?;
    Ok("mended by the next upgrade".into())
}

/// Runs the one command in a text that contains these words, as a reader would.
pub(crate) fn follow(world: &World, text: &str, words: &str) -> Result<String> {
    let is_it = |line: &&str| line.contains(words) && line.trim_start().starts_with("kubectl ");
    let line = text.lines().find(is_it).with_context(|| format!("no command with `{words}` in: {text}"))?;
    let command = line.trim().trim_start_matches("kubectl ");
    let arguments: Vec<_> = command.split_whitespace().collect();
    let outcome = world.run(world.program(&world.stage.kubectl, &arguments))?;
    Ok(outcome.expect_success()?.text)
}

impl Gated<'_> {
    /// With the bundled database pods are there before the migration has run. None is ready before.
    fn expect_job_before_pods_are_ready(&self, build: Build) -> Result<()> {
        let events = self.pods.events()?;
        let done = events.iter().position(|pod| pod.is_migration(build) && pod.exit_code() == Some(0));
        let ready = events.iter().position(|pod| pod.is_app(build) && pod.is("Ready"));
        ensure!(done.is_some() && ready.is_some(), "no migration succeeded, or no pod was ready");
        ensure!(done < ready, "a pod was ready before the migration had ended");
        Ok(())
    }
}

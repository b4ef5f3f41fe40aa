//! The first install: no release exists, and with the bundled database no database either.

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
        // Helmfile prints Helm's output only for a failure.
        let printed = format!("applied {FIRST} migrations");
        ensure!(outcome.text.contains(&printed), "the Job's log was not printed");
    }
    ensure!(world.get("job", JOB)?.is_none(), "a Job that succeeded was not deleted");
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
        // Now that a database exists, the hook runs and finds nothing to do.
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
    ensure!(outcome.took < Duration::from_mins(1), "it did not fail at once");
    // To Helm this is an upgrade, which skips hooks that are only `pre-install`.
    world.roll(&gated.rollout(Build::Next))?.expect_success()?;
    gated.expect_job_before_pods(Build::Next)?;
    ensure!(database.applied()? == FIRST + 1, "{} are applied", database.applied()?);
    Ok(format!("failed after {:.1} s", outcome.took.as_secs_f64()))
}

pub(crate) fn broken_bundled(world: &World) -> Result<String> {
    let gated = Gated::bundled(world)?;
    let outcome = world.roll(&gated.rollout(Build::Broken).within(60))?.expect_failure(&[])?;
    ensure!(outcome.took >= Duration::from_mins(1), "it failed before the timeout");
    gated.expect_never_ready(Build::Broken)?;
    let notes = world.helm(&["get", "notes", world.release()])?.expect_success()?.text;
    let cause = follow(world, &notes, "component=migrate --tail")?;
    ensure!(cause.contains(CAUSE), "the command of NOTES does not print the cause, but: {cause}");
    world.roll(&gated.rollout(Build::Next))?.expect_success()?;
    gated.expect_never_ready(Build::Broken)?;
    Ok(format!("failed after {:.1} s, repaired by the next upgrade", outcome.took.as_secs_f64()))
}

pub(crate) fn without_database(world: &World) -> Result<String> {
    // Enough for the app and its Job, but not for the server's 256Mi.
    world.apply(&json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"},
        "spec": {"hard": {"requests.memory": "200Mi"}},
    }))?;
    let gated = Gated::bundled(world)?;
    world.roll(&gated.rollout(Build::First).within(30))?.expect_failure(&[])?;
    let postgres = format!("{}-postgresql-0", world.release());
    ensure!(world.get("pod", &postgres)?.is_none(), "the quota did not prevent the database");
    gated.expect_never_ready(Build::First)?;
    world.kubectl(&["delete", "resourcequota", "small"])?;
    world.roll(&gated.rollout(Build::Next))?.expect_success()?;
    Ok("repaired by the next upgrade".into())
}

/// Runs the first command in a text with these words in it, as a reader would.
pub(crate) fn follow(world: &World, text: &str, words: &str) -> Result<String> {
    let is_it = |line: &&str| line.contains(words) && line.trim_start().starts_with("kubectl ");
    let line = text.lines().find(is_it).with_context(|| format!("no command with `{words}` in: {text}"))?;
    let command = line.trim().trim_start_matches("kubectl ");
    let arguments: Vec<_> = command.split_whitespace().collect();
    let outcome = world.run(world.program(&world.stage.kubectl, &arguments))?;
    Ok(outcome.expect_success()?.text)
}

impl Gated<'_> {
    /// With the bundled database pods exist before the migration has run. Fails if one was ready before.
    fn expect_job_before_pods_are_ready(&self, build: Build) -> Result<()> {
        let events = self.pods.events()?;
        let done = events.iter().position(|pod| pod.is_migration(build) && pod.exit_code() == Some(0));
        let ready = events.iter().position(|pod| pod.is_app(build) && pod.is("Ready"));
        ensure!(done.is_some() && ready.is_some(), "no migration succeeded, or no pod was ready");
        ensure!(done < ready, "a pod was ready before the migration had ended");
        Ok(())
    }
}

//! A commit with a migration that cannot succeed, and the commit that fixes it.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::builds::{ADDED, Build, CAUSE, FIRST};
use crate::database::Database;
use crate::engine::JOB;
use crate::rollout::argocd::{Commit, shipped};
use crate::scenario::argocd::{FIX, Followed, seconds};
use crate::scenario::expect_untouched;
use crate::traffic::Traffic;
use crate::world::World;

/// How long the retries may take. They take longest with Argo CD's defaults: 155 s of pauses, and six runs that share two
/// cores with other scenarios.
const RETRIES: u64 = 600;

/// The fix is committed after the last retry.
pub(crate) fn exhausted(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let followed = Followed::external(world, &database)?.installed()?;
    let traffic = Traffic::start(world)?;
    let (before, schema) = (followed.gated.deployment()?, database.schema()?);

    let broken = followed.roll(Build::Broken)?;
    followed.application.retried(&broken, 1, FIX)?;
    let failed_after = broken.at.elapsed()?;
    expect_cause(&followed)?;
    followed.application.failed(&broken, RETRIES)?;
    let over_after = broken.at.elapsed()?;
    expect_cause(&followed)?;
    expect_untouched(&before, &followed.gated.deployment()?)?;
    followed.gated.expect_no_pod(Build::Broken)?;
    ensure!(database.schema()? == schema, "the schema was changed");
    let runs = runs(&followed)?;
    ensure!(runs as u64 == limit()? + 1, "it ran {runs} times");

    let took = fix(&followed, &database)?.1;
    let served = traffic.expect_no_failure()?;
    followed.end(&[])?;
    Ok(format!(
        "first failed after {}, ran {runs} times in {}; the fix live after {took}; {served} requests, none failed",
        seconds(failed_after),
        seconds(over_after),
    ))
}

/// The fix is committed at the worst moment: the longest pause has just begun.
pub(crate) fn fixed_between_retries(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let followed = Followed::external(world, &database)?.installed()?;
    let traffic = Traffic::start(world)?;
    let before = followed.gated.deployment()?;
    let broken = followed.roll(Build::Broken)?;
    followed.application.retried(&broken, limit()?, RETRIES)?;
    expect_untouched(&before, &followed.gated.deployment()?)?;
    let (_, took) = fix(&followed, &database)?;
    let runs = runs(&followed)?;
    let served = traffic.expect_no_failure()?;
    followed.end(&[])?;
    Ok(format!("the broken one ran {runs} times, the fix live after {took}; {served} requests, none failed"))
}

/// The shipped Application without its `retry`. The fix is committed after the first failure, and has to wait.
pub(crate) fn default_retries(world: &World) -> Result<String> {
    let database = Database::create(world)?;
    let mut followed = Followed::external(world, &database)?;
    followed.application = followed.application.with_default_retries();
    let followed = followed.installed()?;
    let traffic = Traffic::start(world)?;
    let broken = followed.roll(Build::Broken)?;
    followed.application.retried(&broken, 1, FIX)?;
    let next = followed.roll(Build::Next)?;
    let took = followed.application.live(&next, RETRIES)?;
    let runs = runs(&followed)?;
    ensure!(database.applied()? == FIRST + 1, "{} are applied", database.applied()?);
    let served = traffic.expect_no_failure()?;
    followed.end(&[])?;
    Ok(format!(
        "the broken one ran {runs} times, the fix live after {}; {served} requests, none failed",
        seconds(took)
    ))
}

/// Commits the fix, and fails unless it is live in time.
fn fix(followed: &Followed, database: &Database) -> Result<(Commit, String)> {
    let next = followed.roll(Build::Next)?;
    let took = followed.application.live(&next, FIX)?;
    followed.gated.expect_job_before_pods(Build::Next)?;
    ensure!(database.applied()? == FIRST + 1, "{} are applied", database.applied()?);
    Ok((next, seconds(took)))
}

/// How often the broken migration ran. Fails unless each run failed, and no Job ran it twice.
fn runs(followed: &Followed) -> Result<usize> {
    let codes = followed.gated.exit_codes(Build::Broken)?;
    ensure!(codes.iter().all(|code| *code == 3), "exit codes {codes:?}");
    Ok(codes.len())
}

/// The number of retries of the shipped Application.
fn limit() -> Result<u64> {
    let application = shipped("application.yaml")?;
    application.pointer("/spec/syncPolicy/retry/limit").and_then(Value::as_u64).context("a limit is shipped")
}

/// Fails unless the cause can be read without kubectl: both the resource tree and the log have the pod's termination message.
fn expect_cause(followed: &Followed) -> Result<()> {
    let (world, name) = (followed.gated.world, &followed.application.name);
    let tree = world.argocd(&["app", "get", name, "--output", "tree=detailed"])?.expect_success()?;
    ensure!(tree.text.contains(CAUSE), "the tree does not name the cause:\n{}", tree.text);
    let logs = ["app", "logs", name, "--kind", "Job", "--name", JOB];
    let log = world.argocd(&logs)?.expect_success()?;
    for words in [CAUSE, ADDED] {
        ensure!(log.text.contains(words), "`{words}` is not in the log:\n{}", log.text);
    }
    Ok(())
}

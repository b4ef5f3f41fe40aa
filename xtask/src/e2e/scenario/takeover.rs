//! From chart 1.0.0, whose objects `chart-1.0.0` rebuilds as far as an upgrade meets them: names, labels, selectors, and
//! the `StatefulSet` and volume of its subchart.

use anyhow::{Result, ensure};

use crate::e2e::builds::{ADDED, Build, CAUSE, FIRST};
use crate::e2e::engine::RELEASE;
use crate::e2e::scenario::{Gated, expect_untouched};
use crate::e2e::stage::{BITNAMI, POSTGRES};
use crate::e2e::world::World;
use crate::released;

pub(super) fn run(world: &World) -> Result<String> {
    let gated = Gated::bundled(world)?;
    let old = crate::root().join("xtask/src/e2e/chart-1.0.0");
    let old = old.to_string_lossy();
    let image = format!("image={}:{}", released::current().repository(), Build::First.tag());
    let database = format!("database={BITNAMI}");
    let images = ["--set", &database, "--set", &image];
    let wait = ["--wait", "--timeout", "180s"];
    world.helm(&[&["install", RELEASE, &old][..], &images, &wait].concat())?.expect_success()?;
    query(world, "INSERT INTO users (id, email, name) VALUES (gen_random_uuid(), 'a@example.com', 'A')")?;
    let (claim, set) = (uid(world, "pvc", CLAIM)?, uid(world, "statefulset", SERVER)?);

    // Of an upgrade that fails, 1.0.0 does not notice anything.
    let before = gated.deployment()?;
    world.roll(&gated.rollout(Build::Broken))?.expect_failure(&[CAUSE, ADDED])?;
    expect_untouched(&before, &gated.deployment()?)?;
    gated.expect_no_pod(Build::Broken)?;
    ensure!(image_of_server(world)? == BITNAMI, "the server was replaced");

    world.roll(&gated.rollout(Build::Next))?.expect_success()?;

    ensure!(query(world, "SELECT email FROM users")?.trim() == "a@example.com", "the row is gone");
    let applied = query(world, "SELECT count(*) FROM _sqlx_migrations")?;
    ensure!(applied.trim() == (FIRST + 1).to_string(), "{applied} migrations are applied");
    ensure!(uid(world, "pvc", CLAIM)? == claim, "the claim is another one");
    ensure!(uid(world, "statefulset", SERVER)? == set, "the StatefulSet is another one");
    ensure!(image_of_server(world)? == POSTGRES, "the server is still that of 1.0.0");

    world.helm(&["rollback", RELEASE, "1", "--wait", "--timeout", "180s"])?.expect_success()?;
    ensure!(query(world, "SELECT email FROM users")?.trim() == "a@example.com", "the row is gone");
    ensure!(uid(world, "pvc", CLAIM)? == claim, "the claim is another one");
    Ok("one `helm upgrade`, nothing deleted by hand; `helm rollback` goes back".into())
}

fn image_of_server(world: &World) -> Result<String> {
    world.kubectl(&["get", "pod", POD, "--output=jsonpath={.spec.containers[0].image}"])
}

const SERVER: &str = "prod-postgresql";
const POD: &str = "prod-postgresql-0";
const CLAIM: &str = "data-prod-postgresql-0";

fn uid(world: &World, kind: &str, name: &str) -> Result<String> {
    world.kubectl(&["get", kind, name, "--output=jsonpath={.metadata.uid}"])
}

/// Asks the release's own database, as its user, with the password that both charts default to.
fn query(world: &World, sql: &str) -> Result<String> {
    let psql =
        ["psql", "--host=127.0.0.1", "--username=citadel", "--dbname=citadel", "--tuples-only", "--no-align"];
    let exec = ["exec", POD, "--", "env", "PGPASSWORD=citadel"];
    world.kubectl(&[&exec[..], &psql, &["--quiet", "--command", sql]].concat())
}

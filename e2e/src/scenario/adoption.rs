//! Upgrades from chart 1.0.0. `chart-1.0.0` rebuilds its objects as far as an upgrade depends on them: names, labels,
//! selectors, and the `StatefulSet` and volume of its subchart. The app of 1.0.0 migrated the database itself.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::builds::{Build, FIRST};
use crate::engine::RELEASE;
use crate::scenario::{Gated, expect_untouched};
use crate::stage::BITNAMI;
use crate::stand_in::POSTGRES;
use crate::traffic::Traffic;
use crate::world::World;
use xtask::project::released;

/// The number of Corveil's migrations that result in the schema of 1.0.0. No other version has this schema.
const FORMER: usize = 6;

/// The last of them.
const LAST: &str = "0006_add_api_keys_name.sql";

/// The history table of the app of 1.0.0. Its versions are not those of Corveil's migrations.
const FORMER_HISTORY: &str =
    "CREATE TABLE schema_migrations (name text PRIMARY KEY, applied_at timestamptz NOT NULL);
    INSERT INTO schema_migrations VALUES ('initial', now()), ('key_names', now());";

/// A page for which neither build queries the database: the server restarts once.
const PAGE: &str = "/health";

pub(crate) fn run(world: &World) -> Result<String> {
    let gated = Gated::bundled(world)?;
    install(world)?;
    query(world, "INSERT INTO users (id, email, name) VALUES (gen_random_uuid(), 'a@example.com', 'A')")?;
    let (claim, set) = (uid(world, "pvc", CLAIM)?, uid(world, "statefulset", SERVER)?);
    let traffic = Traffic::start_with(world, PAGE)?;

    // Without `migrate.adopt.enabled` the upgrade is refused, and the pods of 1.0.0 keep running.
    let (before, schema) = (gated.deployment()?, everything(world)?);
    let refused = ["public.schema_migrations", "corveil adopt --from schema-migrations"];
    world.roll(&gated.rollout(Build::First))?.expect_failure(&refused)?;
    expect_untouched(&before, &gated.deployment()?)?;
    ensure!(everything(world)? == schema, "the database was written to");
    gated.expect_no_pod(Build::First)?;
    ensure!(image_of_server(world)? == BITNAMI, "the server was replaced");

    let output = preview_adoption(world)?;
    ensure!(output.contains(&format!("would record {LAST}\n")), "the preview printed: {output}");
    ensure!(everything(world)? == schema, "the preview wrote to the database");

    let history = query(world, "TABLE schema_migrations ORDER BY name")?;
    world.roll(&gated.rollout_with(Build::First, &adopt()))?.expect_success()?;
    let served = gated.expect_served(&traffic, Build::First)?;
    expect_adopted(world)?;
    ensure!(query(world, "TABLE schema_migrations ORDER BY name")? == history, "1.0.0's history was changed");
    ensure!(query(world, "SELECT email FROM users")?.trim() == "a@example.com", "the row is gone");
    ensure!(uid(world, "pvc", CLAIM)? == claim, "the claim is another one");
    ensure!(uid(world, "statefulset", SERVER)? == set, "the StatefulSet is another one");
    ensure!(image_of_server(world)? == POSTGRES, "the server is still that of 1.0.0");

    // The values may stay as they are.
    world.roll(&gated.rollout_with(Build::Next, &adopt()))?.expect_success()?;
    let applied = query(world, "SELECT count(*) FROM _sqlx_migrations")?;
    ensure!(applied.trim() == (FIRST + 1).to_string(), "{applied} migrations are applied");

    world.helm(&["rollback", RELEASE, "1", "--wait", "--timeout", "180s"])?.expect_success()?;
    ensure!(query(world, "SELECT email FROM users")?.trim() == "a@example.com", "the row is gone");
    ensure!(uid(world, "pvc", CLAIM)? == claim, "the claim is another one");
    Ok(format!(
        "one `helm upgrade`, nothing deleted by hand, {served} requests answered; `helm rollback` goes back"
    ))
}

/// A schema that was changed by hand.
pub(crate) fn differs(world: &World) -> Result<String> {
    let gated = Gated::bundled(world)?;
    install(world)?;
    query(world, "ALTER TABLE users ALTER email DROP NOT NULL; DROP INDEX api_keys_user_id_idx")?;
    let traffic = Traffic::start_with(world, PAGE)?;

    let (before, schema) = (gated.deployment()?, everything(world)?);
    let causes = ["users", "email", "api_keys_user_id_idx"];
    world.roll(&gated.rollout_with(Build::First, &adopt()))?.expect_failure(&causes)?;
    expect_untouched(&before, &gated.deployment()?)?;
    ensure!(everything(world)? == schema, "the database was written to");
    gated.expect_no_pod(Build::First)?;
    let codes = gated.exit_codes(Build::First)?;
    ensure!(codes == [4], "the Job's pods ended with {codes:?}");
    let served = traffic.expect_no_failure()?;

    let repair = "ALTER TABLE users ALTER email SET NOT NULL; \
                  CREATE INDEX api_keys_user_id_idx ON api_keys (user_id)";
    query(world, repair)?;
    world.roll(&gated.rollout_with(Build::First, &adopt()))?.expect_success()?;
    expect_adopted(world)?;
    Ok(format!("{served} requests answered, and the engine's output names each difference"))
}

fn adopt() -> Value {
    json!({"migrate": {"adopt": {"enabled": true}}})
}

/// Runs the pod that `docs/from-chart-1.md` recommends before an upgrade, and returns its log.
fn preview_adoption(world: &World) -> Result<String> {
    start_adopt_pod(world, &[])?;
    // Not `run --attach`, which prints nothing of a container that ends before it is attached to.
    let ended = "--for=jsonpath={.status.containerStatuses[0].state.terminated.exitCode}";
    world.kubectl(&["wait", "pod/corveil-adopt", "--timeout=2m", ended])?;
    let output = world.kubectl(&["logs", "corveil-adopt"])?;
    world.kubectl(&["delete", "pod", "corveil-adopt"])?;
    Ok(output)
}

/// Starts the page's pod with this build and the Secret of this release; `more` goes to kubectl.
pub(crate) fn start_adopt_pod(world: &World, more: &[&str]) -> Result<String> {
    let page = std::fs::read_to_string(xtask::project::root().join("docs/from-chart-1.md"))?;
    let overrides = page.split_once("--overrides='").and_then(|(_, rest)| rest.split_once("'\n"));
    let mut overrides: Value = serde_json::from_str(overrides.context("the page has no pod")?.0)?;
    let image = format!("{}:{}", released::current().repository(), Build::First.tag());
    let container = &mut overrides["spec"]["containers"][0];
    container["image"] = json!(image);
    container["envFrom"][0]["secretRef"]["name"] = json!("prod-secrets");
    let (image, overrides) = (format!("--image={image}"), format!("--overrides={overrides}"));
    world.kubectl(&[&["run", "corveil-adopt", "--restart=Never", &image, &overrides], more].concat())
}

/// Installs chart 1.0.0, and the schema that its app creates at startup.
fn install(world: &World) -> Result<()> {
    let old = xtask::project::root().join("e2e/src/chart-1.0.0");
    let old = old.to_string_lossy();
    let database = format!("database={BITNAMI}");
    let image = format!("image={}:{}", released::current().repository(), Build::Former.tag());
    let images = ["--set", &database, "--set", &image];
    let wait = ["--wait", "--timeout", "180s"];
    world.helm(&[&["install", RELEASE, &old][..], &images, &wait].concat())?.expect_success()?;
    for (_, file) in &Build::Former.migrations()?[..FORMER] {
        query(world, &String::from_utf8_lossy(file))?;
    }
    query(world, FORMER_HISTORY).map(drop)
}

/// Fails unless the migrations in the old schema are recorded without a run, and the others were run.
fn expect_adopted(world: &World) -> Result<()> {
    let counts =
        query(world, "SELECT count(*) FILTER (WHERE execution_time = -1), count(*) FROM _sqlx_migrations")?;
    ensure!(counts.trim() == format!("{FORMER}|{FIRST}"), "recorded and applied: {counts}");
    Ok(())
}

/// Every relation, column and row that the gate could have written.
fn everything(world: &World) -> Result<String> {
    query(
        world,
        "SELECT c.relname, c.relkind, a.attname, a.atttypid, a.attnotnull FROM pg_class c \
         LEFT JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1, 3; \
         TABLE schema_migrations ORDER BY 1",
    )
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

/// Queries the release's database as its user, with the default password of both charts.
fn query(world: &World, sql: &str) -> Result<String> {
    let psql =
        ["psql", "--host=127.0.0.1", "--username=citadel", "--dbname=citadel", "--tuples-only", "--no-align"];
    let exec = ["exec", POD, "--", "env", "PGPASSWORD=citadel"];
    world.kubectl(&[&exec[..], &psql, &["--quiet", "--command", sql]].concat())
}

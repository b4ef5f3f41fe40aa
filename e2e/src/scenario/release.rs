//! Rolls out what `cargo xtask release` publishes, from the registry: the chart by its version, the image by its digest.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::builds::{Build, FIRST};
use crate::database::Database;
use crate::engine::RELEASE;
use crate::releases::{BROKEN, CAUSE, Release, Releases};
use crate::rollout::Rollout;
use crate::rollout::argocd::{self, Application};
use crate::scenario::{APP_PODS, Gated, expect_untouched};
use crate::traffic::Traffic;
use crate::wait::until;
use crate::watch::Event;
use crate::world::World;
use xtask::project::objects::{self, merge};

/// How long a sync may take here: several scenarios share two cores.
const SYNC: u64 = 180;

/// Rolls them out with Helm or Helmfile.
pub(crate) fn helms(world: &World) -> Result<String> {
    let releases = world.stage.releases()?;
    let database = Database::create(world)?;
    let gated = Gated::external(world, &database)?;
    let values = values(&gated)?;
    run(&gated, &database, &releases, &|release, is_sound| {
        let outcome = world.run(command(world, &releases, release, &values)?)?;
        if is_sound {
            return outcome.expect_success().map(drop);
        }
        outcome.expect_failure(&["of relation", "contains null values", BROKEN]).map(drop)
    })
}

/// Rolls them out with Argo CD, by an Application whose source is the registry's chart.
pub(crate) fn argocd(world: &World) -> Result<String> {
    let releases = world.stage.releases()?;
    let database = Database::create(world)?;
    let gated = Gated::external(world, &database)?;
    let values = values(&gated)?;
    let namespace = &world.stage.argocd()?.namespace;
    world.apply_in(namespace, &repository(world, &releases))?;
    let seen = run(&gated, &database, &releases, &|release, is_sound| {
        let application = Application::of(world, application(&releases, release, &values)?)?;
        application.create()?;
        application.refresh()?;
        if is_sound {
            return application.until("the release to be live", SYNC, |now| {
                let status = &now["status"];
                let is_live = status["sync"]["revision"] == *release.version
                    && status["sync"]["status"] == "Synced"
                    && status["health"]["status"] == "Healthy"
                    && status["operationState"]["phase"] == "Succeeded";
                is_live.then_some(())
            });
        }
        application.until("the sync to fail for good", SYNC, |now| {
            let state = &now["status"]["operationState"];
            let is_of_it = state.pointer("/syncResult/revision").is_some_and(|at| *at == *release.version);
            (is_of_it && matches!(state["phase"].as_str(), Some("Failed" | "Error"))).then_some(())
        })?;
        let tree = world.argocd(&["app", "get", &world.namespace, "--output", "tree=detailed"])?;
        ensure!(tree.text.contains(CAUSE), "no cause in:\n{}", tree.text);
        Ok(())
    })?;
    argocd::remove(world)?;
    world.kubectl_anywhere(&["delete", "secret", &world.namespace, "--namespace", namespace])?;
    Ok(seen)
}

/// Rolls out the three releases one after the other. `roll` rolls out one, and its last argument is whether it should
/// succeed.
fn run(
    gated: &Gated,
    database: &Database,
    releases: &Releases,
    roll: &dyn Fn(&Release, bool) -> Result<()>,
) -> Result<String> {
    let [first, next, broken] = &releases.all;
    roll(first, true)?;
    expect_gated(gated, first)?;
    ensure!(database.applied()? == FIRST, "{} are applied", database.applied()?);
    let traffic = Traffic::start(gated.world)?;

    roll(next, true)?;
    expect_gated(gated, next)?;
    ensure!(database.applied()? == FIRST + 1, "{} are applied", database.applied()?);
    until("the old pods to go", Duration::from_mins(1), || {
        let pods = gated.world.list("pods", APP_PODS)?;
        Ok(pods.iter().all(|pod| runs(pod, &next.image)).then_some(()))
    })?;

    database.query("INSERT INTO users (email) VALUES ('a@example.com')")?;
    let (before, schema) = (gated.deployment()?, database.schema()?);
    roll(broken, false)?;
    expect_untouched(&before, &gated.deployment()?)?;
    ensure!(database.schema()? == schema, "the schema was changed");
    let events = gated.pods.events()?;
    let migrations = events.iter().filter(|event| is_migration(event, &broken.image));
    let codes: Vec<_> = migrations.filter_map(Event::exit_code).collect();
    ensure!(!codes.is_empty() && codes.iter().all(|code| *code == 3), "the migration ended with {codes:?}");
    ensure!(
        !events.iter().any(|event| is_app(event, &broken.image)),
        "there was a pod of {}",
        broken.version
    );

    let served = traffic.expect_no_failure()?;
    Ok(format!(
        "{}, {} and {} from a registry, every image by its digest; the last one failed; {served} requests, none failed",
        first.version, next.version, broken.version
    ))
}

/// Fails unless the migration of this image ended before its first pod existed.
fn expect_gated(gated: &Gated, release: &Release) -> Result<()> {
    let events = gated.pods.events()?;
    let done =
        events.iter().position(|event| is_migration(event, &release.image) && event.exit_code() == Some(0));
    let done = done.with_context(|| format!("no migration ran `{}`", release.image))?;
    let pod = events.iter().position(|event| is_app(event, &release.image));
    let pod = pod.with_context(|| format!("no pod ran `{}`", release.image))?;
    ensure!(done < pod, "a pod of {} existed before the migration had ended", release.version);
    Ok(())
}

fn is_migration(event: &Event, image: &str) -> bool {
    event.object["metadata"]["labels"]["app.kubernetes.io/component"] == "migrate"
        && runs(&event.object, image)
}

fn is_app(event: &Event, image: &str) -> bool {
    event.object["metadata"]["labels"]["app.kubernetes.io/name"] == "corveil-chart"
        && runs(&event.object, image)
}

/// Whether the pod runs this image.
fn runs(pod: &Value, image: &str) -> bool {
    pod.pointer("/spec/containers/0/image").is_some_and(|found| *found == *image)
}

/// The values of every scenario, without an image: the chart names its image.
fn values(gated: &Gated) -> Result<Value> {
    let file = Rollout::of(Build::First, &gated.values).values_file(gated.world)?;
    Ok(serde_json::from_slice(&std::fs::read(file)?)?)
}

/// The command in the release's README, with the options for a registry without TLS.
fn command(
    world: &World,
    releases: &Releases,
    release: &Release,
    values: &Value,
) -> Result<std::process::Command> {
    let file = world.folder.join("values.json");
    std::fs::write(&file, values.to_string())?;
    let file = file.to_string_lossy().into_owned();
    let (helm, chart) =
        (world.stage.helm(world.engine), format!("oci://{}/corveil-chart", releases.charts()));
    if !world.engine.is_helmfile() {
        let upgrade = ["upgrade", "--install", RELEASE, &chart, "--version", &release.version];
        let options = ["--plain-http", "--namespace", &world.namespace, "--values", &file];
        return Ok(world.program(helm, &[&upgrade[..], &options, &["--wait", "--timeout", "3m"]].concat()));
    }
    let shipped = std::fs::read_to_string(release.folder.join("helmfile.yaml"))?;
    let plain = shipped.replace("    wait: true\n", "    wait: true\n    plainHttp: true\n");
    ensure!(plain != shipped, "`helmfile.yaml` has no `wait: true` line to put `plainHttp` after");
    let releases_file = release.folder.join("helmfile-plain.yaml");
    std::fs::write(&releases_file, plain)?;
    let releases_file = releases_file.to_string_lossy();
    let options = ["--file", &releases_file, "--environment", "staging"];
    let apply = ["--namespace", &world.namespace, "apply", "--skip-deps", "--values", &file];
    let mut command = world.helmfile(&[&options[..], &apply].concat());
    command.env("CORVEIL_CHART", chart);
    Ok(command)
}

/// The Secret that configures a registry without TLS in Argo CD.
fn repository(world: &World, releases: &Releases) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": world.namespace, "labels": {"argocd.argoproj.io/secret-type": "repository"},
        },
        "stringData": {
            "type": "helm", "name": "corveil", "url": releases.charts(),
            "enableOCI": "true", "insecureOCIForceHttp": "true",
        },
    })
}

/// The Application of the tag, with the registry's chart instead of the repository's.
fn application(releases: &Releases, release: &Release, values: &Value) -> Result<Value> {
    let text = std::fs::read_to_string(release.folder.join("argocd/application.yaml"))?;
    let mut object = objects::parse(&text)?.pop().context("a manifest has an object")?;
    let helm = object["spec"]["source"]["helm"].take();
    let of_it = merge(helm["valuesObject"].clone(), values.clone());
    object["spec"]["source"] = json!({
        "repoURL": releases.charts(), "chart": "corveil-chart", "targetRevision": release.version,
        "helm": {"releaseName": helm["releaseName"], "valuesObject": of_it},
    });
    Ok(object)
}

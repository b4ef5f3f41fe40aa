//! The plain manifests of `argocd/migrate`, with a Deployment that does not come from the chart.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::builds::{Build, FIRST};
use crate::database::Database;
use crate::engine::APP;
use crate::rollout::argocd::{Application, Commit};
use crate::scenario::argocd::{FIRST_SYNC, Followed, seconds};
use crate::scenario::{Gated, expect_untouched};
use crate::traffic::Traffic;
use crate::world::World;
use xtask::project::released;

/// The folder of the repository that follows the steps in the README of `argocd/`.
const FOLDER: &str = "app";

pub(crate) fn presync(world: &World) -> Result<String> {
    run(world, "presync")
}

pub(crate) fn wave(world: &World) -> Result<String> {
    run(world, "wave")
}

fn run(world: &World, variant: &str) -> Result<String> {
    let database = Database::create(world)?;
    world.secret(APP, &json!({"DATABASE_URL": database.url()}))?;
    let gated = Gated::new(world, Value::Null)?;
    let followed = Followed::new(gated, Application::external(world)?.on_folder(FOLDER))?;

    let first = commit(&followed, variant, Build::First)?;
    followed.application.create()?;
    let first = followed.application.live(&first, FIRST_SYNC)?;
    followed.gated.expect_job_before_pods(Build::First)?;
    let traffic = Traffic::start(world)?;
    let before = followed.gated.deployment()?;

    let broken = commit(&followed, variant, Build::Broken)?;
    followed.application.refresh()?;
    followed.application.retried(&broken, 1, FIRST_SYNC)?;
    expect_untouched(&before, &followed.gated.deployment()?)?;
    followed.gated.expect_no_pod(Build::Broken)?;

    let next = commit(&followed, variant, Build::Next)?;
    followed.application.refresh()?;
    let fixed = followed.application.live(&next, FIRST_SYNC)?;
    followed.gated.expect_job_before_pods(Build::Next)?;
    ensure!(database.applied()? == FIRST + 1, "{} are applied", database.applied()?);
    let served = traffic.expect_no_failure()?;
    let runs = followed.gated.exit_codes(Build::Broken)?.len();
    followed.end(&[])?;
    Ok(format!(
        "first live after {}, broken ran {runs} times, fix live after {}; {served} requests, none failed",
        seconds(first),
        seconds(fixed)
    ))
}

/// The kustomization of the README, with the repository's copy of the manifests and the build's image.
fn commit(followed: &Followed, variant: &str, build: Build) -> Result<Commit> {
    let kustomization = json!({
        "resources": [format!("../migrate/{variant}"), "deployment.yaml"],
        "images": [{"name": released::current().repository(), "newTag": build.tag()}],
    });
    let deployment = objects().iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n");
    let files = [
        (format!("{FOLDER}/kustomization.yaml"), kustomization.to_string()),
        (format!("{FOLDER}/deployment.yaml"), deployment),
    ];
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    followed.application.repository.commit(&files).context("commit the plain manifests")
}

/// The objects of an app without the chart. The gate needs the init container, and that no old pod is removed before a new
/// one is ready.
fn objects() -> [Value; 2] {
    let labels = json!({"app.kubernetes.io/name": "corveil-chart", "app.kubernetes.io/instance": "plain"});
    let database =
        json!({"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": APP, "key": "DATABASE_URL"}}});
    let container = |name: &str, command: &[&str]| {
        json!({
            "name": name, "image": released::current().repository(), "imagePullPolicy": "IfNotPresent",
            "command": command,
            "env": [database],
            "resources": {
                "requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"},
            },
        })
    };
    let mut app = container("app", &["corveil", "serve"]);
    app["readinessProbe"] = json!({"httpGet": {"path": "/health/ready", "port": 8000}, "periodSeconds": 5});
    app["lifecycle"] = json!({"preStop": {"sleep": {"seconds": 5}}});
    app["env"] = json!([database, {"name": "SECRET_KEY", "value": "e2e-only"}]);
    let pod = json!({
        "enableServiceLinks": false,
        "initContainers": [container("wait", &["corveil", "wait", "--for", "schema"])],
        "containers": [app],
    });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": APP},
        "spec": {
            "replicas": 1,
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": APP},
        "spec": {"selector": labels, "ports": [{"port": 8000}]},
    });
    [deployment, service]
}

//! Three environments in one ApplicationSet, all at once and one after the other.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::builds::Build;
use crate::database::Database;
use crate::engine::Engine;
use crate::rollout::Rollout;
use crate::rollout::argocd::{Repository, VALUES, follow, shipped};
use crate::scenario::argocd::{FIRST_SYNC, Followed, seconds};
use crate::scenario::expect_untouched;
use crate::world::World;

/// The environments in `argocd/applicationset.yaml`.
const ENVIRONMENTS: [&str; 3] = ["default", "staging", "production"];

const KIND: &str = "applicationsets.argoproj.io";

pub(crate) fn run(world: &World) -> Result<String> {
    let [default, staging, production] = ENVIRONMENTS
        .map(|environment| World::begin(world.stage, &format!("argocd-{environment}"), Engine::Argocd));
    let worlds = [default?, staging?, production?];
    let seen = over(world, &worlds);
    for world in &worlds {
        if seen.is_err() {
            world.record_state()?;
        }
        world.remove()?;
    }
    seen
}

fn over(world: &World, worlds: &[World; 3]) -> Result<String> {
    let databases = [Database::create(&worlds[1])?, Database::create(&worlds[2])?];
    let environments = [
        Followed::bundled(&worlds[0])?,
        Followed::external(&worlds[1], &databases[0])?,
        Followed::external(&worlds[2], &databases[1])?,
    ];
    let repository = Repository::new(world)?;
    let values = |build| Rollout::of(build, &json!({})).values();
    let first = repository.commit_values(&values(Build::First))?;
    let set = set(world, &repository)?;
    let namespace = &world.stage.argocd()?.namespace;
    world.apply_in(namespace, &set)?;
    let result = (|| {
        for Followed { application, gated, .. } in &environments {
            application.live(&first, FIRST_SYNC)?;
            gated.expect_job_before_pods(Build::First)?;
            application.expect_clean()?;
        }
        let all = first.at.elapsed()?;

        world.apply_in(namespace, &progressive(set.clone()))?;
        let before = environments[1].gated.deployment()?;
        let broken = repository.commit_values(&values(Build::Broken))?;
        refresh(&environments)?;
        // It does not wait for the last retry: these Applications do not honor `retry.limit`, so a new sync begins at once
        // then.
        environments[0].application.retried(&broken, 1, FIRST_SYNC)?;
        for Followed { gated, .. } in &environments[1..] {
            ensure!(
                gated.exit_codes(Build::Broken)?.is_empty(),
                "the broken migration ran in another environment"
            );
        }
        expect_untouched(&before, &environments[1].gated.deployment()?)?;

        let next = repository.commit_values(&values(Build::Next))?;
        refresh(&environments)?;
        for Followed { application, gated, .. } in &environments {
            application.live(&next, FIRST_SYNC)?;
            gated.expect_job_before_pods(Build::Next)?;
        }
        let turns = next.at.elapsed()?;
        expect_in_turn(&environments)?;
        let runs = environments[0].gated.exit_codes(Build::Broken)?.len();
        Ok(format!(
            "all three live after {}; the broken one ran {runs} times in the first environment and in no other; the fix live \
             in all after {}, in turn",
            seconds(all),
            seconds(turns)
        ))
    })();
    world.kubectl_anywhere(&[
        "delete",
        KIND,
        &world.namespace,
        "--namespace",
        namespace,
        "--timeout=120s",
    ])?;
    result
}

/// The shipped set, with the scenario's repository, names and namespaces.
fn set(world: &World, repository: &Repository) -> Result<Value> {
    let mut set = shipped("applicationset.yaml")?;
    set["metadata"]["name"] = json!(world.namespace);
    set["metadata"]["namespace"] = json!(world.stage.argocd()?.namespace);
    // The name that `World::begin` gives the namespace of that scenario.
    let name = json!("e2e-argocd-{{ .environment }}-argocd");
    let template = &mut set["spec"]["template"];
    template["metadata"]["name"] = name.clone();
    template["metadata"]["labels"] = json!({"environment": "{{ .environment }}"});
    template["spec"]["destination"]["namespace"] = name;
    let source = &mut template["spec"]["source"];
    follow(source, repository);
    source["helm"]["valueFiles"] = json!([VALUES]);
    Ok(set)
}

/// Makes the set sync one environment after the other.
fn progressive(mut set: Value) -> Value {
    let step = |environment: &str| json!({"matchExpressions": [{"key": "environment", "operator": "In", "values": [environment]}]});
    let steps = ENVIRONMENTS.map(step);
    set["spec"]["strategy"] = json!({"type": "RollingSync", "rollingSync": {"steps": steps}});
    set
}

fn refresh(environments: &[Followed; 3]) -> Result<()> {
    environments.iter().try_for_each(|Followed { application, .. }| application.refresh().map(drop))
}

/// Fails if an environment's migration began before the previous environment was ready.
fn expect_in_turn(environments: &[Followed; 3]) -> Result<()> {
    for pair in environments.windows(2) {
        let before = pair[0].gated.pods.events()?;
        let ready = before.iter().find(|pod| pod.is_app(Build::Next) && pod.is("Ready"));
        let after = pair[1].gated.pods.events()?;
        let begun = after.iter().find(|pod| pod.is_migration(Build::Next));
        let order = ready.zip(begun).map(|(ready, begun)| ready.at < begun.at);
        ensure!(
            order == Some(true),
            "{} began before {} was ready",
            pair[1].application.name,
            pair[0].application.name
        );
    }
    Ok(())
}

//! A deployer with the Role of `docs/deployer.md` and no other right.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use xtask::project::objects;

use crate::builds::{ADDED, Build, CAUSE};
use crate::rollout::Rollout;
use crate::scenario::Gated;
use crate::world::{Outcome, World};

/// The account that the engine acts as.
const ACCOUNT: &str = "deployer";

pub(crate) fn run(world: &World) -> Result<String> {
    let role = role()?;
    grant(world, &role)?;
    let gated = Gated::bundled(world)?;
    roll(world, gated.rollout(Build::First))?.expect_success()?;
    roll(world, gated.rollout(Build::Broken))?.expect_failure(&[CAUSE, ADDED])?;

    // Without the right to read the log the cause is not printed, and the gate holds.
    grant(world, &without(&role, "pods/log")?)?;
    let silent = roll(world, gated.rollout(Build::Broken))?.expect_failure(&[])?;
    ensure!(!silent.text.contains(CAUSE), "the log was printed without the right to read it");
    gated.expect_no_pod(Build::Broken)?;

    // The chart reads what the namespace has before anything changes.
    grant(world, &without(&role, "deployments")?)?;
    roll(world, gated.rollout(Build::Next))?.expect_failure(&["deployments.apps is forbidden"])?;

    grant(world, &role)?;
    roll(world, gated.rollout(Build::Next))?.expect_success()?;
    gated.expect_job_before_pods(Build::Next)?;
    helm(world, &["test", world.release()])?.expect_success()?;
    helm(world, &["uninstall", world.release(), "--wait"])?.expect_success()?;
    Ok("install, upgrade, test and uninstall with no other right".into())
}

/// The first block of YAML on the page.
fn role() -> Result<Value> {
    let page = std::fs::read_to_string(xtask::project::root().join("docs/deployer.md"))?;
    let block = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    objects::parse(block.context("a block of YAML")?)?.pop().context("an object")
}

/// The Role without the rights on one resource.
fn without(role: &Value, resource: &str) -> Result<Value> {
    let mut role = role.clone();
    let rules = role["rules"].as_array_mut().context("a list of rules")?;
    let before = rules.clone();
    for rule in rules.iter_mut() {
        rule["resources"].as_array_mut().context("a list of resources")?.retain(|name| name != resource);
    }
    ensure!(*rules != before, "the Role does not name `{resource}`");
    Ok(role)
}

/// Gives the account this Role.
fn grant(world: &World, role: &Value) -> Result<()> {
    let name = role["metadata"]["name"].clone();
    world.apply(&json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}},
        role,
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": ACCOUNT},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": world.namespace}],
        },
    ]}))
}

/// Rolls out as the deployer.
fn roll(world: &World, rollout: Rollout) -> Result<Outcome> {
    let [user, group] = as_deployer(world);
    world.roll(&rollout.with(&user).with(&group))
}

/// Helm as the deployer.
fn helm(world: &World, arguments: &[&str]) -> Result<Outcome> {
    let [user, group] = as_deployer(world);
    world.helm(&[arguments, &[&user, &group]].concat())
}

/// Kubernetes' own impersonation: the rights are those of the account alone.
fn as_deployer(world: &World) -> [String; 2] {
    let user = format!("--kube-as-user=system:serviceaccount:{}:{ACCOUNT}", world.namespace);
    [user, "--kube-as-group=system:serviceaccounts".to_owned()]
}

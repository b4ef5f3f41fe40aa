//! `helmfile.yaml`: each environment renders, and has the database that it should.

use corveil::config::env;
use corveil::core::gate::bounds::Bounds;
use xshell::cmd;

use super::*;
use crate::render::decode;

fn rendered(environment: &str) -> Vec<Value> {
    let (sh, helmfile, helm) = (shell(), program(Tool::Helmfile), program(Tool::Helm4));
    let _key = sh.push_env("CORVEIL_SECRET_KEY", "not-a-secret");
    let _notice = sh.push_env("HELMFILE_UPGRADE_NOTICE_DISABLED", "true");
    let text = cmd!(
        sh,
        "{helmfile} --quiet --helm-binary {helm} --environment {environment} template --kube-version 1.31.0"
    );
    objects(&text.quiet().read().unwrap())
}

#[test]
fn each_environment_renders_with_its_own_database() {
    for (environment, is_bundled) in [("default", true), ("staging", false), ("production", false)] {
        let objects = rendered(environment);
        for object in &objects {
            decode::strictly(object).unwrap_or_else(|error| panic!("{environment}: {error:#}"));
        }
        let is = |kind: &str| objects.iter().any(|object| object["kind"] == kind);
        assert_eq!((is("StatefulSet"), is("Secret")), (is_bundled, is_bundled), "{environment}");
        let job = objects.iter().find(|object| object["kind"] == "Job").expect("a migration");
        let variables =
            job["spec"]["template"]["spec"]["containers"][0]["env"].as_array().expect("its environment");
        let ddl = variables.iter().find(|variable| variable["name"] == env::MIGRATE_DATABASE_URL);
        let ddl = ddl.map(|variable| variable["valueFrom"]["secretKeyRef"].clone());
        let secret = serde_json::json!({"name": "corveil-migrate", "key": env::MIGRATE_DATABASE_URL});
        assert_eq!(ddl, (!is_bundled).then_some(secret), "{environment}");
    }
}

/// The Job ends by its own deadline, with a reason; Helm's timeout knows none.
#[test]
fn the_timeout_is_above_the_deadline_of_the_job() {
    let text = std::fs::read_to_string(crate::root().join("helmfile.yaml")).unwrap();
    let release = objects(&text).pop().unwrap()["releases"][0].clone();
    assert_eq!(release["wait"], true);
    assert!(release["timeout"].as_u64().unwrap() > Bounds::DEFAULT.active_deadline.as_secs());
}

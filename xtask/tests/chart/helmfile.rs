//! `helmfile.yaml`: each environment renders, and has the database that it should.

use corveil::env;
use xshell::cmd;
use xtask::gate::bounds::Bounds;

use super::*;
use crate::decode;

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
    let release = &state()["releases"][0];
    assert_eq!(release["wait"], true);
    assert!(release["timeout"].as_u64().unwrap() > Bounds::DEFAULT.active_deadline.as_secs());
}

fn state() -> Value {
    let text = std::fs::read_to_string(xtask::project::root().join("helmfile.yaml")).unwrap();
    objects(&text).pop().unwrap()
}

/// Else `helmfile apply` after a failure compares with what failed, finds nothing to do, and succeeds.
#[test]
fn what_failed_is_a_difference() {
    assert_eq!(state()["helmDefaults"]["diffArgs"], serde_json::json!(["--three-way-merge", "--no-hooks"]));
}

/// Runs what `helmfile.yaml` runs after a command, with a Helm that does this. Ends with its exit code.
fn after(command: &str, helm: &str) -> Option<i32> {
    let hook = &state()["hooks"][0];
    assert_eq!((&hook["events"][0], &hook["args"][0]), (&"cleanup".into(), &"helmfile/failed.sh".into()));
    let mut process = std::process::Command::new(hook["command"].as_str().unwrap());
    // A function of this name comes before any program, and a script that is read in has its reader's arguments.
    let script = format!("helm() {{ {helm}; }}; . ./helmfile/failed.sh");
    process.args(["-c", &script, "sh", command, "corveil"]).current_dir(xtask::project::root());
    process.env_remove("HELMFILE_HELM_BINARY").status().unwrap().code()
}

/// Where every object was written before the upgrade failed, nothing differs.
#[test]
fn an_apply_without_a_difference_fails_after_a_revision_that_failed() {
    assert_eq!(after("apply", "echo STATUS: failed"), Some(1));
    assert_eq!(after("apply", "echo STATUS: pending-upgrade"), Some(1), "it was killed, or is under way");
    assert_eq!(after("apply", "echo STATUS: deployed"), Some(0));
    assert_eq!(after("apply", "exit 1"), Some(0), "no cluster, no release, or another Helm");
    assert_eq!(after("template", "echo STATUS: failed"), Some(0));
    assert_eq!(after("", "echo STATUS: failed"), Some(0), "the apply has failed itself, and said why");
}

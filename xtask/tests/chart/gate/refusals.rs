//! Values that cannot work are refused when the chart is rendered, in one sentence that names the key.

use serde_json::{Value, json};

use super::{HELMS, bundled, external, render, with};

#[track_caller]
fn assert_refused(values: &Value, key: &str) {
    for helm in HELMS {
        let error = match render(helm, &[], values) {
            Ok(_) => panic!("{helm:?} renders {values}"),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(&format!("`{key}`")), "{helm:?} does not name `{key}`: {error}");
    }
}

#[test]
fn a_phase_that_comes_before_the_bundled_database_is_refused() {
    assert_refused(
        &with(bundled(), json!({"migrate": {"argocd": {"phase": "PreSync"}}})),
        "migrate.argocd.phase",
    );
}

#[test]
fn a_deadline_within_the_waits_of_one_attempt_is_refused() {
    for migrate in [
        json!({"activeDeadlineSeconds": 200}),
        json!({"waitForDb": "3m"}),
        json!({"lockWait": "1h"}),
        json!({"lockWait": "130s", "waitForDb": "2m"}),
    ] {
        assert_refused(&with(external(), json!({"migrate": migrate})), "migrate.activeDeadlineSeconds");
    }
    let enough = json!({"migrate": {"activeDeadlineSeconds": 201}});
    for helm in HELMS {
        render(helm, &[], &with(external(), enough.clone())).expect("one second is left");
    }
}

#[test]
fn a_secret_without_a_key_is_refused() {
    let migrate = json!({"database": {"existingSecret": "ddl", "key": ""}});
    assert_refused(&with(external(), json!({"migrate": migrate})), "migrate.database.key");
}

#[test]
fn a_secret_that_the_hook_would_delete_is_refused() {
    let copy = "corveil-migrate-copy";
    assert_refused(&with(external(), json!({"existingSecret": copy})), "existingSecret");
    let database = json!({"database": {"existingSecret": copy}});
    assert_refused(&with(external(), json!({"migrate": database})), "migrate.database.existingSecret");
}

#[test]
fn the_account_of_the_app_is_refused() {
    let own = json!({"migrate": {"serviceAccount": "corveil"}});
    assert_refused(&with(external(), own), "migrate.serviceAccount");
    // Somebody else made it: the rights are the app's all the same.
    let given =
        json!({"migrate": {"serviceAccount": "app"}, "serviceAccount": {"create": false, "name": "app"}});
    assert_refused(&with(external(), given), "migrate.serviceAccount");
    // Which is what a Job without an account has too.
    let default = json!({"migrate": {"serviceAccount": "default"}, "serviceAccount": {"create": false}});
    for helm in HELMS {
        render(helm, &[], &with(external(), default.clone())).expect("the namespace's own is everybody's");
    }
}

#[test]
fn an_account_that_is_everybodys_is_not_created() {
    let own = json!({"migrate": {"createServiceAccount": true, "serviceAccount": "default"}, "serviceAccount": {"create": false}});
    assert_refused(&with(external(), own), "migrate.serviceAccount");
}

#[test]
fn annotations_that_would_make_the_job_no_gate_are_refused() {
    for name in ["helm.sh/hook", "argocd.argoproj.io/hook-delete-policy"] {
        let annotations = json!({"migrate": {"annotations": {name: "x"}}});
        assert_refused(&with(external(), annotations), "migrate.annotations");
    }
}

#[test]
fn a_version_to_adopt_that_is_none_or_is_not_adopted_is_refused() {
    for adopt in
        [json!({"enabled": true, "to": "0007_index"}), json!({"enabled": true, "to": 7.5}), json!({"to": 7})]
    {
        assert_refused(&with(external(), json!({"migrate": {"adopt": adopt}})), "migrate.adopt.to");
    }
}

#[test]
fn a_tool_to_adopt_from_that_is_not_known_is_refused() {
    let adopt = json!({"migrate": {"adopt": {"enabled": true, "from": "make"}}});
    for helm in HELMS {
        let error =
            render(helm, &[], &with(external(), adopt.clone())).expect_err("the schema lists the tools");
        assert!(error.to_string().contains("golang-migrate"), "{helm:?} names none: {error}");
    }
}

#[test]
fn a_variable_that_has_a_key_is_refused() {
    for (variable, key) in [
        ("DATABASE_URL", "externalDatabase.url"),
        ("MIGRATE_DATABASE_URL", "migrate.database.existingSecret"),
        ("CORVEIL_LOCK_WAIT", "migrate.lockWait"),
        ("CORVEIL_DEADLINE", "migrate.activeDeadlineSeconds"),
        ("CORVEIL_ADOPT", "migrate.adopt.enabled"),
    ] {
        let extra = json!({"migrate": {"extraEnv": [{"name": variable, "value": "x"}]}});
        assert_refused(&with(external(), extra), key);
    }
    for (variable, key) in [("DATABASE_URL", "externalDatabase.url"), ("CORVEIL_TIMEOUT", "wait.timeout")] {
        let extra = json!({"extraEnv": [{"name": variable, "value": "x"}]});
        assert_refused(&with(external(), extra), key);
    }
}

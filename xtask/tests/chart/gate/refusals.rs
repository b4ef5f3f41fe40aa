//! Values that cannot work are refused when the chart is rendered, in one sentence that names the key.

use corveil::env;
use serde_json::{Value, json};
use xtask::gate::{self, Database, Phase};
use xtask::generate::job::typed::{self, Setting, Strings};
use xtask::generate::values::{self, Key, Kind};

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
fn a_phase_is_refused_where_it_cannot_work() {
    for (database, values) in [(Database::External, external()), (Database::Bundled, bundled())] {
        for phase in Phase::ALL {
            let values = with(values.clone(), json!({"migrate": {"argocd": {"phase": phase.name()}}}));
            if !database.allows(phase) {
                assert_refused(&values, "migrate.argocd.phase");
                continue;
            }
            for helm in HELMS {
                render(helm, &[], &values).unwrap_or_else(|error| panic!("{helm:?} {phase:?}: {error}"));
            }
        }
    }
}

#[test]
fn a_phase_that_is_none_is_refused_without_the_schema_too() {
    let values = with(external(), json!({"migrate": {"argocd": {"phase": "Later"}}}));
    for helm in HELMS {
        let error = render(helm, &["--skip-schema-validation"], &values).expect_err("there is no such phase");
        for phase in Phase::ALL {
            assert!(error.to_string().contains(&format!("`{}`", phase.name())), "{helm:?}: {error}");
        }
    }
}

#[test]
fn root_as_the_user_of_a_pod_that_never_runs_as_root_is_refused() {
    for (values, key) in [
        (json!({"podSecurityContext": {"runAsUser": 0}}), "podSecurityContext.runAsUser"),
        (json!({"securityContext": {"runAsUser": 0}}), "securityContext.runAsUser"),
        (
            json!({"podSecurityContext": {"runAsUser": 0}, "securityContext": {"runAsUser": null}}),
            "podSecurityContext.runAsUser",
        ),
    ] {
        assert_refused(&with(external(), values), key);
    }
    // The container's user wins, and null is none.
    for values in [
        json!({"podSecurityContext": {"runAsUser": 0}, "securityContext": {"runAsUser": 1000}}),
        json!({"podSecurityContext": {"runAsUser": null}}),
    ] {
        for helm in HELMS {
            render(helm, &[], &with(external(), values.clone())).expect("another user");
        }
    }
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

#[test]
fn each_variable_that_a_job_sets_is_refused_with_a_key_that_exists() {
    let job = typed::job(
        gate::Job::Hook,
        "",
        &Strings::new(),
        Vec::new(),
        &Setting {
            ddl: Some((String::new(), String::new())),
            adopt: Some((String::new(), Some(String::new()))),
            history: vec![(env::HISTORY_SCHEMA, String::new()), (env::HISTORY_OWNER, String::new())],
            ..Setting::new("", Strings::new())
        },
    );
    let pod = job.spec.and_then(|spec| spec.template.spec).expect("a Job has a pod");
    let variables = pod.containers.into_iter().flat_map(|container| container.env.unwrap_or_default());
    let names: Vec<_> = variables.map(|variable| variable.name).collect();
    assert!(names.len() > 12, "{names:?}");
    for name in names {
        let extra = json!({"migrate": {"extraEnv": [{"name": name, "value": "x"}]}});
        let error = render(HELMS[1], &[], &with(external(), extra)).expect_err(&name).to_string();
        let keys = error
            .split_once("`migrate.extraEnv` sets what `")
            .and_then(|(_, rest)| rest.split_once("` is for"));
        let (keys, _) = keys.unwrap_or_else(|| panic!("{name}: {error}"));
        for key in keys.split("` or `") {
            assert!(is_key(&values::keys(), key), "{name}: there is no `{key}`");
        }
    }
}

/// Whether the values have this key.
fn is_key(keys: &[Key], path: &str) -> bool {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    keys.iter().filter(|key| key.name == name).any(|key| match (&key.kind, rest) {
        (_, None) => true,
        (Kind::Section(keys, _), Some(rest)) => is_key(keys, rest),
        _ => false,
    })
}

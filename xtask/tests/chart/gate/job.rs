//! The migration's objects in every mode, compared with their types field by field.

use corveil::env;
use serde_json::{Value, json};
use xtask::gate::{self, Database, Part, Phase, Step};

use super::cluster::Cluster;
use super::{HELMS, bundled, external, inputs, render, with};
use crate::decode;
use xtask::generate::job::typed::{self, Setting, Strings, strings};
use xtask::project::released;

/// An argument that makes Helm render an upgrade; Argo CD never does.
const UPGRADE: &[&str] = &["--is-upgrade"];
/// What [`bundled`] and [`external`] lead to.
const BUNDLED_URL: &str = "postgresql://citadel:citadel@corveil-postgresql:5432/citadel";
const EXTERNAL_URL: &str = "postgres://app:secret@database/app";
/// The name of the hook's objects.
const HOOK: &str = "corveil-migrate";
/// The name of the objects of phase Wave.
const WAVE: &str = "corveil-migrate-wave";
/// The name of the Secret that goes with the hook.
const COPY: &str = "corveil-migrate-copy";
/// The name of the Job whose real name ends in a hash.
const BOOTSTRAP: &str = "corveil-migrate-HASH";

/// The same objects from both Helms, and nothing else that belongs to the migration.
#[track_caller]
fn assert_renders(arguments: &[&str], values: &Value, expected: &[Value]) {
    for helm in HELMS {
        let objects = render(helm, arguments, values).unwrap_or_else(|error| panic!("{helm:?}: {error}"));
        let mut ours: Vec<_> = objects.into_iter().filter(is_ours).collect();
        for object in &mut ours {
            decode::strictly(object).unwrap_or_else(|error| panic!("{helm:?}: {error}"));
            hide_hash(object);
        }
        let names = |objects: &[Value]| {
            let mut names: Vec<_> = objects.iter().map(name).collect();
            names.sort();
            names
        };
        assert_eq!(names(&ours), names(expected), "{helm:?} {arguments:?} {values}");
        for expected in expected {
            let rendered =
                ours.iter().find(|object| name(object) == name(expected)).expect("the names are the same");
            if let Some(path) = decode::lost(expected, rendered, "").or(decode::lost(rendered, expected, ""))
            {
                panic!(
                    "{helm:?} {arguments:?} {values}: {}{path} is not that of its type:\n{rendered:#}",
                    name(expected)
                );
            }
        }
    }
}

fn is_ours(object: &Value) -> bool {
    object["metadata"]["labels"]["app.kubernetes.io/component"] == "migrate"
}

fn name(object: &Value) -> String {
    format!("{} {}", object["kind"], object["metadata"]["name"])
}

/// Ten digits of a hash, of which other tests say what they follow from.
fn hide_hash(object: &mut Value) {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let hash = name.strip_prefix("corveil-migrate-").unwrap_or_default();
    if hash.len() == 10 && hash.chars().all(|c| c.is_ascii_hexdigit()) {
        object["metadata"]["name"] = BOOTSTRAP.into();
    }
}

fn setting(secret: &str) -> Setting {
    let labels = strings(&[
        ("app.kubernetes.io/component", "migrate"),
        ("app.kubernetes.io/instance", "corveil"),
        ("app.kubernetes.io/name", "corveil-chart-migrate"),
    ]);
    Setting::new(secret, labels)
}

fn object_labels() -> Strings {
    strings(&[
        ("app.kubernetes.io/managed-by", "Helm"),
        ("app.kubernetes.io/version", env!("CARGO_PKG_VERSION")),
        ("helm.sh/chart", concat!("corveil-chart-", env!("CARGO_PKG_VERSION"))),
    ])
}

fn tree(object: &impl serde::Serialize) -> Value {
    serde_json::to_value(object).expect("Kubernetes' types are plain data")
}

fn hook_of(database: Database, phase: Phase, setting: &Setting) -> Value {
    let annotations = gate::hook(Part::Job, database, phase);
    tree(&typed::job(gate::Job::Hook, HOOK, &object_labels(), annotations, setting))
}

fn hook(database: Database, phase: Phase) -> Value {
    hook_of(database, phase, &setting(COPY))
}

fn bootstrap() -> Value {
    let labels = object_labels();
    tree(&typed::job(gate::Job::Bootstrap, BOOTSTRAP, &labels, Vec::new(), &setting("corveil-secrets")))
}

fn wave() -> Value {
    let (labels, annotations) = (object_labels(), gate::wave(Step::Job));
    let setting = setting("corveil-secrets");
    tree(&typed::job(gate::Job::Wave, WAVE, &labels, annotations, &setting))
}

fn copy(database: Database, phase: Phase) -> Value {
    let url = if database == Database::Bundled { BUNDLED_URL } else { EXTERNAL_URL };
    let annotations = gate::hook(Part::Inputs, database, phase);
    tree(&inputs::secret(COPY, url, &object_labels(), annotations, &setting("")))
}

fn policy(suffix: &str, annotations: gate::Annotations) -> Value {
    let name = format!("corveil-migrate{suffix}");
    tree(&inputs::network_policy(&name, &object_labels(), annotations, &setting("")))
}

#[test]
fn an_external_database_is_migrated_by_a_hook_before_anything_else() {
    let expected = [hook(Database::External, Phase::PreSync), copy(Database::External, Phase::PreSync)];
    assert_renders(&[], &external(), &expected);
    assert_renders(UPGRADE, &external(), &expected);
}

#[test]
fn a_bundled_database_is_migrated_by_a_hook_on_upgrades_and_under_argo_cd() {
    let expected = [hook(Database::Bundled, Phase::Sync), copy(Database::Bundled, Phase::Sync)];
    assert_renders(&[], &bundled(), &expected);
    assert_renders(UPGRADE, &bundled(), &[&expected[..], &[bootstrap()]].concat());
}

#[test]
fn the_phase_is_the_one_of_the_values() {
    let phase = |phase: Phase| json!({"migrate": {"argocd": {"phase": phase.name()}}});
    for given in [Phase::PreSync, Phase::Sync] {
        let expected = [hook(Database::External, given), copy(Database::External, given)];
        assert_renders(&[], &with(external(), phase(given)), &expected);
    }
    let expected = [hook(Database::Bundled, Phase::Sync), copy(Database::Bundled, Phase::Sync)];
    assert_renders(&[], &with(bundled(), phase(Phase::Sync)), &expected);
}

#[test]
fn a_wave_is_a_plain_job_under_argo_cd_and_the_hook_under_helm() {
    let phase = json!({"migrate": {"argocd": {"phase": "Wave"}}});
    let external = with(external(), phase.clone());
    let bundled = with(bundled(), phase);
    assert_renders(&[], &external, &[wave()]);
    assert_renders(&[], &bundled, &[wave()]);

    let hook_and_copy = [hook(Database::External, Phase::PreSync), copy(Database::External, Phase::PreSync)];
    assert_renders(UPGRADE, &external, &hook_and_copy);
    let hook_and_copy = [hook(Database::Bundled, Phase::Sync), copy(Database::Bundled, Phase::Sync)];
    assert_renders(UPGRADE, &bundled, &[&hook_and_copy[..], &[bootstrap()]].concat());
}

#[test]
fn helm_bootstraps_a_bundled_database_from_the_first_install_on() {
    let cluster = Cluster::without_database();
    let expected = [hook(Database::Bundled, Phase::Sync), copy(Database::Bundled, Phase::Sync), bootstrap()];
    assert_renders(&cluster.arguments(&[]), &bundled(), &expected);
}

#[test]
fn helm_gets_the_hook_at_a_first_install_in_phase_wave_too() {
    let cluster = Cluster::without_database();
    let values = with(external(), json!({"migrate": {"argocd": {"phase": "Wave"}}}));
    let expected = [hook(Database::External, Phase::PreSync), copy(Database::External, Phase::PreSync)];
    assert_renders(&cluster.arguments(&[]), &values, &expected);
}

#[test]
fn the_hook_stays_away_from_a_bundled_database_that_is_not_there() {
    for cluster in [Cluster::without_database(), Cluster::with_database(0)] {
        assert_renders(&cluster.arguments(UPGRADE), &bundled(), &[bootstrap()]);
    }
    let cluster = Cluster::with_database(1);
    let expected = [hook(Database::Bundled, Phase::Sync), copy(Database::Bundled, Phase::Sync), bootstrap()];
    assert_renders(&cluster.arguments(UPGRADE), &bundled(), &expected);
}

#[test]
fn an_external_database_needs_no_look_at_the_cluster() {
    // Who may not list Deployments can still install with one.
    let cluster = Cluster::that_forbids();
    let expected = [hook(Database::External, Phase::PreSync), copy(Database::External, Phase::PreSync)];
    for arguments in [&[], UPGRADE] {
        assert_renders(&cluster.arguments(arguments), &external(), &expected);
    }
    for helm in HELMS {
        let error = render(helm, &cluster.arguments(UPGRADE), &bundled()).expect_err("this one has to look");
        assert!(error.to_string().contains("lookup"), "{helm:?}: {error}");
    }
}

#[test]
fn an_existing_secret_is_read_as_it_is() {
    let own = json!({"existingSecret": "own"});
    assert_renders(
        &[],
        &with(external(), own.clone()),
        &[hook_of(Database::External, Phase::PreSync, &setting("own"))],
    );
    assert_renders(&[], &with(bundled(), own), &[hook_of(Database::Bundled, Phase::Sync, &setting("own"))]);
}

#[test]
fn a_role_of_its_own_comes_from_a_secret_of_its_own() {
    let values = with(external(), json!({"migrate": {"database": {"existingSecret": "ddl"}}}));
    let mut expected = setting(COPY);
    expected.ddl = Some(("ddl".into(), "MIGRATE_DATABASE_URL".into()));
    let job = hook_of(Database::External, Phase::PreSync, &expected);
    assert_renders(&[], &values, &[job, copy(Database::External, Phase::PreSync)]);

    let values = with(values, json!({"migrate": {"database": {"key": "url"}}}));
    expected.ddl = Some(("ddl".into(), "url".into()));
    let job = hook_of(Database::External, Phase::PreSync, &expected);
    assert_renders(&[], &values, &[job, copy(Database::External, Phase::PreSync)]);
}

#[test]
fn every_job_takes_over_what_something_else_migrated_when_it_is_asked_to() {
    let adopt = |adopt: Value| json!({"migrate": {"adopt": adopt}});
    let asked = json!({"enabled": true, "from": "golang-migrate", "to": 20_240_101_120_000_i64});
    for (values, from, to) in [
        (json!({"enabled": true}), "auto", None),
        (json!({"enabled": true, "from": "goose", "to": "7"}), "goose", Some("7")),
        // Without quotes, a number of fourteen digits is a float to Helm.
        (asked, "golang-migrate", Some("20240101120000")),
    ] {
        let setting = |secret: &str| Setting {
            adopt: Some((from.to_owned(), to.map(str::to_owned))),
            ..setting(secret)
        };
        let (labels, annotations) = (object_labels(), gate::wave(Step::Job));
        let own = setting("corveil-secrets");
        let bootstrap = tree(&typed::job(gate::Job::Bootstrap, BOOTSTRAP, &labels, Vec::new(), &own));
        let wave = tree(&typed::job(gate::Job::Wave, WAVE, &labels, annotations, &own));
        let hook = hook_of(Database::Bundled, Phase::Sync, &setting(COPY));
        let values = with(bundled(), adopt(values));
        let expected = [hook, copy(Database::Bundled, Phase::Sync), bootstrap];
        assert_renders(UPGRADE, &values, &expected);
        assert_renders(&[], &with(values, json!({"migrate": {"argocd": {"phase": "Wave"}}})), &[wave]);
    }
    let off = adopt(json!({"enabled": false, "from": "goose"}));
    let expected = [hook(Database::External, Phase::PreSync), copy(Database::External, Phase::PreSync)];
    assert_renders(&[], &with(external(), off), &expected);
}

#[test]
fn job_pods_and_app_mean_one_history() {
    let history =
        [(env::HISTORY_SCHEMA, "tenant".to_owned()), (env::HISTORY_OWNER, "ddl".to_owned())].to_vec();
    let setting = |secret: &str| Setting { history: history.clone(), ..setting(secret) };
    let values = with(external(), json!({"history": {"schema": "tenant", "owner": "ddl"}}));
    let hook = hook_of(Database::External, Phase::PreSync, &setting(COPY));
    assert_renders(&[], &values, &[hook, copy(Database::External, Phase::PreSync)]);
    for helm in HELMS {
        let objects = render(helm, &[], &values).unwrap_or_else(|error| panic!("{helm:?}: {error}"));
        let deployment = objects.iter().find(|object| object["kind"] == "Deployment").expect("a Deployment");
        let init = &deployment["spec"]["template"]["spec"]["initContainers"][0]["env"];
        let config = objects.iter().find(|object| object["metadata"]["name"] == "corveil-env");
        let data = &config.expect("a ConfigMap")["data"];
        for (name, value) in &history {
            assert!(
                init.as_array().expect("a list").contains(&json!({"name": name, "value": value})),
                "{init}"
            );
            assert_eq!(data[*name], json!(value));
        }
    }
}

#[test]
fn nothing_is_left_of_a_gate_that_is_turned_off() {
    let off = json!({"migrate": {"enabled": false}, "networkPolicy": {"enabled": true}});
    assert_renders(UPGRADE, &with(external(), off.clone()), &[]);
    assert_renders(UPGRADE, &with(bundled(), off), &[]);
}

#[test]
fn each_job_has_a_network_policy_that_is_there_before_it() {
    let on = json!({"networkPolicy": {"enabled": true}});
    let hook_policy = |database, phase| policy("", gate::hook(Part::Inputs, database, phase));
    assert_renders(
        &[],
        &with(external(), on.clone()),
        &[
            hook(Database::External, Phase::PreSync),
            copy(Database::External, Phase::PreSync),
            hook_policy(Database::External, Phase::PreSync),
        ],
    );
    assert_renders(
        UPGRADE,
        &with(bundled(), on.clone()),
        &[
            hook(Database::Bundled, Phase::Sync),
            copy(Database::Bundled, Phase::Sync),
            hook_policy(Database::Bundled, Phase::Sync),
            bootstrap(),
            policy("-bootstrap", Vec::new()),
        ],
    );
    assert_renders(
        &[],
        &with(external(), with(on, json!({"migrate": {"argocd": {"phase": "Wave"}}}))),
        &[wave(), policy("-wave", gate::wave(Step::Inputs))],
    );
}

#[test]
fn rules_of_the_users_are_added_to_each_policy() {
    let rule = json!({"ports": [{"port": 8443, "protocol": "TCP"}]});
    let on = json!({"networkPolicy": {"enabled": true, "additionalEgressRules": [rule]}});
    let policy = |suffix: &str, annotations| {
        let mut policy = policy(suffix, annotations);
        policy["spec"]["egress"].as_array_mut().expect("a list").push(rule.clone());
        policy
    };
    let inputs = gate::hook(Part::Inputs, Database::Bundled, Phase::Sync);
    let expected = [
        hook(Database::Bundled, Phase::Sync),
        copy(Database::Bundled, Phase::Sync),
        policy("", inputs),
        bootstrap(),
        policy("-bootstrap", Vec::new()),
    ];
    assert_renders(UPGRADE, &with(bundled(), on.clone()), &expected);
    let phase = json!({"migrate": {"argocd": {"phase": Phase::Wave.name()}}});
    let expected = [wave(), policy("-wave", gate::wave(Step::Inputs))];
    assert_renders(&[], &with(external(), with(on, phase)), &expected);
}

/// A digest of no image.
const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn each_value_of_a_job_has_its_place() {
    let values = every_value();
    let setting = |secret: &str| Setting {
        ddl: Some(("ddl".into(), "url".into())),
        adopt: Some(("goose".into(), Some("7".into()))),
        history: vec![(env::HISTORY_SCHEMA, "tenant".into()), (env::HISTORY_OWNER, "ddl".into())],
        ..setting(secret)
    };
    let job = |which, name: &str, annotations, secret: &str| {
        let job = typed::job(which, name, &object_labels(), annotations, &setting(secret));
        with_every_value(tree(&job), &values)
    };
    let hook = |database, phase| job(gate::Job::Hook, HOOK, gate::hook(Part::Job, database, phase), COPY);
    assert_renders(
        &[],
        &with(external(), values.clone()),
        &[hook(Database::External, Phase::PreSync), copy(Database::External, Phase::PreSync)],
    );
    assert_renders(
        UPGRADE,
        &with(bundled(), values.clone()),
        &[
            hook(Database::Bundled, Phase::Sync),
            copy(Database::Bundled, Phase::Sync),
            job(gate::Job::Bootstrap, BOOTSTRAP, Vec::new(), "corveil-secrets"),
        ],
    );
    let phase = json!({"migrate": {"argocd": {"phase": Phase::Wave.name()}}});
    assert_renders(
        &[],
        &with(with(external(), values.clone()), phase),
        &[job(gate::Job::Wave, WAVE, gate::wave(Step::Job), "corveil-secrets")],
    );
}

/// Another value than the default for each key that a Job reads.
fn every_value() -> Value {
    json!({
        "history": {"schema": "tenant", "owner": "ddl"},
        "image": {"digest": DIGEST, "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "registry"}],
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "k", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{}]}}},
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["db"]}],
        "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
        "dnsPolicy": "Default",
        "podSecurityContext": {"fsGroup": 2000},
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
        "priorityClassName": "the-apps",
        "migrate": {
            "database": {"existingSecret": "ddl", "key": "url"},
            "adopt": {"enabled": true, "from": "goose", "to": 7},
            "serviceAccount": "0123",
            "activeDeadlineSeconds": 4000,
            "backoffLimit": 0,
            "waitForDb": "10s",
            "lockWait": "1h 500ms",
            "lockTimeout": "1s",
            "statementTimeout": "30min",
            "retries": 3,
            "outOfOrder": "apply",
            "errorDetail": true,
            "resources": {"requests": {"cpu": "250m"}},
            "extraEnv": [{"name": "PGAPPNAME", "value": "x"}],
            "extraVolumes": [{"name": "ca", "secret": {"secretName": "ca"}}],
            "extraVolumeMounts": [{"name": "ca", "mountPath": "/ca"}],
            "extraEnvFrom": [{"secretRef": {"name": "pg"}}],
            "extraInitContainers": [{"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}],
            "priorityClassName": "0123",
            "podLabels": {"team": "7", "sidecar.istio.io/inject": "true", "app.kubernetes.io/name": "corveil-chart"},
            "podAnnotations": {"note": "true"},
        },
    })
}

/// The Job as those values make it.
fn with_every_value(mut job: Value, values: &Value) -> Value {
    let spec = &mut job["spec"];
    if spec.get("activeDeadlineSeconds").is_some() {
        spec["activeDeadlineSeconds"] = 4000.into();
    }
    spec["backoffLimit"] = 0.into();
    spec["template"]["metadata"]["labels"]["team"] = "7".into();
    spec["template"]["metadata"]["labels"]["sidecar.istio.io/inject"] = "true".into();
    spec["template"]["metadata"]["annotations"]["note"] = "true".into();
    let pod = &mut spec["template"]["spec"];
    pod["serviceAccountName"] = "0123".into();
    pod["securityContext"]["fsGroup"] = 2000.into();
    pod["priorityClassName"] = "0123".into();
    pod["initContainers"] = values["migrate"]["extraInitContainers"].clone();
    for key in [
        "imagePullSecrets",
        "nodeSelector",
        "tolerations",
        "affinity",
        "hostAliases",
        "dnsConfig",
        "dnsPolicy",
    ] {
        pod[key] = values[key].clone();
    }
    pod["volumes"] = values["migrate"]["extraVolumes"].clone();
    let container = &mut pod["containers"][0];
    container["envFrom"] = values["migrate"]["extraEnvFrom"].clone();
    container["volumeMounts"] = values["migrate"]["extraVolumeMounts"].clone();
    container["image"] = format!("{}@{DIGEST}", released::current().repository()).into();
    container["imagePullPolicy"] = "Always".into();
    container["resources"]["requests"]["cpu"] = "250m".into();
    let variables = container["env"].as_array_mut().expect("a list");
    for (name, value) in [
        ("CORVEIL_WAIT_FOR_DB", "10s"),
        ("CORVEIL_LOCK_WAIT", "1h 500ms"),
        ("CORVEIL_LOCK_TIMEOUT", "1s"),
        ("CORVEIL_STATEMENT_TIMEOUT", "30min"),
        ("CORVEIL_RETRIES", "3"),
        ("CORVEIL_OUT_OF_ORDER", "apply"),
        ("CORVEIL_DETAIL", "on"),
        ("CORVEIL_DEADLINE", "3980s"),
    ] {
        // The bootstrap has no deadline.
        if let Some(variable) = variables.iter_mut().find(|variable| variable["name"] == name) {
            variable["value"] = value.into();
        }
    }
    variables.push(json!({"name": "PGAPPNAME", "value": "x"}));
    job
}

#[test]
fn an_account_of_the_jobs_own_is_there_before_it_and_goes_with_it() {
    let given = strings(&[("eks.amazonaws.com/role-arn", "arn:aws:iam::1:role/ddl")]);
    let account = |name: &str, annotations: gate::Annotations| {
        tree(&inputs::service_account(name, &given, &object_labels(), annotations, &setting("")))
    };
    let with_account = |mut job: Value, name: &str| {
        job["spec"]["template"]["spec"]["serviceAccountName"] = name.into();
        job
    };
    let values = json!({"migrate": {"createServiceAccount": true, "serviceAccountAnnotations": given}});
    for (name, values) in [
        (HOOK, values.clone()),
        ("0123", with(values.clone(), json!({"migrate": {"serviceAccount": "0123"}}))),
    ] {
        let expected = [
            with_account(hook(Database::External, Phase::PreSync), name),
            copy(Database::External, Phase::PreSync),
            account(name, gate::hook(Part::Inputs, Database::External, Phase::PreSync)),
        ];
        assert_renders(&[], &with(external(), values.clone()), &expected);
        // The hook's goes when the hook has succeeded, while the bootstrap may still run.
        let expected = [
            with_account(hook(Database::Bundled, Phase::Sync), name),
            copy(Database::Bundled, Phase::Sync),
            account(name, gate::hook(Part::Inputs, Database::Bundled, Phase::Sync)),
            with_account(bootstrap(), "corveil-migrate-bootstrap"),
            account("corveil-migrate-bootstrap", Vec::new()),
        ];
        assert_renders(UPGRADE, &with(bundled(), values.clone()), &expected);
        let name = if name == "0123" { name } else { WAVE };
        let wave_values = with(values, json!({"migrate": {"argocd": {"phase": "Wave"}}}));
        let expected = [with_account(wave(), name), account(name, gate::wave(Step::Inputs))];
        assert_renders(&[], &with(external(), wave_values), &expected);
    }
}

#[test]
fn labels_and_annotations_of_the_users_are_added_to_the_gates_own() {
    let labels = strings(&[("team", "ai"), ("cost", "7")]);
    let annotations = strings(&[("note", "true")]);
    let setting = |secret: &str| Setting {
        more_labels: labels.clone(),
        annotations: annotations.clone(),
        ..setting(secret)
    };
    let values = json!({
        "commonLabels": labels, "migrate": {"annotations": annotations}, "networkPolicy": {"enabled": true},
    });
    let inputs = || gate::hook(Part::Inputs, Database::Bundled, Phase::Sync);
    let policy = |name: &str, annotations: gate::Annotations| {
        tree(&inputs::network_policy(name, &object_labels(), annotations, &setting("")))
    };
    let job = |which, name: &str, annotations, secret: &str| {
        tree(&typed::job(which, name, &object_labels(), annotations, &setting(secret)))
    };
    let expected = [
        hook_of(Database::Bundled, Phase::Sync, &setting(COPY)),
        tree(&inputs::secret(COPY, BUNDLED_URL, &object_labels(), inputs(), &setting(""))),
        policy(HOOK, inputs()),
        job(gate::Job::Bootstrap, BOOTSTRAP, Vec::new(), "corveil-secrets"),
        policy("corveil-migrate-bootstrap", Vec::new()),
    ];
    assert_renders(UPGRADE, &with(bundled(), values.clone()), &expected);
    let wave_values = with(values, json!({"migrate": {"argocd": {"phase": "Wave"}}}));
    let expected = [
        job(gate::Job::Wave, WAVE, gate::wave(Step::Job), "corveil-secrets"),
        policy(WAVE, gate::wave(Step::Inputs)),
    ];
    assert_renders(&[], &with(external(), wave_values), &expected);
}

#[test]
fn the_pod_stays_restricted_whatever_the_app_is_allowed() {
    let values = with(
        external(),
        json!({
            "podSecurityContext": {"runAsUser": 1_000_660_000, "runAsGroup": null, "fsGroup": null, "runAsNonRoot": false, "sysctls": []},
            "securityContext": {"privileged": true, "allowPrivilegeEscalation": true, "readOnlyRootFilesystem": false, "runAsUser": 1_000_660_000},
        }),
    );
    let mut job = hook(Database::External, Phase::PreSync);
    let pod = &mut job["spec"]["template"]["spec"];
    pod["securityContext"] = json!({
        "runAsNonRoot": true,
        "runAsUser": 1_000_660_000,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    pod["containers"][0]["securityContext"]["runAsUser"] = 1_000_660_000.into();
    assert_renders(&[], &values, &[job, copy(Database::External, Phase::PreSync)]);
}

/// The real name of the bootstrap Job.
fn bootstrap_name(values: &Value) -> String {
    let objects = render(HELMS[1], UPGRADE, values).unwrap_or_else(|error| panic!("{error}"));
    let names = objects.iter().filter(|object| is_ours(object) && object["kind"] == "Job");
    let mut names = names.filter_map(|object| object["metadata"]["name"].as_str());
    names.find(|name| *name != HOOK).expect("a second Job").to_owned()
}

#[test]
fn the_bootstrap_has_another_name_when_and_only_when_its_content_changes() {
    let name = bootstrap_name(&bundled());
    for same in [
        json!({"replicaCount": 3}),
        json!({"corveil": {"logLevel": "DEBUG", "secretKey": "other"}}),
        // It has no deadline.
        json!({"migrate": {"activeDeadlineSeconds": 280}}),
    ] {
        assert_eq!(bootstrap_name(&with(bundled(), same.clone())), name, "{same}");
    }
    for other in [
        json!({"image": {"tag": "next"}}),
        json!({"migrate": {"lockTimeout": "3s"}}),
        json!({"migrate": {"resources": {"limits": {"memory": "256Mi"}}}}),
        json!({"postgresql": {"auth": {"password": "other"}}}),
    ] {
        assert_ne!(bootstrap_name(&with(bundled(), other.clone())), name, "{other}");
    }
}

#[test]
fn names_are_those_of_the_description() {
    let name = |suffix: &str| format!("corveil{suffix}");
    assert_eq!(HOOK, name(gate::Job::Hook.suffix()));
    assert_eq!(WAVE, name(gate::Job::Wave.suffix()));
    assert_eq!(BOOTSTRAP, name(gate::Job::Bootstrap.suffix()) + "HASH");
    assert_eq!(COPY, name(gate::COPY_SUFFIX));
}

#[test]
fn names_are_never_longer_than_a_label() {
    let long = json!({"fullnameOverride": "f".repeat(63), "networkPolicy": {"enabled": true}});
    for values in [with(bundled(), long.clone()), with(external(), long)] {
        for object in render(HELMS[1], UPGRADE, &values).expect("it renders").iter().filter(|o| is_ours(o)) {
            assert!(
                object["metadata"]["name"].as_str().is_some_and(|name| name.len() <= 63),
                "{}",
                name(object)
            );
        }
    }
}

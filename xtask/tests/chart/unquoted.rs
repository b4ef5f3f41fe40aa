//! Values that are text, written without quotes: YAML makes numbers of them, and Helm reads those as floats.

use serde_json::json;
use serde_yaml::Value as Yaml;

use super::*;
use crate::gate::{HELMS, render, with};
use xtask::generate::values::{self, Key, Kind, Shape};
use xtask::project::released;

/// Seven digits and more are what Helm alone would print with an exponent.
const FIRST: i64 = 12_345_600;

#[test]
fn every_text_may_be_a_number_and_is_printed_as_written() {
    let file =
        std::fs::read_to_string(xtask::project::root().join("chart/ci/everything-values.yaml")).unwrap();
    let everything: Value = serde_yaml::from_str(&file).unwrap();
    let mut numbers = json!({});
    let mut next = FIRST;
    put(&values::keys(), &mut numbers, &mut next);
    // It is read by templates in the values themselves, and no domain is a number. No Service is named by a number.
    numbers["domain"] = "example.com".into();
    numbers["fullnameOverride"] = "corveil".into();
    assert!(next > FIRST + 30, "there are more texts than this");
    let numbers = with(with(everything, numbers), json!({"providers": {"bedrock": {"enabled": true}}}));
    let own = json!({"existingSecret": "", "postgresql": {"auth": {"existingSecret": ""}}});
    let own = with(numbers.clone(), own);
    let external = json!({"postgresql": {"enabled": false}, "redis": {"enabled": false}});
    for values in [numbers, own.clone(), with(own, external)] {
        let [three, four] = HELMS.map(|helm| render(helm, &["--is-upgrade"], &values));
        let (three, four) = (three.unwrap(), four.unwrap());
        assert_eq!(three, four);
        for object in &four {
            let text = settings::in_clear(object);
            assert!(!text.contains("e+07"), "a number with an exponent: {text}");
        }
    }
}

/// Every text a number of its own.
fn put(keys: &[Key], values: &mut Value, next: &mut i64) {
    for key in keys {
        match &key.kind {
            Kind::Section(keys, _) => {
                values[key.name] = json!({});
                put(keys, &mut values[key.name], next);
            }
            Kind::Value(Shape::Text | Shape::Formed(_), _) => {
                values[key.name] = json!(*next);
                *next += 1;
            }
            _ => {}
        }
    }
}

#[test]
fn a_file_of_1_0_0_without_quotes_renders_what_it_says() {
    let rendering = rendering("chart-1.0.0-unquoted");
    assert_eq!(settings::secret(rendering, "SECRET_KEY"), "123");
    let url = "postgresql://citadel:12345678@prod-postgresql:5432/2024";
    assert_eq!(settings::secret(rendering, "DATABASE_URL"), url);
    let image = &rendering.get("Deployment", "corveil")["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(*image, format!("{}:1.5", released::current().repository()));
}

#[test]
fn numbers_in_lists_of_environment_variables_are_text() {
    let set = [
        "extraEnv[0].name=LIMIT",
        "extraEnv[0].value=1234567",
        "migrate.extraEnv[0].name=CORVEIL_RESUME_FROM",
        "migrate.extraEnv[0].value=2",
        "migrate.extraEnv[1].name=CORVEIL_DRY_RUN",
        "migrate.extraEnv[1].value=true",
    ];
    let (is_rendered, text) = refusals::answer(&["template"], &set);
    assert!(is_rendered, "{text}");
    for (name, value) in
        [("LIMIT", "\"1234567\""), ("CORVEIL_RESUME_FROM", "\"2\""), ("CORVEIL_DRY_RUN", "\"true\"")]
    {
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        let values = lines.windows(2).filter(|pair| pair[0] == format!("- name: {name}")).map(|pair| pair[1]);
        assert!(values.clone().count() > 0, "{name} is not rendered");
        values.for_each(|line| assert_eq!(line, format!("value: {value}")));
    }
}

/// Keys for whose null nothing can stand, and the key that the refusal names.
const REFUSED: [(&str, &str); 6] = [
    ("corveil", "corveil.secretKey"),
    ("corveil.secretKey", "corveil.secretKey"),
    ("postgresql", "postgresql.primary.persistence.accessModes"),
    ("postgresql.primary", "postgresql.primary.persistence.accessModes"),
    ("postgresql.primary.persistence", "postgresql.primary.persistence.accessModes"),
    ("postgresql.primary.persistence.accessModes", "postgresql.primary.persistence.accessModes"),
];

#[test]
fn null_without_a_default_is_refused() {
    for (path, named) in REFUSED {
        let (is_rendered, text) = with_null(&[path]);
        assert!(!is_rendered && text.contains(&format!("`{named}`")), "{path}: {text}");
    }
}

/// The chart fills in each default by itself, before anything is read. So all at once are what each is alone: nothing.
#[test]
fn null_of_any_text_number_or_switch_is_its_default() {
    let mut paths = paths(|kind| match kind {
        Kind::Value(_, default) => !default.is_mapping() && !default.is_sequence(),
        Kind::Unset(..) => true,
        Kind::Section(..) | Kind::Removed => false,
    });
    paths.retain(|path| path != "replicaCount");
    assert!(paths.len() > 140, "{paths:?}");
    let (_, default) = with_null(&[]);
    let wrong = |paths: &[&str]| {
        let (_, text) = with_null(paths);
        let mut lines = text.lines().zip(default.lines());
        let differs = lines.find(|(line, default)| line != default).map_or(&*text, |(line, _)| line);
        (text != default).then(|| differs.to_owned())
    };
    assert_each(&paths, wrong);
}

/// Each is null together with others of its depth, twice, with different companions: what one hides, the other shows.
#[test]
fn null_of_any_section_list_or_object_leaves_its_fields_out() {
    let all = paths(|kind| match kind {
        Kind::Section(..) => true,
        Kind::Value(_, default) => default.is_mapping() || default.is_sequence(),
        Kind::Unset(..) | Kind::Removed => false,
    });
    assert!(all.len() > 100, "{all:?}");
    let wrong = |paths: &[&str]| {
        let (is_rendered, text) = with_null(paths);
        let found =
            ["nil pointer", "<nil>", "%!", "invalid value"].iter().find(|wrong| text.contains(**wrong));
        if is_rendered { found.map(|wrong| format!("`{wrong}`")) } else { Some(text) }
    };
    for depth in 0..=all.iter().map(|path| path.matches('.').count()).max().unwrap_or_default() {
        let paths: Vec<_> = all.iter().filter(|path| path.matches('.').count() == depth).cloned().collect();
        for parts in [2, 3] {
            for part in 0..parts {
                assert_each(&paths.iter().skip(part).step_by(parts).cloned().collect::<Vec<_>>(), wrong);
            }
        }
    }
}

/// All at once, and only if that fails one by one, so that the key is named.
#[track_caller]
fn assert_each(paths: &[String], wrong: impl Fn(&[&str]) -> Option<String>) {
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    let Some(together) = wrong(&paths) else { return };
    for path in &paths {
        if let Some(wrong) = wrong(&[path]) {
            panic!("{path}=null: {wrong}");
        }
    }
    panic!("null of all of {paths:?}: {together}");
}

/// Every key of a kind, but for those of [`REFUSED`].
fn paths(is_wanted: fn(&Kind) -> bool) -> Vec<String> {
    fn collect(keys: &[Key], parent: &str, is_wanted: fn(&Kind) -> bool, paths: &mut Vec<String>) {
        for key in keys {
            let path = format!("{parent}{}", key.name);
            if let Kind::Section(keys, _) = &key.kind {
                collect(keys, &format!("{path}."), is_wanted, paths);
            }
            if is_wanted(&key.kind) {
                paths.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    collect(&values::keys(), "", is_wanted, &mut paths);
    paths.retain(|path| !REFUSED.iter().any(|(refused, _)| refused == path));
    paths
}

/// What Helm answers when these keys are null, without the time.
fn with_null(paths: &[&str]) -> (bool, String) {
    let set: Vec<_> = paths.iter().map(|path| format!("{path}=null")).collect();
    let set: Vec<_> = set.iter().map(String::as_str).collect();
    let (is_rendered, text) = refusals::answer(&["install", "--dry-run=client"], &set);
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("LAST DEPLOYED: ")).collect();
    (is_rendered, lines.join("\n"))
}

#[test]
fn without_a_number_of_replicas_the_field_is_left_to_what_scales_the_deployment() {
    let (is_rendered, text) = refusals::answer(&["template"], &["replicaCount=null"]);
    let deployment =
        text.split("---\n").find(|object| object.contains("kind: Deployment")).unwrap_or_default();
    assert!(
        is_rendered && deployment.contains("progressDeadlineSeconds") && !deployment.contains("replicas:"),
        "{text}"
    );
}

#[test]
fn what_is_null_is_unset() {
    let file =
        std::fs::read_to_string(xtask::project::root().join("chart/ci/chart-1.0.0-unquoted-values.yaml"))
            .unwrap();
    let file: Yaml = serde_yaml::from_str(&file).unwrap();
    check(&values::keys(), &file);
    let rendering = rendering("chart-1.0.0-unquoted");
    let budget = &rendering.get("PodDisruptionBudget", "corveil")["spec"];
    assert_eq!((&budget["minAvailable"], &budget["maxUnavailable"]), (&json!(1), &Value::Null));
    let models = |case: &Rendering| case.get("ConfigMap", "prod-models")["data"].clone();
    assert_eq!(models(rendering), models(super::rendering("default")));
}

/// The file has every key that may be unset, as null.
fn check(keys: &[Key], given: &Yaml) {
    for key in keys {
        match &key.kind {
            Kind::Section(keys, _) => check(keys, given.get(key.name).unwrap_or(&Yaml::Null)),
            Kind::Unset(..) => assert_eq!(given.get(key.name), Some(&Yaml::Null), "`{}`", key.name),
            Kind::Value(..) | Kind::Removed => {}
        }
    }
}

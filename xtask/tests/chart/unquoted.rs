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

#[test]
fn null_of_any_key_is_its_default_or_no_field() {
    let mut paths = Vec::new();
    collect(&values::keys(), "", &mut paths);
    assert!(paths.len() > 100, "{paths:?}");
    let paths = std::sync::Mutex::new(paths.into_iter());
    let next = || paths.lock().unwrap().next();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(path) = next() {
                    let set = format!("{path}=null");
                    let (is_rendered, text) = refusals::answer(&["install", "--dry-run=client"], &[&set]);
                    // What no default can stand for is refused with the key's name.
                    let key = path.rsplit('.').next().unwrap();
                    assert!(is_rendered || text.contains(key), "{set}: {text}");
                    for wrong in ["nil pointer", "<nil>", "%!", "invalid value"] {
                        assert!(!text.contains(wrong), "{set}: {text}");
                    }
                }
            });
        }
    });
}

/// Every section and every key.
fn collect(keys: &[Key], parent: &str, paths: &mut Vec<String>) {
    for key in keys.iter().filter(|key| !matches!(key.kind, Kind::Removed)) {
        let path = format!("{parent}{}", key.name);
        if let Kind::Section(keys, _) = &key.kind {
            collect(keys, &format!("{path}."), paths);
        }
        paths.push(path);
    }
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

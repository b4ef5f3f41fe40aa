//! Values that are text, written without quotes: YAML makes numbers of them, and Helm reads those as floats.

use serde_json::json;
use serde_yaml::Value as Yaml;

use super::*;
use crate::gate::{HELMS, render, with};
use crate::generate::values::{self, Key, Kind, Shape};
use crate::released;

/// Seven digits and more are what Helm alone would print with an exponent.
const FIRST: i64 = 12_345_600;

#[test]
fn every_text_may_be_a_number_and_is_printed_as_written() {
    let file = std::fs::read_to_string(crate::root().join("chart/ci/everything-values.yaml")).unwrap();
    let everything: Value = serde_yaml::from_str(&file).unwrap();
    let mut numbers = json!({});
    let mut next = FIRST;
    put(&values::keys(), &mut numbers, &mut next);
    // It is read by templates in the values themselves, and no domain is a number.
    numbers["domain"] = "example.com".into();
    assert!(next > FIRST + 30, "there are more texts than this");
    let numbers = with(with(everything, numbers), json!({"providers": {"bedrock": {"enabled": true}}}));
    let own = with(numbers.clone(), json!({"existingSecret": ""}));
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
            Kind::Value(Shape::Text, _) => {
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
fn what_is_null_is_unset() {
    let file =
        std::fs::read_to_string(crate::root().join("chart/ci/chart-1.0.0-unquoted-values.yaml")).unwrap();
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

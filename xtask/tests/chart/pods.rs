//! What the values add to the pods of the app, of the migration and of `helm test`.

use serde_json::json;

use super::*;
use crate::decode;
use crate::gate::{HELMS, bundled, external, render, with};

fn object<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} `{name}`"))
}

/// The app's Deployment with these values, which both Helms render the same.
fn app(values: &Value) -> Value {
    let [three, four] = HELMS.map(|helm| {
        let objects = render(helm, &[], &with(external(), values.clone())).unwrap();
        let app = object(&objects, "Deployment", "corveil").clone();
        decode::strictly(&app).unwrap();
        app
    });
    assert_eq!(three, four);
    four
}

#[test]
fn each_value_of_the_apps_pod_has_its_place() {
    let values = json!({
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
        "priorityClassName": "0123",
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["db"]}],
        "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
        "dnsPolicy": "Default",
        "automountServiceAccountToken": false,
        "terminationGracePeriodSeconds": 50,
    });
    let spec = &app(&values)["spec"]["template"]["spec"];
    for (key, value) in values.as_object().unwrap() {
        assert_eq!(&spec[key], value, "{key}");
    }
    let spec = &app(&json!({}))["spec"]["template"]["spec"];
    for key in values.as_object().unwrap().keys() {
        let default = match key.as_str() {
            "automountServiceAccountToken" => json!(true),
            "terminationGracePeriodSeconds" => json!(30),
            _ => Value::Null,
        };
        assert_eq!(spec[key], default, "{key}");
    }
}

/// A proxy to the database has to run before `wait-for-db`, which asks the database, and so has the sidecar.
#[test]
fn containers_are_added_without_taking_the_place_of_the_charts() {
    let values = json!({
        "extraInitContainers": [{"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}],
        "extraContainers": [{"name": "exporter", "image": "exporter:1"}],
    });
    for helm in HELMS {
        let objects = render(helm, &[], &with(external(), values.clone())).unwrap();
        let test = &object(&objects, "Pod", "corveil-test")["spec"];
        assert_eq!(test["initContainers"], values["extraInitContainers"], "a URL may lead to the proxy");
    }
    let spec = &app(&values)["spec"]["template"]["spec"];
    let names = |list: &str| -> Vec<_> {
        spec[list].as_array().unwrap().iter().map(|container| container["name"].as_str().unwrap()).collect()
    };
    assert_eq!(names("initContainers"), ["proxy", "wait-for-db"]);
    assert_eq!(names("containers"), ["corveil-chart", "exporter"]);
    assert_eq!(spec["initContainers"][0], values["extraInitContainers"][0]);
    assert_eq!(spec["containers"][1], values["extraContainers"][0]);
}

/// The later of two sources with the same key wins: the app would use another database than the one that was migrated.
#[test]
fn more_sources_of_the_environment_come_before_the_charts_own() {
    let values = json!({"extraEnvFrom": [{"secretRef": {"name": "more"}}]});
    let spec = &app(&values)["spec"]["template"]["spec"];
    let app = spec["containers"][0]["envFrom"].as_array().unwrap();
    assert_eq!(app.len(), 3);
    assert_eq!(app[0], values["extraEnvFrom"][0]);
    assert_eq!(spec["initContainers"][0]["envFrom"], values["extraEnvFrom"]);
}

#[test]
fn names_are_resolved_alike_in_every_pod_that_asks_the_database() {
    let values = json!({
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["db"]}],
        "dnsConfig": {"nameservers": ["10.0.0.2"]},
        "dnsPolicy": "None",
        "extraEnvFrom": [{"secretRef": {"name": "more"}}],
    });
    for helm in HELMS {
        let objects = render(helm, &["--is-upgrade"], &with(bundled(), values.clone())).unwrap();
        let pods: Vec<_> = objects.iter().filter(|object| object["kind"] != "StatefulSet").collect();
        let pods: Vec<_> = pods.into_iter().filter_map(pod).collect();
        assert_eq!(pods.len(), 4, "the app, two Jobs and the test");
        for pod in pods {
            for key in ["hostAliases", "dnsConfig", "dnsPolicy"] {
                assert_eq!(pod["spec"][key], values[key], "{key}");
            }
        }
        let test = object(&objects, "Pod", "corveil-test");
        assert_eq!(test["spec"]["containers"][0]["envFrom"], values["extraEnvFrom"]);
    }
}

#[test]
fn probes_and_strategy_are_those_of_1_0_0_until_a_value_says_otherwise() {
    let default = app(&json!({}));
    let container = &default["spec"]["template"]["spec"]["containers"][0];
    let probe = |path: &str, delay: i64, period: i64, failures: i64| {
        json!({
            "httpGet": {"path": path, "port": "http"}, "initialDelaySeconds": delay, "periodSeconds": period,
            "timeoutSeconds": 5, "failureThreshold": failures,
        })
    };
    assert_eq!(container["livenessProbe"], probe("/health", 10, 15, 3));
    assert_eq!(container["readinessProbe"], probe("/health/ready", 10, 10, 3));
    assert_eq!(container["startupProbe"], Value::Null);
    assert_eq!(container["lifecycle"], json!({"preStop": {"sleep": {"seconds": 5}}}));
    let rolling = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}});
    assert_eq!(default["spec"]["strategy"], rolling);

    let changed = app(&json!({
        "livenessProbe": {"periodSeconds": 20},
        "readinessProbe": {"initialDelaySeconds": 0},
        "startupProbe": {"enabled": true, "failureThreshold": 100},
        "lifecycle": {"preStop": {"httpGet": {"path": "/drain", "port": "http"}}, "postStart": {"sleep": {"seconds": 1}}},
        "strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "10%"}},
        "minReadySeconds": 7,
        "revisionHistoryLimit": 0,
    }));
    let container = &changed["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["livenessProbe"], probe("/health", 10, 20, 3));
    assert_eq!(container["readinessProbe"], probe("/health/ready", 0, 10, 3));
    assert_eq!(container["startupProbe"], probe("/health", 0, 5, 100));
    let hooks = json!({"preStop": {"httpGet": {"path": "/drain", "port": "http"}}, "postStart": {"sleep": {"seconds": 1}}});
    assert_eq!(container["lifecycle"], hooks);
    let spec = &changed["spec"];
    assert_eq!(spec["strategy"]["rollingUpdate"], json!({"maxSurge": 0, "maxUnavailable": "10%"}));
    assert_eq!((&spec["minReadySeconds"], &spec["revisionHistoryLimit"]), (&json!(7), &json!(0)));
}

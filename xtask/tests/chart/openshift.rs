//! `OpenShift` chooses user and groups of every pod, and refuses pods that name others.

use serde_json::json;

use super::*;
use crate::gate::{HELMS, bundled, render, with};

const OPENSHIFT: &[&str] = &["--is-upgrade", "--api-versions", "security.openshift.io/v1"];

/// Users and groups that the pods name, by the fields' names.
fn named(helm: Tool, arguments: &[&str], values: &Value) -> Vec<(String, Value)> {
    let all = with(bundled(), json!({"redis": {"enabled": true}}));
    let objects = render(helm, arguments, &with(all, values.clone())).unwrap();
    let pods: Vec<_> = objects.iter().filter_map(pod).collect();
    assert_eq!(pods.len(), 6, "the app, two servers, two Jobs and the test");
    let mut named = Vec::new();
    for pod in pods {
        assert_eq!(pod["spec"]["securityContext"]["runAsNonRoot"], true);
        let lists = ["containers", "initContainers"].map(|list| pod["spec"][list].as_array());
        let containers = lists.into_iter().flatten().flatten();
        let contexts =
            containers.chain([&pod["spec"]]).filter_map(|holder| holder["securityContext"].as_object());
        for (key, value) in contexts.flatten() {
            if ["runAsUser", "runAsGroup", "fsGroup", "fsGroupChangePolicy"].contains(&key.as_str()) {
                named.push((key.clone(), value.clone()));
            }
        }
    }
    named
}

#[test]
fn no_pod_names_a_user_or_a_group() {
    let force = json!({"global": {"compatibility": {"openshift": {"adaptSecurityContext": "force"}}}});
    let off = json!({"global": {"compatibility": {"openshift": {"adaptSecurityContext": "disabled"}}}});
    // Somebody who comes from another cluster, with the defaults of 1.0.0 in the file.
    let same = json!({"podSecurityContext": {"runAsUser": 1000, "fsGroup": 1000}, "securityContext": {"runAsUser": 1000}});
    for helm in HELMS {
        assert_eq!(named(helm, OPENSHIFT, &json!({})), []);
        assert_eq!(named(helm, OPENSHIFT, &same), []);
        assert_eq!(named(helm, &["--is-upgrade"], &with(same.clone(), force.clone())), []);
        for (arguments, values) in [(OPENSHIFT, &off), (&["--is-upgrade"], &json!({}))] {
            assert!(named(helm, arguments, values).len() > 12);
        }
    }
}

#[test]
fn a_user_that_somebody_chose_for_the_cluster_stays() {
    let values =
        json!({"podSecurityContext": {"runAsUser": 1_000_660_000}, "securityContext": {"runAsGroup": 5}});
    for helm in HELMS {
        let named = named(helm, OPENSHIFT, &values);
        let count = |key: &str, value: i64| {
            named.iter().filter(|pair| **pair == (key.to_owned(), value.into())).count()
        };
        // The app, two Jobs and the test; and of these the containers, with the one that waits.
        assert_eq!(
            (count("runAsUser", 1_000_660_000), count("runAsGroup", 5), named.len()),
            (4, 5, 9),
            "{named:?}"
        );
    }
}

/// As in 1.0.0's subcharts, for each server and without any cluster's API.
#[test]
fn a_bundled_server_runs_as_the_user_of_the_values_or_of_the_cluster() {
    let off = json!({"enabled": false});
    let user = json!({"runAsUser": 26, "runAsGroup": 27});
    let servers = |postgresql: Value, redis: Value| json!({"postgresql": {"primary": postgresql}, "redis": {"enabled": true, "master": redis}});
    for helm in HELMS {
        let context = |values: Value, name: &str| {
            let objects = render(helm, &[], &with(bundled(), values)).unwrap();
            let found = objects.iter().find(|o| o["metadata"]["name"] == name && pod(o).is_some());
            pod(found.unwrap()).unwrap()["spec"]["securityContext"].clone()
        };
        let base = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
        let (postgresql, redis) = ("corveil-postgresql", "corveil-redis-master");
        let none = servers(
            json!({"containerSecurityContext": off, "podSecurityContext": off}),
            json!({"containerSecurityContext": off}),
        );
        assert_eq!(context(none.clone(), postgresql), base);
        assert_eq!(context(none, redis), base);
        let own = servers(
            json!({"containerSecurityContext": user, "podSecurityContext": {"fsGroup": 28}}),
            json!({"containerSecurityContext": user}),
        );
        let group = json!({"fsGroup": 28, "fsGroupChangePolicy": "OnRootMismatch"});
        assert_eq!(context(own.clone(), postgresql), with(with(base.clone(), user.clone()), group));
        assert_eq!(context(own, redis), with(base, user.clone()));
    }
}

/// libpq takes the user's name from the process's user, which has none when the cluster chose it: `pg_isready` ends with 3.
#[test]
fn the_probe_of_the_database_needs_no_name_of_the_processs_user() {
    let set = rendering("default").get("StatefulSet", "prod-postgresql");
    let probe = &set["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["exec"]["command"];
    assert_eq!(probe[3], "--username=citadel");
}

//! Private registries and clusters without the Internet: what images every pod names, and what it pulls them with.

use serde_json::json;

use super::*;
use crate::decode;
use crate::gate::{HELMS, bundled, external, render, with};

/// Renderings with everything that has a pod, by each Helm: an upgrade with the bundled database, and one without.
fn everything(values: &Value) -> Vec<Vec<Value>> {
    let all = json!({"redis": {"enabled": true}});
    let mut renderings = Vec::new();
    for helm in HELMS {
        for values in [with(with(bundled(), all.clone()), values.clone()), with(external(), values.clone())] {
            renderings.push(render(helm, &["--is-upgrade"], &values).unwrap());
        }
    }
    renderings
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["containers", "initContainers"].map(|list| pod["spec"][list].as_array());
    lists.into_iter().flatten().flatten()
}

#[test]
fn a_mirror_and_its_secrets_reach_every_pod() {
    let values = json!({
        "imagePullSecrets": [{"name": "app"}, "both"],
        "global": {"imageRegistry": "mirror.example:5000/cache/", "imagePullSecrets": ["both", {"name": "global"}]},
    });
    let secrets = json!([{"name": "app"}, {"name": "both"}, {"name": "global"}]);
    let mut seen = std::collections::BTreeSet::new();
    for objects in everything(&values) {
        for object in &objects {
            let Some(pod) = pod(object) else { continue };
            let name = format!("{} {}", object["kind"], object["metadata"]["name"]);
            assert_eq!(pod["spec"]["imagePullSecrets"], secrets, "{name}");
            for container in containers(pod) {
                let image = container["image"].as_str().unwrap();
                assert!(image.starts_with("mirror.example:5000/cache/"), "{name}: {image}");
                seen.insert(image.split(['@', ':']).nth(1).unwrap().to_owned());
            }
            seen.insert(object["kind"].as_str().unwrap().to_owned());
        }
    }
    for kind in ["Deployment", "Job", "Pod", "StatefulSet"] {
        assert!(seen.contains(kind), "no {kind} was rendered: {seen:?}");
    }
    for image in ["corveil/corveil", "library/postgres", "library/redis"] {
        assert!(seen.contains(&format!("5000/cache/{image}")), "`{image}` is not the mirror's: {seen:?}");
    }
}

fn image(objects: &[Value], kind: &str, name: &str) -> String {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    pod(found.expect(name)).unwrap()["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()
}

#[test]
fn an_image_of_ones_own_is_pulled_from_where_it_says() {
    let own = json!({
        "image": {"repository": "own.example/ai/corveil", "tag": "9"},
        "postgresql": {"image": {"repository": "own.example/postgres", "tag": "18.1", "pullSecrets": ["pg"]}},
        "redis": {"image": {"repository": "cache/redis", "registry": "reg.example", "digest": format!("sha256:{}", "0".repeat(64))}},
    });
    for (mirror, redis) in [("", "reg.example"), ("mirror.example", "mirror.example")] {
        let values = with(own.clone(), json!({"global": {"imageRegistry": mirror}}));
        for objects in everything(&values) {
            assert_eq!(image(&objects, "Deployment", "corveil"), "own.example/ai/corveil:9");
            assert_eq!(image(&objects, "Job", "corveil-migrate"), "own.example/ai/corveil:9");
            if !objects.iter().any(|object| object["kind"] == "StatefulSet") {
                continue;
            }
            assert_eq!(image(&objects, "StatefulSet", "corveil-postgresql"), "own.example/postgres:18.1");
            let redis = format!("{redis}/cache/redis@sha256:{}", "0".repeat(64));
            assert_eq!(image(&objects, "Deployment", "corveil-redis-master"), redis);
            let set = objects.iter().find(|object| object["kind"] == "StatefulSet").unwrap();
            assert_eq!(set["spec"]["template"]["spec"]["imagePullSecrets"], json!([{"name": "pg"}]));
        }
    }
}

#[test]
fn a_bundled_server_runs_where_and_with_what_the_values_say() {
    let placement = json!({
        "resources": {"requests": {"cpu": "2", "memory": "3Gi"}, "limits": {"cpu": "2", "memory": "3Gi"}},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "k", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{}]}}},
        "priorityClassName": "high",
    });
    let values = json!({
        "redis": {"enabled": true, "master": placement.clone(), "image": {"pullPolicy": "Never"}},
        "postgresql": {"primary": placement.clone(), "image": {"pullPolicy": "Always"}},
    });
    for helm in HELMS {
        let objects = render(helm, &[], &with(bundled(), values.clone())).unwrap();
        for (name, policy) in [("corveil-postgresql", "Always"), ("corveil-redis-master", "Never")] {
            let mut servers = objects.iter().filter(|object| pod(object).is_some());
            let server = servers.find(|object| object["metadata"]["name"] == name).expect(name);
            decode::strictly(server).unwrap();
            let spec = &pod(server).unwrap()["spec"];
            for (key, value) in placement.as_object().unwrap() {
                let place = if key == "resources" { &spec["containers"][0] } else { spec };
                assert_eq!(&place[key], value, "{name}: {key}");
            }
            assert_eq!(spec["containers"][0]["imagePullPolicy"], policy, "{name}");
        }
    }
}

#[test]
fn the_database_is_created_with_the_password_of_a_secret() {
    let auth = json!({"existingSecret": "db", "secretKeys": {"userPasswordKey": "user"}, "password": ""});
    let values = with(bundled(), json!({"postgresql": {"auth": auth}, "existingSecret": "corveil"}));
    for helm in HELMS {
        let objects = render(helm, &[], &values).unwrap();
        assert!(objects.iter().all(|object| object["kind"] != "Secret"), "there is nothing to keep in one");
        let set = objects.iter().find(|object| object["kind"] == "StatefulSet").unwrap();
        let variables = set["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
        let password = variables.iter().find(|variable| variable["name"] == "POSTGRES_PASSWORD").unwrap();
        assert_eq!(password["valueFrom"]["secretKeyRef"], json!({"name": "db", "key": "user"}));
    }
}

/// Each would keep the database of 1.0.0 from running, or the app from reaching it, after the upgrade has begun.
#[test]
fn keys_of_1_0_0_that_its_database_needs_are_honoured_or_refused() {
    let mut outside: Vec<Vec<&str>> = Vec::new();
    for (set, sentence) in [
        (
            "postgresql.image.repository=bitnamilegacy/postgresql",
            "`postgresql.image.repository` is `bitnamilegacy/",
        ),
        (
            "postgresql.image.registry=reg.example/bitnami",
            "`postgresql.image.repository` is `library/postgres`, an",
        ),
        (
            "postgresql.image.tag=18.1.0-debian-12-r3",
            "`postgresql.image.tag` is `18.1.0-debian-12-r3`, a tag of B",
        ),
        ("postgresql.image.tag=17-bookworm", "`postgresql.image.tag` is `17-bookworm`, and the volume"),
        ("postgresql.image.tag=18-alpine", "`postgresql.image.tag` is `18-alpine`, and the volume"),
        ("postgresql.tls.enabled=true", "`postgresql.tls.enabled` is `true`, which"),
        (
            "postgresql.volumePermissions.enabled=true",
            "`postgresql.volumePermissions.enabled` is `true`, which",
        ),
        ("postgresql.primary.standby.enabled=true", "`postgresql.primary.standby.enabled` is `true`, which"),
        ("postgresql.ldap.enabled=true", "`postgresql.ldap.enabled` is `true`, which"),
        (
            "postgresql.primary.service.ports.postgresql=6432",
            "`postgresql.primary.service.ports.postgresql` is `6432`",
        ),
        (
            "global.postgresql.service.ports.postgresql=6432",
            "`global.postgresql.service.ports.postgresql` is `6432`",
        ),
        ("global.postgresql.auth.username=a", "`global.postgresql.auth.username` differs from"),
        ("postgresql.auth.existingSecret=db", "`postgresql.auth.existingSecret` has a password"),
        (
            "postgresql.primary.resources.requests.memory=4Gi",
            "`postgresql.primary.resources.requests.memory` is 4Gi, above",
        ),
    ] {
        let (is_rendered, text) = refusals::answer(&["template"], &[set]);
        assert!(!is_rendered && text.contains(sentence), "{set}: {text}");
        let (key, _) = set.split_once('=').unwrap();
        match outside.iter_mut().find(|group| !group.iter().any(|set| set.starts_with(&format!("{key}=")))) {
            Some(group) => group.push(set),
            None => {
                outside.push(vec!["postgresql.enabled=false", "externalDatabase.url=postgres://db/a", set]);
            }
        }
    }
    // None decides anything without the bundled database; a refusal would not be hidden by the others.
    for set in outside {
        let (is_rendered, text) = refusals::answer(&["template"], &set);
        assert!(is_rendered, "{set:?}: {text}");
    }
    let (is_rendered, text) = refusals::answer(
        &["template"],
        &[
            "redis.enabled=true",
            "redis.image.repository=bitnami/redis",
            "redis.master.resources.requests.cpu=1m",
        ],
    );
    assert!(!is_rendered && text.contains("`redis.image.repository` is `bitnami/redis`"), "{text}");
    let same = ["postgresql.service.ports.postgresql=5432", "global.postgresql.auth.username=citadel"];
    let (is_rendered, text) = refusals::answer(&["template"], &same);
    assert!(is_rendered, "{text}");
}

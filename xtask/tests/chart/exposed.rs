//! What leads to the app, what watches it, and what users add to its objects.

use serde_json::json;

use super::*;
use crate::decode;
use crate::gate::{HELMS, bundled, external, render, with};

/// All objects with these values, which both Helms render the same.
fn both(base: &Value, values: &Value) -> Vec<Value> {
    let [three, four] =
        HELMS.map(|helm| render(helm, &["--is-upgrade"], &with(base.clone(), values.clone())).unwrap());
    assert_eq!(three, four);
    for object in &four {
        decode::strictly(object).unwrap();
    }
    four
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} `{name}`"))
}

#[test]
fn labels_of_the_users_are_on_every_object_and_pod_and_in_no_selector() {
    let values = json!({
        "commonLabels": {"team": "7"}, "redis": {"enabled": true}, "networkPolicy": {"enabled": true},
        "istio": {"enabled": true}, "ingress": {"enabled": true}, "autoscaling": {"enabled": true},
        "serviceMonitor": {"enabled": true}, "migrate": {"createServiceAccount": true},
        "httpRoute": {"enabled": true, "parentRefs": [{"name": "public"}]},
    });
    let objects = both(&bundled(), &values);
    assert!(objects.len() > 25, "{}", objects.len());
    for object in &objects {
        let name = format!("{} {}", object["kind"], object["metadata"]["name"]);
        assert_eq!(object["metadata"]["labels"]["team"], "7", "{name}");
        if let Some(pod) = pod(object) {
            assert_eq!(pod["metadata"]["labels"]["team"], "7", "{name}");
        }
        let spec = &object["spec"];
        for selector in [&spec["selector"], &spec["podSelector"], &spec["volumeClaimTemplates"]] {
            assert!(!selector.to_string().contains("team"), "{name}: {selector}");
        }
    }
}

/// A label twice in one object is an error of Helm 4 and a guess of Helm 3.
#[test]
fn the_label_of_one_object_wins_over_that_of_all() {
    let values = json!({
        "commonLabels": {"team": "all"}, "podLabels": {"team": "app"},
        "migrate": {"podLabels": {"team": "job"}}, "serviceMonitor": {"enabled": true, "labels": {"team": "monitor"}},
    });
    let objects = both(&external(), &values);
    let label = |labels: &Value| labels["team"].clone();
    let app = find(&objects, "Deployment", "corveil");
    assert_eq!(label(&app["metadata"]["labels"]), "all");
    assert_eq!(label(&app["spec"]["template"]["metadata"]["labels"]), "app");
    let job = find(&objects, "Job", "corveil-migrate");
    assert_eq!(label(&job["metadata"]["labels"]), "all");
    assert_eq!(label(&job["spec"]["template"]["metadata"]["labels"]), "job");
    assert_eq!(label(&find(&objects, "ServiceMonitor", "corveil")["metadata"]["labels"]), "monitor");
}

#[test]
fn the_deployment_and_the_service_take_annotations() {
    let values = json!({
        "deploymentAnnotations": {"reloader.stakater.com/auto": "true"},
        "service": {"annotations": {"internal": "yes"}},
    });
    let objects = both(&external(), &values);
    let annotations = |kind: &str| find(&objects, kind, "corveil")["metadata"]["annotations"].clone();
    assert_eq!(annotations("Deployment"), values["deploymentAnnotations"]);
    assert_eq!(annotations("Service"), values["service"]["annotations"]);
    let objects = both(&external(), &json!({}));
    for kind in ["Deployment", "Service"] {
        assert_eq!(find(&objects, kind, "corveil")["metadata"]["annotations"], Value::Null);
    }
}

#[test]
fn each_value_of_the_service_has_its_place() {
    let service = json!({
        "type": "LoadBalancer", "loadBalancerClass": "internal", "loadBalancerSourceRanges": ["10.0.0.0/8"],
        "externalTrafficPolicy": "Local", "ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6", "IPv4"],
    });
    let values = with(json!({"service": {"nodePort": 30080}}), json!({"service": service}));
    let objects = both(&external(), &values);
    let spec = &find(&objects, "Service", "corveil")["spec"];
    for (key, value) in service.as_object().unwrap() {
        assert_eq!(&spec[key], value, "{key}");
    }
    assert_eq!(spec["ports"][0]["nodePort"], 30080);
    let objects = both(&external(), &json!({}));
    let spec = find(&objects, "Service", "corveil")["spec"].as_object().unwrap();
    assert_eq!(spec.keys().collect::<Vec<_>>(), ["ports", "selector", "type"]);
}

#[test]
fn a_route_sends_requests_to_the_service() {
    let route = json!({
        "enabled": true,
        "annotations": {"a": "b"},
        "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}],
        "hostnames": ["corveil.{{ .Values.domain }}"],
        "rules": [{"matches": [{"path": {"type": "Exact", "value": "/v1"}}], "timeouts": {"request": "600s"}}, {}],
    });
    let objects =
        both(&external(), &json!({"httpRoute": route, "domain": "example.com", "service": {"port": 80}}));
    let route_object = find(&objects, "HTTPRoute", "corveil");
    let backend = json!([{"name": "corveil", "port": 80}]);
    let spec = json!({
        "parentRefs": route["parentRefs"], "hostnames": ["corveil.example.com"],
        "rules": [
            {"backendRefs": backend, "matches": route["rules"][0]["matches"], "timeouts": {"request": "600s"}},
            {"backendRefs": backend},
        ],
    });
    assert_eq!(route_object["spec"], spec);
    assert_eq!(route_object["metadata"]["annotations"], json!({"a": "b"}));
}

#[test]
fn prometheus_finds_the_service_and_its_metrics() {
    let objects = both(&external(), &json!({"serviceMonitor": {"enabled": true}}));
    let monitor = find(&objects, "ServiceMonitor", "corveil");
    let service = find(&objects, "Service", "corveil");
    assert_eq!(
        monitor["spec"]["endpoints"],
        json!([{"port": service["spec"]["ports"][0]["name"], "path": "/metrics"}])
    );
    for (name, value) in monitor["spec"]["selector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(&service["metadata"]["labels"][name], value);
    }
    let settings = json!({
        "interval": "30s", "scrapeTimeout": "10s", "relabelings": [{"action": "labeldrop", "regex": "pod"}],
        "metricRelabelings": [{"action": "drop", "regex": "a"}],
    });
    let values = with(
        json!({"serviceMonitor": settings}),
        json!({"serviceMonitor": {"enabled": true, "labels": {"release": "p"}}}),
    );
    let objects = both(&external(), &values);
    let monitor = find(&objects, "ServiceMonitor", "corveil");
    for (key, value) in settings.as_object().unwrap() {
        assert_eq!(&monitor["spec"]["endpoints"][0][key], value, "{key}");
    }
    assert_eq!(monitor["metadata"]["labels"]["release"], "p");
}

#[test]
fn more_objects_are_rendered_as_templates() {
    let config = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    let values = json!({"extraObjects": [
        config("{{ .Release.Name }}-a"),
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ include \"corveil.fullname\" . }}-b\n",
    ]});
    let objects = both(&external(), &values);
    assert_eq!(find(&objects, "ConfigMap", "corveil-a"), &config("corveil-a"));
    assert_eq!(find(&objects, "ConfigMap", "corveil-b"), &config("corveil-b"));
}

//! The init container `wait-for-db`: without it, and in a mesh.

use serde_json::json;

use super::*;
use crate::decode;
use crate::gate::{HELMS, bundled, external, render, with};

fn app(helm: Tool, values: &Value) -> Value {
    let objects = render(helm, &[], values).unwrap();
    let app = objects.into_iter().find(|o| o["kind"] == "Deployment" && o["metadata"]["name"] == "corveil");
    let app = app.unwrap();
    decode::strictly(&app).unwrap();
    app["spec"]["template"].clone()
}

#[test]
fn pods_that_do_not_wait_have_nothing_of_it() {
    let proxy = json!([{"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}]);
    for helm in HELMS {
        let values = with(external(), json!({"wait": {"enabled": false}}));
        let pod = app(helm, &values);
        assert_eq!(pod["spec"].get("initContainers"), None);
        let volumes = pod["spec"]["volumes"].as_array().unwrap();
        assert_eq!(volumes.iter().map(|volume| &volume["name"]).collect::<Vec<_>>(), ["models"]);
        let pod = app(helm, &with(values, json!({"extraInitContainers": proxy})));
        assert_eq!(pod["spec"]["initContainers"], proxy);
    }
}

#[test]
fn notes_say_what_is_lost_without_waiting() {
    let notes = |set: &[&str]| {
        let (is_rendered, text) = refusals::answer(&["install", "--dry-run=client"], set);
        assert!(is_rendered, "{text}");
        text.split_once("NOTES:").unwrap().1.to_owned()
    };
    let lost = "WARNING: `wait.enabled` is false, and pods start whether or not";
    let text = notes(&["wait.enabled=false"]);
    assert!(text.contains(lost) && text.contains("as with `--no-hooks`"), "{text}");
    assert!(!text.contains("wait-for-db"), "there is no such container: {text}");
    let text = notes(&["wait.enabled=false", "migrate.enabled=false"]);
    assert!(text.contains(lost) && text.contains("nothing gates a rollout"), "{text}");
    for set in [&[][..], &["migrate.enabled=false"]] {
        let text = notes(set);
        assert!(!text.contains("WARNING") && text.contains("wait-for-db"), "{text}");
    }
}

/// With Istio's CNI plugin an init container before a sidecar that is not native has no network.
#[test]
fn in_a_mesh_the_connection_to_the_database_goes_past_the_sidecar() {
    const NAME: &str = "traffic.sidecar.istio.io/excludeOutboundPorts";
    let istio = json!({"istio": {"enabled": true}});
    let url = |url: &str| with(external(), json!({"externalDatabase": {"url": url}}));
    let existing = json!({"existingSecret": "own"});
    for helm in HELMS {
        for (values, ports) in [
            (bundled(), "5432"),
            (url("postgres://app:secret@database/app"), "5432"),
            (url("postgres://app:se:99@database:6432/app?x=:7"), "6432"),
            (url("postgres://database:6432/app"), "6432"),
            (url("postgres://app@[::1]:6432,b:6432,c:7000/app"), "6432,7000"),
            (with(url("postgres://app@database:6432/app"), existing.clone()), "5432"),
        ] {
            let annotations = &app(helm, &with(values.clone(), istio.clone()))["metadata"]["annotations"];
            assert_eq!(annotations[NAME], ports, "{values}");
            assert_eq!(app(helm, &values)["metadata"]["annotations"][NAME], Value::Null);
        }
        let own = with(with(bundled(), istio.clone()), json!({"podAnnotations": {NAME: "6432"}}));
        assert_eq!(app(helm, &own)["metadata"]["annotations"][NAME], "6432");
    }
}

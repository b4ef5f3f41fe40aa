//! Every object of every case: understood by Kubernetes, the same with both Helms, and safe to run.

use corveil::env;
use xshell::cmd;

use super::*;
use crate::decode;
use xtask::generate::renderings::FOLDER;

#[test]
fn every_field_is_known() {
    for rendering in renderings() {
        for object in &rendering.objects {
            decode::strictly(object).unwrap_or_else(|error| panic!("{}: {error:#}", rendering.case));
        }
    }
}

#[test]
fn both_helms_render_the_same() {
    for (four, three) in renderings().iter().zip(with(Tool::Helm3)) {
        assert_eq!(four.objects, three.objects, "{}", four.case);
    }
}

#[test]
fn snapshots_are_up_to_date_and_none_is_left_behind() {
    let files = snapshots();
    for (path, text) in files {
        generate::ensure_file_contents(path, text, true).unwrap_or_else(|error| panic!("{error}"));
    }
    let there = xtask::project::root().join(FOLDER).read_dir().unwrap().count();
    assert_eq!(there, files.len(), "a file in {FOLDER} belongs to no file of values: remove it");
}

/// A value such as `y` without quotes is a boolean to Kubernetes, and the object is refused in the middle of a hook.
#[test]
fn labels_and_annotations_are_text() {
    for rendering in renderings() {
        for object in &rendering.objects {
            let metadata = [Some(&object["metadata"]), pod(object).map(|pod| &pod["metadata"])];
            let maps = metadata.into_iter().flatten().flat_map(|m| [&m["labels"], &m["annotations"]]);
            for (key, value) in maps.filter_map(Value::as_object).flatten() {
                let name = (&rendering.case, &object["kind"], &object["metadata"]["name"], key);
                let text = value.as_str().unwrap_or_else(|| panic!("{name:?}: {value} is no text"));
                let is_risky = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"]
                    .contains(&text.to_lowercase().as_str())
                    || text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
                let bare = format!("{key}: {text}\n");
                assert!(!is_risky || !rendering.text.contains(&bare), "{name:?}: `{text}` needs quotes");
            }
        }
    }
}

/// The same whatever the value is today: somebody will change it.
#[test]
fn every_annotation_is_quoted() {
    for rendering in renderings() {
        let bare: Vec<_> = annotations(&rendering.text).filter(|line| !is_quoted(line)).collect();
        assert!(bare.is_empty(), "{}: these need quotes: {bare:?}", rendering.case);
    }
    assert_eq!(annotations("metadata:\n  annotations:\n    a: b\n  labels:\n    c: d\n").count(), 1);
    assert!(is_quoted("a/b: \"c\"") && !is_quoted("a/b: c"));
}

/// The lines under each `annotations:`.
fn annotations(text: &str) -> impl Iterator<Item = &str> {
    let mut within = None;
    text.lines().filter(move |line| {
        let indent = line.len() - line.trim_start().len();
        within = within.filter(|outer| indent > *outer);
        let is_inside = within.is_some();
        if line.trim_start() == "annotations:" {
            within = Some(indent);
        }
        is_inside && !line.trim_start().starts_with('#')
    })
}

fn is_quoted(line: &str) -> bool {
    line.split_once(": ").is_some_and(|(_, value)| value.starts_with(['"', '\'']))
}

/// Pod Security `restricted`, and quotas: for every pod that the chart makes with its own defaults.
#[test]
fn every_pod_is_restricted_and_bounded() {
    for rendering in renderings() {
        for object in &rendering.objects {
            let Some(pod) = pod(object) else { continue };
            let name = format!("{}: {} {}", rendering.case, object["kind"], object["metadata"]["name"]);
            let spec = &pod["spec"];
            assert_eq!(spec["securityContext"]["runAsNonRoot"], true, "{name}");
            assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
            assert_eq!(spec["enableServiceLinks"], false, "{name}: CORVEIL_PORT would come from the Service");
            let lists = ["containers", "initContainers"].map(|list| spec[list].as_array());
            for container in lists.into_iter().flatten().flatten() {
                let name = format!("{name}, container {}", container["name"]);
                let context = &container["securityContext"];
                assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
                assert_eq!(context["capabilities"]["drop"], serde_json::json!(["ALL"]), "{name}");
                if container["name"] != "corveil-chart" {
                    assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
                }
                for bound in ["requests", "limits"] {
                    for resource in ["cpu", "memory"] {
                        assert!(
                            container["resources"][bound][resource].is_string(),
                            "{name}: {bound} of {resource}"
                        );
                    }
                }
            }
        }
    }
}

/// Whatever skipped the hook: a pod of an unmigrated build never starts, and no old pod goes for it.
#[test]
fn the_deployment_fails_closed() {
    for rendering in renderings() {
        let mut deployments = rendering.of("Deployment");
        let deployment = deployments.find(|d| d["metadata"]["name"] != "prod-redis-master").unwrap();
        let spec = &deployment["spec"];
        assert_eq!(spec["strategy"]["rollingUpdate"]["maxUnavailable"], 0, "{}", rendering.case);
        assert!(spec["progressDeadlineSeconds"].as_i64().unwrap() < 300, "{}", rendering.case);
        let pod = &spec["template"]["spec"];
        let mut waits = pod["initContainers"].as_array().unwrap().iter();
        let wait = waits.find(|container| container["name"] == "wait-for-db").unwrap();
        assert_eq!(
            wait["image"], pod["containers"][0]["image"],
            "{}: another build would wait for another schema",
            rendering.case
        );
        assert_eq!(wait["command"], serde_json::json!(["corveil", "wait", "--for", "schema"]));
        // Its first restart is what `kubectl describe` shows. The marker has to outlive the container.
        let is_set =
            |name: &str| wait["env"].as_array().unwrap().iter().any(|variable| variable["name"] == name);
        assert!(is_set(env::RESTART_AFTER) && is_set(env::RESTART_MARKER), "{}", rendering.case);
        assert_eq!(wait["volumeMounts"][0]["name"], "corveil-wait", "{}", rendering.case);
        let volumes = pod["volumes"].as_array().unwrap();
        let marker = volumes.iter().find(|volume| volume["name"] == "corveil-wait").unwrap();
        // The cluster autoscaler removes no node that has a volume on its disk.
        let in_memory = serde_json::json!({"medium": "Memory", "sizeLimit": "1Mi"});
        assert_eq!(marker["emptyDir"], in_memory, "{}", rendering.case);
    }
}

/// The description of the API server itself, and a second opinion: patterns and required fields too.
#[test]
fn kubeconform_agrees() {
    let (sh, kubeconform) = (shell(), program(Tool::Kubeconform));
    let schemas = tools::schemas::location(&sh).unwrap_or_else(|error| panic!("{error:#}"));
    // Schemas of custom kinds are no part of Kubernetes.
    let skipped = "VirtualService,PeerAuthentication,HTTPRoute,ServiceMonitor";
    let check =
        cmd!(sh, "{kubeconform} -strict -summary -schema-location {schemas} -skip {skipped} {FOLDER}");
    let output = check.quiet().ignore_status().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

//! What Kubernetes alone would refuse, and only when the database is migrated, is refused before, with the key's name.

use serde_json::json;

use super::*;
use crate::gate::{HELMS, external, render, with};

/// Both Helms refuse it, and what they say has all of this.
#[track_caller]
fn assert_refused(values: &Value, says: &[&str]) {
    for helm in HELMS {
        let error = render(helm, &[], &with(external(), values.clone())).err();
        let error = error.unwrap_or_else(|| panic!("{values} is rendered")).to_string();
        let unsaid: Vec<_> = says.iter().filter(|says| !error.contains(**says)).collect();
        assert!(unsaid.is_empty(), "{values}: not {unsaid:?}, but {error}");
    }
}

/// The same for values that the schema refuses. It names all that is wrong, so those with no key in common are one file.
#[track_caller]
fn assert_schema_refuses(cases: &[(Value, &str)]) {
    let keys = |values: &Value| values.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
    let mut files: Vec<(Value, Vec<&str>)> = Vec::new();
    for (values, says) in cases {
        let has_room = |(file, all): &&mut (Value, Vec<&str>)| {
            let taken = keys(file).unwrap_or_default();
            !all.contains(says) && !keys(values).unwrap_or_default().iter().any(|key| taken.contains(key))
        };
        if let Some((file, all)) = files.iter_mut().find(has_room) {
            *file = with(file.take(), values.clone());
            all.push(says);
        } else {
            files.push((values.clone(), vec![says]));
        }
    }
    for (file, says) in files {
        assert_refused(&file, &says);
    }
}

#[track_caller]
fn rendered(values: &Value) -> Vec<Value> {
    let [three, four] = HELMS.map(|helm| {
        render(helm, &[], &with(external(), values.clone()))
            .unwrap_or_else(|error| panic!("{values}: {error}"))
    });
    assert_eq!(three, four);
    four
}

#[test]
fn a_name_that_no_object_can_have_is_refused() {
    assert_schema_refuses(&[
        (json!({"fullnameOverride": "Corveil_1"}), "/fullnameOverride'"),
        (json!({"nameOverride": "-gateway"}), "/nameOverride'"),
        (json!({"existingSecret": "My_Secret"}), "/existingSecret'"),
        (json!({"existingSecret": "a".repeat(254)}), "/existingSecret'"),
        (json!({"migrate": {"database": {"existingSecret": "a b"}}}), "/migrate/database/existingSecret'"),
        (json!({"migrate": {"database": {"key": "a/b"}}}), "/migrate/database/key'"),
        (json!({"migrate": {"serviceAccount": "A"}}), "/migrate/serviceAccount'"),
        (json!({"serviceAccount": {"name": "a."}}), "/serviceAccount/name'"),
        (json!({"imagePullSecrets": [{"name": "A"}]}), "/imagePullSecrets/0/name'"),
        (json!({"ingress": {"className": "nginx_internal"}}), "/ingress/className'"),
        (json!({"ingress": {"tls": [{"secretName": "A"}]}}), "/ingress/tls/0/secretName'"),
        (json!({"ingress": {"tls": [{"hosts": [""]}]}}), "/ingress/tls/0/hosts/0'"),
        (json!({"image": {"repository": "registry.example/corveil:2.0.0"}}), "/image/repository'"),
        (json!({"extraVolumes": [{"name": "a.b", "emptyDir": {}}]}), "/extraVolumes/0/name'"),
    ]);
    for (values, key) in [
        (json!({"fullnameOverride": 7}), "`fullnameOverride` makes the name `7`, which no Service can have"),
        (
            json!({"fullnameOverride": "", "nameOverride": "a.b"}),
            "the release and `nameOverride` make the name `corveil-a.b`, which no Service can have",
        ),
        (json!({"nameOverride": format!("{}.a", "a".repeat(62))}), "`nameOverride` makes the label `aaa"),
    ] {
        assert_refused(&values, &[key]);
    }
}

#[test]
fn a_release_whose_name_no_service_can_have_is_refused() {
    for (release, set, key) in [
        (&*"a".repeat(42), &[][..], "`postgresql.enabled` names a Service after the release"),
        ("1a", &[], "`postgresql.enabled` names"),
        ("a.b", &[], "`postgresql.enabled` names"),
        (
            &*"a".repeat(51),
            &["postgresql.enabled=false", "externalDatabase.url=postgres://db/a", "redis.enabled=true"],
            "`redis.enabled` names",
        ),
        (
            "1a",
            &["postgresql.enabled=false", "externalDatabase.url=postgres://db/a", "fullnameOverride="],
            "set `fullnameOverride`",
        ),
    ] {
        let (is_rendered, text) = refusals::answer_for(release, &["template"], set);
        assert!(!is_rendered && text.contains(key), "{release} {set:?}: {text}");
    }
    for (release, set) in [
        (&*"a".repeat(41), &["redis.enabled=true"][..]),
        ("1.b", &["postgresql.enabled=false", "externalDatabase.url=postgres://db/a"]),
    ] {
        let (is_rendered, text) = refusals::answer_for(release, &["template"], set);
        assert!(is_rendered, "{release} {set:?}: {text}");
    }
}

/// A controller makes the claim: the API server takes the `StatefulSet`, and then there is never a pod.
#[test]
fn a_claim_that_no_controller_can_make_is_refused() {
    let of = |persistence: Value| json!({"postgresql": {"enabled": true, "primary": {"persistence": persistence}}});
    for (persistence, key) in [
        (json!({"existingClaim": "A"}), "`postgresql.primary.persistence.existingClaim` is `A`"),
        (json!({"existingClaim": "{{"}), ".Values.postgresql.primary.persistence.existingClaim"),
        (json!({"storageClass": "a b"}), "`postgresql.primary.persistence.storageClass` is `a b`"),
        (json!({"labels": {"a": "b c"}}), "`postgresql.primary.persistence.labels` has \"b c\" for `a`"),
        (json!({"labels": {"a": "{{"}}), ".Values.postgresql.primary.persistence.labels"),
        (json!({"accessModes": []}), "`postgresql.primary.persistence.accessModes` is empty"),
        (json!({"accessModes": ["All"]}), "/postgresql/primary/persistence/accessModes/0'"),
        (json!({"size": "lots"}), "/postgresql/primary/persistence/size'"),
        (json!({"size": "0"}), "`postgresql.primary.persistence.size` is 0"),
    ] {
        assert_refused(&of(persistence), &[key]);
    }
    let values = with(of(json!({})), json!({"global": {"storageClass": "A"}}));
    assert_refused(&values, &["`global.storageClass` is `A`"]);
    rendered(&of(json!({"labels": {"release": "{{ .Release.Name }}"}, "storageClass": "-"})));
}

#[test]
fn a_number_or_a_switch_where_kubernetes_wants_text_is_refused() {
    assert_schema_refuses(&[
        (json!({"nodeSelector": {"gpu": true}}), "/nodeSelector/gpu'"),
        (json!({"podLabels": {"version": 2}}), "/podLabels/version'"),
        (json!({"podAnnotations": {"a": true}}), "/podAnnotations/a'"),
        (json!({"migrate": {"podLabels": {"a": 1}}}), "/migrate/podLabels/a'"),
        (json!({"serviceAccount": {"annotations": {"a": 1}}}), "/serviceAccount/annotations/a'"),
        (json!({"ingress": {"annotations": {"a": 1}}}), "/ingress/annotations/a'"),
        (json!({"tolerations": [{"key": "a", "value": 1}]}), "/tolerations/0/value'"),
        (json!({"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}), "/tolerations/0/value'"),
        (json!({"tolerations": [{"effect": "NoSchedule"}]}), "'key'"),
        (json!({"podLabels": {"a b": "c"}}), "'a b'"),
        (json!({"podLabels": {"a": "b c"}}), "/podLabels/a'"),
        (
            json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms":
                [{"matchExpressions": [{"key": "a", "operator": "In", "values": [1]}]}]}}}}),
            "matchExpressions/0/values/0'",
        ),
        (json!({"extraVolumes": [{"name": "a", "secret": {"name": "b"}}]}), "/extraVolumes/0/secret'"),
        (json!({"podSecurityContext": {"runAsUser": "1000"}}), "/podSecurityContext/runAsUser'"),
        (json!({"securityContext": {"readOnlyRootFileSystem": true}}), "'readOnlyRootFileSystem'"),
        (json!({"resources": {"limits": {"gpu": 1}}}), "'gpu'"),
        (json!({"resources": {"limits": {"nvidia.com/gpu": 0.5}}}), "/resources/limits/nvidia.com~1gpu'"),
        (json!({"podDisruptionBudget": {"minAvailable": "101%"}}), "/podDisruptionBudget/minAvailable'"),
        (
            json!({"networkPolicy": {"additionalEgressRules": [{"to": [{"ipBlock": {"cidr": "10.0.0.0"}}]}]}}),
            "/ipBlock/cidr'",
        ),
        (
            json!({"ingress": {"hosts": [{"host": "10.0.0.1", "paths": [{"path": "/"}]}]}}),
            "/ingress/hosts/0/host'",
        ),
        (
            json!({"ingress": {"hosts": [{"host": "a", "paths": [{"path": "/a//b", "pathType": "Prefix"}]}]}}),
            "/ingress/hosts/0/paths/0/path'",
        ),
        (json!({"extraEnv": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "a"}}}]}), "'key'"),
        (json!({"migrate": {"waitForDb": "99999999999999999999s"}}), "/migrate/waitForDb'"),
    ]);
}

/// Helm 4 applies on the server, which refuses lists that have a name twice.
#[test]
fn what_a_list_has_twice_is_refused() {
    let volume = json!({"name": "a", "emptyDir": {}});
    let mount = json!({"name": "a", "mountPath": "/a"});
    let volumes = json!([volume]);
    for (values, says) in [
        (json!({"extraEnv": [{"name": "A"}, {"name": "A"}]}), "`extraEnv` has the name `A` twice"),
        (
            json!({"extraEnv": [{"name": "CORVEIL_RESTART_AFTER"}]}),
            "`extraEnv` sets `CORVEIL_RESTART_AFTER`, which the chart has for itself",
        ),
        (
            json!({"migrate": {"extraEnv": [{"name": "A"}, {"name": "A"}]}}),
            "`migrate.extraEnv` has the name `A` twice",
        ),
        (json!({"extraVolumes": [volume, volume]}), "`extraVolumes` has the name `a` twice"),
        (
            json!({"extraVolumes": [{"name": "models", "emptyDir": {}}]}),
            "`extraVolumes` has the name `models`, which the chart has for itself",
        ),
        (
            json!({"extraVolumes": volumes, "extraVolumeMounts": [mount, mount]}),
            "`extraVolumeMounts` has the mountPath `/a` twice",
        ),
        (
            json!({"extraVolumeMounts": [mount]}),
            "`extraVolumeMounts` mounts `a`, which is not in `extraVolumes`",
        ),
        (
            json!({"extraVolumes": volumes, "migrate": {"extraVolumeMounts": [mount]}}),
            "`migrate.extraVolumeMounts` mounts `a`, which is not in `migrate.extraVolumes`",
        ),
        (
            json!({"podAnnotations": {"checksum/env": "a"}}),
            "`podAnnotations` has `checksum/env`, which the chart sets",
        ),
    ] {
        assert_refused(&values, &[says]);
    }
    rendered(&json!({"extraVolumes": volumes, "extraVolumeMounts": [mount]}));
}

#[test]
fn what_kubernetes_allows_with_nothing_or_not_together_is_refused() {
    for (values, says) in [
        (
            json!({"securityContext": {"privileged": true}}),
            "`securityContext.allowPrivilegeEscalation` is false",
        ),
        (
            json!({"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}),
            "`securityContext.allowPrivilegeEscalation`",
        ),
        (json!({"ingress": {"enabled": true, "hosts": []}}), "`ingress.hosts` is empty"),
        (json!({"istio": {"enabled": true, "corveil": {"hosts": []}}}), "`istio.corveil.hosts` is empty"),
        (
            json!({"istio": {"enabled": true, "corveil": {"hosts": ["{{ .a.b.c }}"]}}}),
            ".Values.istio.corveil.hosts",
        ),
        (json!({"resources": {"limits": {"memory": 0}}}), "`resources.requests.memory` is 512Mi, above"),
        (
            json!({"resources": {"requests": {"nvidia.com/gpu": 1}}}),
            "`resources.requests.nvidia.com/gpu` is not what `resources.limits.nvidia.com/gpu` is",
        ),
        (
            json!({"networkPolicy": {"additionalEgressRules": [{"ports": [{"port": 9, "endPort": 8}]}]}}),
            "`networkPolicy.additionalEgressRules` has `endPort` 8 below `port` 9",
        ),
    ] {
        assert_refused(&values, &[says]);
    }
    rendered(&json!({"securityContext": {"privileged": true, "allowPrivilegeEscalation": true}}));
    rendered(&json!({"resources": {"limits": {"nvidia.com/gpu": 1}}}));
}

#[test]
fn a_number_above_2_53_in_place_of_a_secret_is_refused_as_its_digits_are_lost() {
    for (values, key) in [
        (r#"{"corveil": {"secretKey": 12345678901234567890}}"#, "corveil.secretKey"),
        (
            r#"{"postgresql": {"enabled": true, "auth": {"password": 9007199254740993}}}"#,
            "postgresql.auth.password",
        ),
        (r#"{"providers": {"anthropic": {"apiKey": -9007199254740993}}}"#, "providers.anthropic.apiKey"),
    ] {
        let says = format!(
            "`{key}` is a number above 2^53, of which YAML keeps the value and not the digits: quote it"
        );
        assert_refused(&serde_json::from_str(values).unwrap(), &[&says]);
    }
    let (is_rendered, text) = refusals::answer(&["template"], &["corveil.secretKey=9007199254740993"]);
    assert!(!is_rendered && text.contains("`corveil.secretKey` is a number above 2^53"), "{text}");
    rendered(&json!({"corveil": {"secretKey": 9_007_199_254_740_991_i64}}));
}

#[test]
fn a_large_number_is_printed_without_an_exponent() {
    let objects = rendered(&json!({
        "migrate": {"retries": 12_345_678},
        "autoscaling": {"enabled": true, "maxReplicas": 12_345_678, "targetCPUUtilizationPercentage": 2_147_483_647},
        "podDisruptionBudget": {"enabled": true, "minAvailable": 12_345_677},
    }));
    let of = |kind: &str| objects.iter().find(|object| object["kind"] == kind).expect(kind);
    let env = of("Job")["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
    assert!(env.contains(&json!({"name": "CORVEIL_RETRIES", "value": "12345678"})), "{env:?}");
    assert_eq!(of("HorizontalPodAutoscaler")["spec"]["maxReplicas"], json!(12_345_678));
    assert_eq!(of("PodDisruptionBudget")["spec"]["minAvailable"], json!(12_345_677));
}

//! The bundled PostgreSQL takes over what the subchart of 1.0.0 left: its `StatefulSet`, its volume, its data.

use serde_json::json;
use xtask::gate::Step;

use super::*;

/// A change of one of these is refused by Kubernetes, after hook and Deployment were written.
#[test]
fn what_can_never_change_is_as_in_1_0_0() {
    let set = &rendering("default").get("StatefulSet", "prod-postgresql")["spec"];
    assert_eq!(set["serviceName"], "prod-postgresql-hl");
    assert!(set.get("podManagementPolicy").is_none());
    let selector = json!({"matchLabels": {
        "app.kubernetes.io/instance": "prod",
        "app.kubernetes.io/name": "postgresql",
        "app.kubernetes.io/component": "primary",
    }});
    assert_eq!(set["selector"], selector);
    let claim = |spec: Value| json!([{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": spec}]);
    let resources = |size: &str| json!({"requests": {"storage": size}});
    let expected = claim(json!({"accessModes": ["ReadWriteOnce"], "resources": resources("8Gi")}));
    assert_eq!(set["volumeClaimTemplates"], expected);
    let set = &rendering("chart-1.0.0-bundled").get("StatefulSet", "prod-postgresql")["spec"];
    let expected = claim(json!({
        "accessModes": ["ReadWriteOnce"], "resources": resources("20Gi"), "storageClassName": "fast",
    }));
    assert_eq!(set["volumeClaimTemplates"], expected);
}

/// The subchart's account goes with its objects. A template that names none keeps asking for it, as Kubernetes keeps the old
/// name under the alias `serviceAccount`, and no pod can be created any more.
#[test]
fn the_server_comes_back_after_the_account_of_1_0_0_is_gone() {
    let pod = &rendering("default").get("StatefulSet", "prod-postgresql")["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], "default");
}

#[test]
fn the_data_are_where_1_0_0_wrote_them() {
    let pod = &rendering("default").get("StatefulSet", "prod-postgresql")["spec"]["template"]["spec"];
    let context = &pod["securityContext"];
    assert_eq!((&context["runAsUser"], &context["fsGroup"]), (&json!(1001), &json!(1001)));
    let server = &pod["containers"][0];
    assert!(server["image"].as_str().unwrap().contains("postgres:18"));
    assert_eq!(server["env"][0], json!({"name": "PGDATA", "value": "/bitnami/postgresql/data"}));
    assert_eq!(server["volumeMounts"][0], json!({"name": "data", "mountPath": "/bitnami/postgresql"}));
    // The volume holds no settings, and a server without them does not start.
    let args: Vec<_> = server["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let data = rendering("default").get("ConfigMap", "prod-postgresql")["data"].as_object().unwrap();
    for (setting, file) in [("config_file", "postgresql.conf"), ("hba_file", "pg_hba.conf")] {
        assert!(args.contains(&&*format!("{setting}=/etc/corveil-postgresql/{file}")));
        assert!(data.contains_key(file));
    }
}

#[test]
fn the_url_is_that_of_the_bundled_service() {
    let url = |case: &str| settings::secret(rendering(case), "DATABASE_URL");
    assert_eq!(url("default"), "postgresql://citadel:citadel@prod-postgresql:5432/citadel");
    assert_eq!(
        url("everything"),
        "postgresql://citadel:with%20spaces%2C%20a%20%2F%20and%20an%20%40@prod-postgresql:5432/citadel"
    );
}

/// Argo CD goes on to the migration once the database is healthy.
#[test]
fn the_database_is_there_before_the_migration() {
    let wave = |kind: &str, name: &str| {
        let annotations = &rendering("default").get(kind, name)["metadata"]["annotations"];
        annotations["argocd.argoproj.io/sync-wave"].as_str().unwrap().to_owned()
    };
    assert_eq!(wave("StatefulSet", "prod-postgresql"), Step::Database.wave().to_string());
    for (kind, name) in [
        ("ConfigMap", "prod-postgresql"),
        ("Secret", "prod-postgresql"),
        ("Secret", "prod-secrets"),
        ("Service", "prod-postgresql"),
        ("Service", "prod-postgresql-hl"),
    ] {
        assert_eq!(wave(kind, name), Step::Inputs.wave().to_string(), "{kind} {name}");
    }
}

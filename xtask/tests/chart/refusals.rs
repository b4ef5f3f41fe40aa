//! What cannot work is refused before anything is written, in one sentence that names the key.

use xshell::cmd;

use super::*;

/// What Helm says to the smallest file of values with these in addition.
pub(super) fn answer(command: &[&str], set: &[&str]) -> (bool, String) {
    answer_for("prod", command, set)
}

/// The same for a release of this name.
pub(super) fn answer_for(release: &str, command: &[&str], set: &[&str]) -> (bool, String) {
    let set: Vec<_> = set.iter().flat_map(|set| ["--set", set]).collect();
    answer_with(release, command, &set)
}

/// The same with any flags that have values.
fn answer_with(release: &str, command: &[&str], flags: &[&str]) -> (bool, String) {
    let (sh, helm) = (shell(), program(Tool::Helm4));
    let output =
        cmd!(sh, "{helm} {command...} {release} chart --values chart/ci/default-values.yaml {flags...}");
    let output = output.quiet().ignore_status().output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text.into_owned())
}

#[test]
fn each_refusal_names_its_key() {
    for (set, sentence) in [
        (&["citadel.logLevel=INFO"][..], "`citadel` was renamed in chart 1.0.0: move its keys to `corveil`"),
        (
            &["istio.citadel.hosts={a}"],
            "`istio.citadel` was renamed in chart 1.0.0: move its keys to `istio.corveil`",
        ),
        (&["socketzero.enabled=true"], "`socketzero` was removed in chart 1.0.0"),
        (&["corveil.secretKey="], "`corveil.secretKey` is empty"),
        (&["postgresql.enabled=false"], "`externalDatabase.url` is empty"),
        (&["postgresql.auth.password="], "`postgresql.auth.password` is empty"),
        (&["migrate.serviceAccount=corveil"], "`migrate.serviceAccount` is `corveil`, the app's"),
        (&["migrate.activeDeadlineSeconds=200"], "`migrate.activeDeadlineSeconds` is 200, but"),
        (
            &["migrate.argocd.phase=PreSync"],
            "`migrate.argocd.phase` is `PreSync`, which comes before the database",
        ),
        (&["autoscaling.enabled=true", "autoscaling.minReplicas=9"], "`autoscaling.minReplicas` is above"),
        (&["extraEnv[0].name=DATABASE_URL", "extraEnv[0].value=x"], "`extraEnv` sets what"),
        (
            &["migrate=null", "wait=null", "history=null"],
            "as after `--reuse-values` with an earlier chart: upgrade with `--reset-then-reuse-values`",
        ),
        (
            &["resources.requests.memory=2Gi"],
            "`resources.requests.memory` is 2Gi, above `resources.limits.memory`, which is 1Gi: set that too",
        ),
        (&["migrate.resources.requests.cpu=1"], "`migrate.resources.requests.cpu` is 1, above"),
        (&["wait.resources.requests.memory=0.2G"], "`wait.resources.requests.memory` is 0.2G, above"),
        (
            &["strategy.rollingUpdate.maxSurge=0%"],
            "`strategy.rollingUpdate.maxSurge` and `strategy.rollingUpdate.maxUnavailable` are both 0",
        ),
        (&["minReadySeconds=240"], "`minReadySeconds` is 240, not below `wait.progressDeadlineSeconds`"),
        (&["terminationGracePeriodSeconds=4"], "`terminationGracePeriodSeconds` is 4, less than the 5 s"),
        (&["commonLabels.helm\\.sh/chart=a"], "`commonLabels` sets `helm.sh/chart`, which the chart sets"),
        (
            &["service.nodePort=30080"],
            "`service.nodePort` is set, but `service.type` is ClusterIP: that is for NodePort and LoadBalancer",
        ),
        (&["service.externalTrafficPolicy=Local"], "`service.externalTrafficPolicy` is set, but"),
        (
            &["service.type=NodePort", "service.loadBalancerClass=a"],
            "`service.loadBalancerClass` is set, but `service.type` is NodePort: that is for LoadBalancer",
        ),
        (
            &["service.loadBalancerSourceRanges={10.0.0.0/8}"],
            "`service.loadBalancerSourceRanges` is set, but",
        ),
        (&["httpRoute.enabled=true"], "`httpRoute.parentRefs` is empty"),
        (
            &[
                "serviceMonitor.enabled=true",
                "serviceMonitor.interval=30s",
                "serviceMonitor.scrapeTimeout=1m",
            ],
            "`serviceMonitor.scrapeTimeout` is 1m, above `serviceMonitor.interval`, which is 30s",
        ),
        // By the schema.
        (&["serviceMonitor.interval=1min"], "interval"),
        (&["strategy.type=Recreate"], "RollingUpdate"),
        (&["livenessProbe.path=/"], "path"),
        (&["resources.requests.memory=lots"], "memory"),
        (&["service.port=99999"], "port"),
        (&["replicaCount=100000000000000000000"], "replicaCount"),
        (&["ingress.hosts[0].host=a.example"], "hosts"),
        (&["extraEnv[0].value=x"], "name"),
        (&["migrate.extraEnv[0].name=A B"], "name"),
        (&["image.digest=sha256:abc"], "digest"),
        (&["image.tag=a/b"], "tag"),
        (&["corveil.logLevell=INFO"], "logLevell"),
        (&["migrate.waitForDb=60"], "waitForDb"),
        (&["corveil.logLevel=verbose"], "logLevel"),
        (&["replicaCount=many"], "replicaCount"),
    ] {
        let (is_rendered, text) = answer(&["template"], set);
        assert!(!is_rendered, "{set:?} is rendered");
        assert!(text.contains(sentence), "{set:?}: {text}");
    }
}

/// A pod of a `StatefulSet` has its name and a hash of ten characters in one label of at most 63.
#[test]
fn a_releases_name_that_leaves_no_room_for_the_bundled_servers_is_refused() {
    let outside = ["postgresql.enabled=false", "externalDatabase.url=postgres://db/a"];
    let redis = [&outside[..], &["redis.enabled=true"]].concat();
    let sentence = "names a Service after the release";
    for (length, set, is_accepted) in [
        (41, &[][..], true),
        (42, &[], false),
        (53, &[], false),
        (53, &outside, true),
        (50, &redis, true),
        (51, &redis, false),
    ] {
        let (is_rendered, text) = answer_for(&"r".repeat(length), &["template"], set);
        assert_eq!((is_rendered, !text.contains(sentence)), (is_accepted, is_accepted), "{length}: {text}");
    }
}

#[test]
fn a_budget_that_lets_no_node_be_drained_is_refused() {
    let on = "podDisruptionBudget.enabled=true";
    for (set, key) in [
        (&[][..], "minAvailable` is 1, and there are 1 pods (`replicaCount`)"),
        (
            &["replicaCount=3", "podDisruptionBudget.minAvailable=3"],
            "minAvailable` is 3, and there are 3 pods",
        ),
        (
            &["replicaCount=3", "podDisruptionBudget.minAvailable=67%"],
            "minAvailable` is 67%, and there are 3",
        ),
        (&["replicaCount=null", "podDisruptionBudget.minAvailable=100%"], "minAvailable` is 100%"),
        (&["replicaCount=9", "podDisruptionBudget.maxUnavailable=0"], "maxUnavailable` is 0"),
        (&["replicaCount=9", "podDisruptionBudget.maxUnavailable=0%"], "maxUnavailable` is 0%"),
        (
            &["autoscaling.enabled=true", "podDisruptionBudget.minAvailable=3"],
            "minAvailable` is 3, and there are 3 pods (`autoscaling.maxReplicas`)",
        ),
    ] {
        let (is_rendered, text) = answer(&["template"], &[set, &[on]].concat());
        assert!(!is_rendered && text.contains(key), "{set:?}: {text}");
        let (is_rendered, text) = answer(&["template"], set);
        assert!(is_rendered, "there is no budget: {text}");
    }
    for set in [
        &["replicaCount=2"][..],
        &["replicaCount=3", "podDisruptionBudget.minAvailable=66%"],
        &["replicaCount=0"],
        &["replicaCount=null"],
        &["podDisruptionBudget.maxUnavailable=1", "podDisruptionBudget.minAvailable=100%"],
        &["podDisruptionBudget.minAvailable=0"],
        &["autoscaling.enabled=true"],
    ] {
        let (is_rendered, text) = answer(&["template"], &[set, &[on]].concat());
        assert!(is_rendered, "{set:?}: {text}");
    }
}

#[test]
fn a_tag_that_is_not_quoted_is_refused_as_yaml_reads_another() {
    for (tag, is_rendered) in [("2.0", false), ("0o17", false), ("\"2.0\"", true)] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("image: {{tag: {tag}}}\n")).unwrap();
        let file = file.path().to_str().unwrap();
        let (succeeded, text) = answer_with("prod", &["template"], &["--values", file]);
        let says = "`image.tag` is a number, of which YAML keeps the value and not the digits: quote it";
        assert_eq!((succeeded, text.contains(says)), (is_rendered, !is_rendered), "{tag}: {text}");
    }
}

#[test]
fn requests_up_to_their_limits_are_rendered() {
    for set in [
        &["resources.requests.memory=1Gi", "resources.requests.cpu=1000m"][..],
        &["resources.requests.memory=1073741824", "resources.limits.memory=1.1e9"],
        &["resources.requests.memory=2Gi", "resources.limits.memory=null"],
        &["resources.requests.ephemeral-storage=5Gi"],
        &["resources.limits=null", "migrate.resources=null", "wait.resources.requests=null"],
    ] {
        let (is_rendered, text) = answer(&["template"], set);
        assert!(is_rendered, "{set:?}: {text}");
    }
}

/// 1.0.0's subchart kept the data where these said, and this chart would start an empty database beside them, or be refused by
/// Kubernetes after hook and Deployment were written.
#[test]
fn keys_that_would_lose_the_volume_of_1_0_0_are_refused() {
    let mut outside = vec!["postgresql.enabled=false", "externalDatabase.url=postgres://db/a"];
    for (set, key, step) in [
        ("postgresql.fullnameOverride=db", "postgresql.fullnameOverride", "statefulset db "),
        ("global.postgresql.fullnameOverride=db", "global.postgresql.fullnameOverride", "statefulset db "),
        ("postgresql.nameOverride=db", "postgresql.nameOverride", "statefulset prod-db "),
        (
            "postgresql.architecture=replication",
            "postgresql.architecture",
            "statefulset prod-postgresql-primary ",
        ),
        (
            "postgresql.primary.persistence.volumeName=pg",
            "postgresql.primary.persistence.volumeName",
            "claim `pg-prod-postgresql-0`",
        ),
        (
            "postgresql.primary.persistence.dataSource.name=old",
            "postgresql.primary.persistence.dataSource",
            "statefulset prod-postgresql ",
        ),
        ("postgresql.primary.persistence.subPath=pg", "postgresql.primary.persistence.subPath", "move them"),
        ("postgresql.postgresqlDataDir=/bitnami/postgresql/pg", "postgresql.postgresqlDataDir", "move them"),
        (
            "postgresql.primary.podManagementPolicy=Parallel",
            "postgresql.primary.podManagementPolicy",
            "statefulset prod-postgresql ",
        ),
    ] {
        let (is_rendered, text) = answer(&["template"], &[set]);
        assert!(!is_rendered, "{set} is rendered");
        assert!(text.contains(&format!("`{key}` is ")) && text.contains(step), "{set}: {text}");
        outside.push(set);
    }
    // None shapes anything without the bundled database; a refusal would not be hidden by the others.
    let (is_rendered, text) = answer(&["template"], &outside);
    assert!(is_rendered, "{outside:?}: {text}");
}

#[test]
fn the_defaults_of_the_former_subchart_are_no_reason_to_refuse() {
    let set = [
        "postgresql.fullnameOverride=",
        "postgresql.nameOverride=postgresql",
        "postgresql.architecture=standalone",
        "postgresql.postgresqlDataDir=/bitnami/postgresql/data",
        "postgresql.primary.name=primary",
        "postgresql.primary.podManagementPolicy=",
        "postgresql.primary.persistence.volumeName=data",
        "postgresql.primary.persistence.mountPath=/bitnami/postgresql",
        "postgresql.primary.persistence.subPath=",
    ];
    let (is_rendered, text) = answer(&["template"], &set);
    assert!(is_rendered, "{text}");
    let (is_rendered, text) = answer(&["template"], &["postgresql.fullnameOverride=prod-postgresql"]);
    assert!(is_rendered, "it is our name too: {text}");
}

#[test]
fn keys_of_the_former_subcharts_are_named_as_ignored() {
    let set = [
        "postgresql.metrics.enabled=true",
        "postgresql.primary.extraEnvVars[0].name=A",
        "redis.auth.enabled=false",
    ];
    let (is_rendered, text) = answer(&["install", "--dry-run=client"], &set);
    assert!(is_rendered, "{text}");
    let (_, ignored) = text.split_once("set and have no effect:").expect("a list of ignored keys");
    assert_eq!(
        ignored.split_whitespace().collect::<Vec<_>>(),
        ["postgresql.metrics", "postgresql.primary.extraEnvVars", "redis.auth",]
    );
    let (_, text) = answer(&["install", "--dry-run=client"], &[]);
    assert!(!text.contains("have no effect"), "{text}");
}

//! What cannot work is refused before anything is written, in one sentence that names the key.

use xshell::cmd;

use super::*;

/// What Helm says to the smallest file of values with these in addition.
fn answer(command: &[&str], set: &[&str]) -> (bool, String) {
    let (sh, helm) = (shell(), program(Tool::Helm4));
    let set = set.iter().flat_map(|set| ["--set", set]);
    let output = cmd!(sh, "{helm} {command...} prod chart --values chart/ci/default-values.yaml {set...}");
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
        // By the schema.
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

#[test]
fn keys_of_the_former_subcharts_are_named_as_ignored() {
    let set = [
        "postgresql.metrics.enabled=true",
        "postgresql.primary.resources.limits.cpu=1",
        "redis.auth.enabled=false",
    ];
    let (is_rendered, text) = answer(&["install", "--dry-run=client"], &set);
    assert!(is_rendered, "{text}");
    let (_, ignored) = text.split_once("set and have no effect:").expect("a list of ignored keys");
    assert_eq!(
        ignored.split_whitespace().collect::<Vec<_>>(),
        ["postgresql.metrics", "postgresql.primary.resources", "redis.auth",]
    );
    let (_, text) = answer(&["install", "--dry-run=client"], &[]);
    assert!(!text.contains("have no effect"), "{text}");
}

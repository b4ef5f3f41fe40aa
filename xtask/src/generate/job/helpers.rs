//! `chart/templates/_gate.tpl`: the gate description as named templates, for the Job and for whoever needs it.

use std::fmt::Write as _;

use crate::gate::bounds::MARGIN;
use crate::gate::{self, Annotations, Database, Part, Phase, Step};
use corveil::config::env;

use super::typed::{Strings, mesh_annotations, mesh_labels};

/// The longest name of a Job: its pods carry it as a label.
const LONGEST: usize = 63;
/// How much of the hash a bootstrap Job's name has.
pub(crate) const HASH: usize = 10;

/// The whole file, without its header.
pub(crate) fn text() -> String {
    let mut text = String::new();
    for (name, why, body) in [
        ("corveil.gate.phase", PHASE_WHY, phase()),
        ("corveil.gate.reachesCluster", REACHES_CLUSTER_WHY, REACHES_CLUSTER.into()),
        ("corveil.gate.helmRenders", HELM_RENDERS_WHY, HELM_RENDERS.into()),
        ("corveil.gate.hasHook", HAS_HOOK_WHY, HAS_HOOK.into()),
        ("corveil.gate.hasBootstrap", HAS_BOOTSTRAP_WHY, HAS_BOOTSTRAP.into()),
        ("corveil.gate.annotations.hook.job", "Of the hook Job.", hook(Part::Job)),
        ("corveil.gate.annotations.hook.inputs", "Of what the hook Job needs.", hook(Part::Inputs)),
        ("corveil.gate.annotations.wave.inputs", INPUTS_WHY, lines(&gate::wave(Step::Inputs))),
        ("corveil.gate.annotations.wave.database", DATABASE_WHY, lines(&gate::wave(Step::Database))),
        (
            "corveil.gate.annotations.wave.job",
            "Of the plain Job of phase Wave.",
            lines(&gate::wave(Step::Job)),
        ),
        ("corveil.migrate.name.hook", "Of the hook's objects.", name(gate::Job::Hook.suffix())),
        ("corveil.migrate.name.copy", "Of the hook's copy of the Secret.", name(gate::COPY_SUFFIX)),
        ("corveil.migrate.name.wave", "Of the objects of phase Wave.", name(gate::Job::Wave.suffix())),
        ("corveil.migrate.name.bootstrap", BOOTSTRAP_WHY, bootstrap_name()),
        ("corveil.migrate.labels", LABELS_WHY, LABELS.into()),
        ("corveil.migrate.objectLabels", "The labels of the migration's objects.", OBJECT_LABELS.into()),
        ("corveil.migrate.podLabels", POD_LABELS_WHY, pod(POD_LABELS, &mesh_labels())),
        (
            "corveil.migrate.podAnnotations",
            "The same for annotations.",
            pod(POD_ANNOTATIONS, &mesh_annotations()),
        ),
        ("corveil.migrate.account", ACCOUNT_WHY, ACCOUNT.into()),
        ("corveil.gate.milliseconds", MILLISECONDS_WHY, MILLISECONDS.into()),
        ("corveil.gate.validate", "Fails where the values cannot work, naming the key.", validate()),
    ] {
        let _ = write!(
            text,
            "\n{{{{/* {why} */}}}}\n{{{{- define \"{name}\" -}}}}\n{}\n{{{{- end }}}}\n",
            body.trim()
        );
    }
    text
}

const PHASE_WHY: &str =
    "The phase as it applies now: a plain Job is no gate under Helm, which gets the ordinary hook.";
fn phase() -> String {
    format!(
        r#"{{{{- $default := "{external}" -}}}}
{{{{- if .Values.postgresql.enabled -}}}}{{{{- $default = "{bundled}" -}}}}{{{{- end -}}}}
{{{{- $phase := .Values.migrate.argocd.phase | default $default -}}}}
{{{{- if and (eq $phase "{wave}") (include "corveil.gate.helmRenders" .) -}}}}{{{{ $default }}}}{{{{- else -}}}}{{{{ $phase }}}}{{{{- end -}}}}"#,
        external = Database::External.default_phase().name(),
        bundled = Database::Bundled.default_phase().name(),
        wave = Phase::Wave.name(),
    )
}

const REACHES_CLUSTER_WHY: &str = "\"true\" where a lookup answers: a list without a name is there even when it is empty, and is not under `helm template`,\n   so not under Argo CD. Whoever installs the chart may list what the chart creates.";
const REACHES_CLUSTER: &str =
    r#"{{- if lookup "apps/v1" "Deployment" .Release.Namespace "" -}}true{{- end -}}"#;

const HELM_RENDERS_WHY: &str = "\"true\" where Helm itself applies what is rendered: Argo CD never renders an upgrade, and nothing answers its lookups.";
const HELM_RENDERS: &str =
    r#"{{- if or .Release.IsUpgrade (include "corveil.gate.reachesCluster" .) -}}true{{- end -}}"#;

const HAS_HOOK_WHY: &str = "\"true\" unless the hook could only fail: an upgrade whose bundled database is missing or not ready, as after a first\n   install that failed. The bootstrap Job migrates then, and until it has, the pods do not start.";
const HAS_HOOK: &str = r#"{{- $isMissing := false -}}
{{- if and .Values.postgresql.enabled .Release.IsUpgrade (include "corveil.gate.reachesCluster" .) -}}
{{- $database := lookup "apps/v1" "StatefulSet" .Release.Namespace (include "corveil.postgresql.fullname" .) | default dict -}}
{{- $isMissing = not (dig "status" "readyReplicas" 0 $database) -}}
{{- end -}}
{{- if and (ne (include "corveil.gate.phase" .) "Wave") (not $isMissing) -}}true{{- end -}}"#;

const HAS_BOOTSTRAP_WHY: &str = "\"true\" where a plain Job stands beside the hook: Helm cannot run a hook between a release's database and its pods.";
const HAS_BOOTSTRAP: &str =
    r#"{{- if and .Values.postgresql.enabled (include "corveil.gate.helmRenders" .) -}}true{{- end -}}"#;

const INPUTS_WHY: &str = "Of the release's own Secrets and settings: under Argo CD they are there before the database and the migration.";
const DATABASE_WHY: &str = "Of the bundled database: Argo CD waits until it is healthy before it migrates.";

const BOOTSTRAP_WHY: &str = "Of the bootstrap's objects that keep their name.";

const ACCOUNT_WHY: &str = "The account of a Job: `job` is hook, bootstrap or wave. The hook's goes when the hook has succeeded, so the bootstrap has\n   one of its own.";
const ACCOUNT: &str = r#"{{- $given := include "corveil.text" .root.Values.migrate.serviceAccount -}}
{{- if and .root.Values.migrate.createServiceAccount (or (not $given) (eq .job "bootstrap")) -}}
{{- include (print "corveil.migrate.name." .job) .root -}}
{{- else -}}
{{- $given -}}
{{- end -}}"#;

const LABELS_WHY: &str =
    "What the migration's objects and pods have in common, and neither the Service nor the app selects.";
const LABELS: &str = r#"app.kubernetes.io/component: migrate
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/name: {{ printf "%s-migrate" (include "corveil.name" . | trunc 55 | trimSuffix "-") | quote }}"#;

const OBJECT_LABELS: &str = r#"{{ include "corveil.commonLabels" . }}
{{ include "corveil.migrate.labels" . }}"#;

const POD_LABELS_WHY: &str = "A mesh's sidecar would keep the pod running after the migration has ended; `migrate.podLabels` may still ask for one.";
const POD_LABELS: &str = r#"{{- $given := merge (dict) (.Values.migrate.podLabels | default dict) (.Values.commonLabels | default dict) -}}
{{- $fixed := include "corveil.migrate.labels" . | fromYaml -}}"#;
const POD_ANNOTATIONS: &str = r"{{- $given := .Values.migrate.podAnnotations | default dict -}}
{{- $fixed := dict -}}";

/// Fixed ones win over given ones, which win over those for meshes.
fn pod(given: &str, mesh: &Strings) -> String {
    let mesh: Vec<_> = mesh.iter().map(|(key, value)| format!("{key:?} {value:?}")).collect();
    format!(
        "{given}
{{{{- range $key, $value := merge $fixed $given (dict {}) }}}}
{{{{ $key }}}}: {{{{ $value | toString | quote }}}}
{{{{- end }}}}",
        mesh.join(" ")
    )
}

const MILLISECONDS_WHY: &str = "A duration such as `1h 30min`, of which `key` is the place in the values.";
const MILLISECONDS: &str = r#"{{- $text := toString .value -}}
{{- if not (regexMatch "^(0|([0-9]+(ms|s|m|min|h) ?)+)$" $text) -}}
{{- fail (printf "`%s` is %q: write it like `30s`, `5m` or `1h`" .key $text) -}}
{{- end -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "min" 60000 "h" 3600000 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+(ms|min|s|m|h)" $text -1 -}}
{{- $number := regexFind "[0-9]+" . -}}
{{- $sum = add $sum (mul (int64 $number) (index $units (trimPrefix $number .))) -}}
{{- end -}}
{{- $sum -}}"#;

fn validate() -> String {
    let phases: Vec<_> = Phase::ALL.iter().map(|phase| format!("{:?}", phase.name())).collect();
    let names: Vec<_> = Phase::ALL.iter().map(|phase| format!("`{}`", phase.name())).collect();
    let refused: Vec<_> = Phase::ALL.into_iter().filter(|phase| !Database::Bundled.allows(*phase)).collect();
    let refused: Vec<_> = refused.iter().map(|phase| format!("(eq $phase {:?})", phase.name())).collect();
    let variables = [
        (env::DATABASE_URL, "existingSecret` or `externalDatabase.url"),
        (env::MIGRATE_DATABASE_URL, "migrate.database.existingSecret"),
        (env::WAIT_FOR_DB, "migrate.waitForDb"),
        (env::LOCK_WAIT, "migrate.lockWait"),
        (env::LOCK_TIMEOUT, "migrate.lockTimeout"),
        (env::STATEMENT_TIMEOUT, "migrate.statementTimeout"),
        (env::RETRIES, "migrate.retries"),
        (env::OUT_OF_ORDER, "migrate.outOfOrder"),
        (env::DETAIL, "migrate.errorDetail"),
        (env::DEADLINE, "migrate.activeDeadlineSeconds"),
        (env::ADOPT, "migrate.adopt.enabled"),
        (env::ADOPT_TO, "migrate.adopt.to"),
        (env::HISTORY_SCHEMA, "history.schema"),
        (env::HISTORY_OWNER, "history.owner"),
    ];
    let variables: Vec<_> = variables.iter().map(|(name, key)| format!("{name:?} {key:?}")).collect();
    format!(
        r#"{{{{- $migrate := .Values.migrate -}}}}
{{{{- $phase := $migrate.argocd.phase | default "" -}}}}
{{{{- if not (has $phase (list "" {phases})) -}}}}
{{{{- fail (printf "`migrate.argocd.phase` is %q: leave it empty, or write {names}" $phase) -}}}}
{{{{- end -}}}}
{{{{- if and .Values.postgresql.enabled (or false {refused}) -}}}}
{{{{- fail (printf "`migrate.argocd.phase` is `%s`, which comes before the database of `postgresql.enabled` exists: leave it empty" $phase) -}}}}
{{{{- end -}}}}
{{{{- if and $migrate.database.existingSecret (not $migrate.database.key) -}}}}
{{{{- fail "`migrate.database.key` is empty: name the key of `migrate.database.existingSecret` that holds the URL" -}}}}
{{{{- end -}}}}
{{{{- $to := include "corveil.text" $migrate.adopt.to -}}}}
{{{{- if and $to (not (regexMatch "^[0-9]+$" $to)) -}}}}
{{{{- fail (printf "`migrate.adopt.to` is %q: write the version of a migration, such as 7, or leave it empty" $to) -}}}}
{{{{- end -}}}}
{{{{- if and $to (not $migrate.adopt.enabled) -}}}}
{{{{- fail "`migrate.adopt.to` is set, but nothing is adopted without `migrate.adopt.enabled`: set that too, or leave it empty" -}}}}
{{{{- end -}}}}
{{{{- $copy := include "corveil.migrate.name.copy" . -}}}}
{{{{- if eq (include "corveil.text" $migrate.database.existingSecret) $copy -}}}}
{{{{- fail (printf "`migrate.database.existingSecret` is `%s`, which the chart itself creates and deletes: give yours another name" $copy) -}}}}
{{{{- end -}}}}
{{{{- if eq (include "corveil.text" .Values.existingSecret) $copy -}}}}
{{{{- fail (printf "`existingSecret` is `%s`, which the chart itself creates and deletes: give yours another name" $copy) -}}}}
{{{{- end -}}}}
{{{{- $app := include "corveil.serviceAccountName" . -}}}}
{{{{- $isOwn := or .Values.serviceAccount.create (ne $app "default") -}}}}
{{{{- if and $isOwn (eq (include "corveil.text" $migrate.serviceAccount) $app) -}}}}
{{{{- fail (printf "`migrate.serviceAccount` is `%s`, the app's, whose rights are not for a migration, and which may not exist before the first install: name one of your own, or leave it empty" $app) -}}}}
{{{{- end -}}}}
{{{{- if and $migrate.createServiceAccount (eq (include "corveil.text" $migrate.serviceAccount) "default") -}}}}
{{{{- fail "`migrate.serviceAccount` is `default`, which `migrate.createServiceAccount` would replace for the whole namespace: give the account another name" -}}}}
{{{{- end -}}}}
{{{{- range $name, $_ := $migrate.annotations -}}}}
{{{{- if or (hasPrefix "helm.sh/" $name) (hasPrefix "argocd.argoproj.io/" $name) -}}}}
{{{{- fail (printf "`migrate.annotations` sets `%s`, and what makes the Job a gate is the chart's: remove it, and see `migrate.argocd.phase`" $name) -}}}}
{{{{- end -}}}}
{{{{- end -}}}}
{{{{- $wait := include "corveil.gate.milliseconds" (dict "key" "migrate.waitForDb" "value" $migrate.waitForDb) | int64 -}}}}
{{{{- $lock := include "corveil.gate.milliseconds" (dict "key" "migrate.lockWait" "value" $migrate.lockWait) | int64 -}}}}
{{{{- $deadline := int64 $migrate.activeDeadlineSeconds -}}}}
{{{{- if le (mul 1000 (sub $deadline {margin})) (add $wait $lock) -}}}}
{{{{- fail (printf "`migrate.activeDeadlineSeconds` is %d, but one attempt may wait for `migrate.waitForDb` and `migrate.lockWait`, and ends {margin} s early to keep its log: set at least %d" $deadline (add {margin} 1 (div (add $wait $lock) 1000))) -}}}}
{{{{- end -}}}}
{{{{- $set := dict {variables} -}}}}
{{{{- range $migrate.extraEnv -}}}}
{{{{- with get $set .name -}}}}
{{{{- fail (printf "`migrate.extraEnv` sets what `%s` is for: use that" .) -}}}}
{{{{- end -}}}}
{{{{- end -}}}}"#,
        phases = phases.join(" "),
        names = names.join(", "),
        refused = refused.join(" "),
        margin = MARGIN.as_secs(),
        variables = variables.join(" "),
    )
}

/// The full name and the suffix, at most as long as a label may be.
fn name(suffix: &str) -> String {
    let left = LONGEST - suffix.len();
    format!(
        r#"{{{{- printf "%s{suffix}" (include "corveil.fullname" . | trunc {left} | trimSuffix "-") -}}}}"#
    )
}

fn bootstrap_name() -> String {
    name(&format!("{}bootstrap", gate::Job::Bootstrap.suffix()))
}

/// The name of the bootstrap Job, from the variable `$hash`.
pub(crate) fn bootstrap_job_name() -> String {
    let suffix = gate::Job::Bootstrap.suffix();
    let left = LONGEST - suffix.len() - HASH;
    format!(r#"printf "%s{suffix}%s" (include "corveil.fullname" . | trunc {left} | trimSuffix "-") $hash"#)
}

/// The annotations of a part of the hook, where only two of them depend on the values.
fn hook(part: Part) -> String {
    let mut text = String::new();
    let external = gate::hook(part, Database::External, Phase::PreSync);
    let bundled = gate::hook(part, Database::Bundled, Phase::PreSync);
    for ((key, external), (_, bundled)) in external.iter().zip(&bundled) {
        let value = match *key {
            gate::ARGOCD_HOOK => r#"{{ include "corveil.gate.phase" . | quote }}"#.to_owned(),
            _ if external == bundled => format!("{external:?}"),
            _ => format!(
                "{{{{ if .Values.postgresql.enabled }}}}{bundled:?}{{{{ else }}}}{external:?}{{{{ end }}}}"
            ),
        };
        let _ = writeln!(text, "{key}: {value}");
    }
    text
}

fn lines(annotations: &Annotations) -> String {
    annotations.iter().fold(String::new(), |mut text, (key, value)| {
        let _ = writeln!(text, "{key}: {value:?}");
        text
    })
}

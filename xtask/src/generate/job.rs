//! The migration Job in the chart, with its copy of the Secret, its `NetworkPolicy` and the templates they use.

mod helpers;
pub mod typed;

use std::fmt::Write as _;

use crate::gate::bounds::{Bounds, MARGIN};
use crate::gate::{self, failure};
use anyhow::Result;
use corveil::config::env;

use super::template::{Hole, Holes, template, yaml};
use super::{Files, HEADER};
use typed::{Setting, Strings, strings};

pub(crate) fn files() -> Result<Files> {
    let file = |name: &str, text: String| {
        (format!("chart/templates/{name}").into(), format!("{{{{- /* {HEADER}. */ -}}}}\n{text}"))
    };
    Ok(vec![
        file("_gate.tpl", helpers::text()),
        file("job-migrate.yaml", jobs()?),
        file("secret-migrate.yaml", secret()?),
        file("networkpolicy-migrate.yaml", network_policies()?),
        file("serviceaccount-migrate.yaml", service_accounts()?),
    ])
}

/// Before any value is read: some may be missing.
const VALUES: &str = "{{- include \"corveil.values\" . }}\n";

/// The three wrappers, and the one body.
fn jobs() -> Result<String> {
    let hook = wrapper(gate::Job::Hook, r#"include "corveil.migrate.name.hook" ."#, Some("hook.job"))?;
    let bootstrap = wrapper(gate::Job::Bootstrap, &helpers::bootstrap_job_name(), None)?;
    let wave = wrapper(gate::Job::Wave, r#"include "corveil.migrate.name.wave" ."#, Some("wave.job"))?;
    let hash = helpers::HASH;
    Ok(format!(
        r#"{VALUES}{{{{- if .Values.migrate.enabled }}}}
{{{{- include "corveil.gate.validate" . }}}}
{{{{- $own := include "corveil.secretName" . }}}}
{{{{- if include "corveil.gate.hasHook" . }}}}
{{{{- $copy := include "corveil.text" (.Values.existingSecret | default (include "corveil.migrate.name.copy" .)) }}}}
{{{{- $spec := include "corveil.migrate.spec" (dict "root" . "job" "hook" "secret" $copy) }}}}
---
{hook}{{{{- end }}}}
{{{{- if include "corveil.gate.hasBootstrap" . }}}}
{{{{- $spec := include "corveil.migrate.spec" (dict "root" . "job" "bootstrap" "secret" $own) }}}}
{{{{- /* A Job cannot be changed, so its name follows from everything in it, and from the credentials where they are known. */}}}}
{{{{- $credentials := "" }}}}
{{{{- if not .Values.existingSecret }}}}{{{{ $credentials = include "corveil.databaseUrl" . }}}}{{{{ end }}}}
{{{{- $hash := print $spec $credentials | sha256sum | trunc {hash} }}}}
---
{bootstrap}{{{{- end }}}}
{{{{- if eq (include "corveil.gate.phase" .) "Wave" }}}}
{{{{- $spec := include "corveil.migrate.spec" (dict "root" . "job" "wave" "secret" $own) }}}}
---
{wave}{{{{- end }}}}
{{{{- end }}}}

{{{{/* The body of every Job: `job` is hook, bootstrap or wave, `secret` the name of the Secret with `{url}`. */}}}}
{{{{- define "corveil.migrate.spec" -}}}}
{{{{- $job := .job -}}}}
{{{{- $secret := .secret -}}}}
{{{{- with .root -}}}}
{body}{{{{- end }}}}
{{{{- end }}}}
"#,
        url = env::DATABASE_URL,
        body = body()?
    ))
}

fn wrapper(which: gate::Job, name: &str, annotations: Option<&str>) -> Result<String> {
    // What the annotations are is the description's business; here they only have to be there.
    let example = annotations.map(|_| ("example", String::new())).into_iter().collect();
    let job = typed::job(which, "example", &Strings::new(), example, &example_setting());
    let mut holes = metadata(name, annotations);
    holes.insert("metadata.annotations".into(), Hole::Lines(given_annotations(annotations, "annotations")));
    holes.insert("spec".into(), Hole::Lines("spec:\n  {{- $spec | nindent @ }}".into()));
    template(&job, holes)
}

/// Annotations of the gate, where there are any, and those under this key of `migrate`.
fn given_annotations(which: Option<&str>, key: &str) -> String {
    let given = format!(
        "  {{{{- range $name, $value := .Values.migrate.{key} }}}}
  {{{{ $name }}}}: {{{{ $value | quote }}}}
  {{{{- end }}}}"
    );
    match which {
        Some(which) => {
            format!(
                "annotations:
  {{{{- include \"corveil.gate.annotations.{which}\" . | nindent @ }}}}
{given}"
            )
        }
        None => format!(
            "{{{{- if .Values.migrate.{key} }}}}
annotations:
{given}
{{{{- end }}}}"
        ),
    }
}

/// What every object of the migration has.
fn metadata(name: &str, annotations: Option<&str>) -> Holes {
    let labels = "labels:\n  {{- include \"corveil.migrate.objectLabels\" . | nindent @ }}".to_owned();
    let mut holes = Holes::from([
        ("metadata.name".to_owned(), Hole::Value(name.to_owned())),
        ("metadata.labels".to_owned(), Hole::Lines(labels)),
    ]);
    if let Some(which) = annotations {
        let lines =
            format!("annotations:\n  {{{{- include \"corveil.gate.annotations.{which}\" . | nindent @ }}}}");
        holes.insert("metadata.annotations".to_owned(), Hole::Lines(lines));
    }
    holes
}

/// Which history is meant: variables, and the keys of `history` that set them.
const HISTORY: [(&str, &str); 2] = [(env::HISTORY_SCHEMA, "schema"), (env::HISTORY_OWNER, "owner")];

/// A Job with everything that a value can add, so that there is a place for each hole.
fn example_setting() -> Setting {
    Setting {
        image: "example".into(),
        secret: "example".into(),
        ddl: Some(("example".into(), "example".into())),
        service_account: Some("example".into()),
        adopt: Some(("example".into(), Some("example".into()))),
        history: HISTORY.iter().map(|(name, _)| (*name, "example".to_owned())).collect(),
        labels: strings(&[("example", "")]),
        more_labels: Strings::new(),
        annotations: strings(&[("example", "")]),
        bounds: Bounds::DEFAULT,
    }
}

fn body() -> Result<String> {
    let job = typed::job(gate::Job::Hook, "", &Strings::new(), Vec::new(), &example_setting());
    template(&job.spec, holes()?)
}

fn holes() -> Result<Holes> {
    let value = |expression: &str| Hole::Value(expression.to_owned());
    let lines = |text: &str| Hole::Lines(text.to_owned());
    let append = |text: &str| Hole::Append(text.to_owned());
    let pod = "template.spec";
    let container = "template.spec.containers.migrate";
    let env = |name: &str| format!("{container}.env.{name}");
    let inline = |name: &str, key: &str| {
        (
            format!("{}.value", env(name)),
            value(&format!(r#"include "corveil.text" .Values.migrate.{key} | quote"#)),
        )
    };
    let ddl = env(env::MIGRATE_DATABASE_URL);
    let mut holes = Holes::from([
        ("activeDeadlineSeconds".to_owned(), lines(DEADLINE)),
        ("backoffLimit".to_owned(), value("int64 .Values.migrate.backoffLimit")),
        ("podFailurePolicy.rules.+".to_owned(), Hole::Append(bootstrap_rules()?)),
        ("template.metadata".to_owned(), lines(POD_METADATA)),
        (format!("{pod}.securityContext.fsGroup"), lines(POD_USER)),
        (format!("{pod}.securityContext.runAsGroup"), lines("")),
        (format!("{pod}.securityContext.runAsUser"), lines("")),
        (format!("{pod}.serviceAccountName"), lines(SERVICE_ACCOUNT)),
        (format!("{pod}.+"), append(POD_REST)),
        (format!("{container}.image"), value(r#"include "corveil.image" . | quote"#)),
        (format!("{container}.imagePullPolicy"), value(".Values.image.pullPolicy")),
        (format!("{container}.resources"), lines(RESOURCES)),
        (format!("{container}.securityContext.+"), append(CONTAINER_USER)),
        (format!("{container}.env.+"), append(EXTRA_ENV)),
        (format!("{container}.+"), append(CONTAINER_REST)),
        (format!("{}.valueFrom.secretKeyRef.name", env(env::DATABASE_URL)), value("$secret | quote")),
        (ddl.clone(), Hole::If(".Values.migrate.database.existingSecret".into())),
        (
            format!("{ddl}.valueFrom.secretKeyRef.name"),
            value(r#"include "corveil.text" .Values.migrate.database.existingSecret | quote"#),
        ),
        (
            format!("{ddl}.valueFrom.secretKeyRef.key"),
            value(r#"include "corveil.text" .Values.migrate.database.key | quote"#),
        ),
        inline(env::WAIT_FOR_DB, "waitForDb"),
        inline(env::LOCK_WAIT, "lockWait"),
        inline(env::LOCK_TIMEOUT, "lockTimeout"),
        inline(env::STATEMENT_TIMEOUT, "statementTimeout"),
        inline(env::RETRIES, "retries"),
        inline(env::OUT_OF_ORDER, "outOfOrder"),
    ]);
    holes.insert(
        format!("{}.value", env(env::DETAIL)),
        value(r#"ternary "on" "off" .Values.migrate.errorDetail | quote"#),
    );
    // It ends before the Job's deadline would take its pod, and the log with it.
    let deadline = env(env::DEADLINE);
    let before = format!(
        r#"printf "%ds" (sub (int64 .Values.migrate.activeDeadlineSeconds) {}) | quote"#,
        MARGIN.as_secs()
    );
    holes.insert(format!("{deadline}.value"), Hole::Value(before));
    holes.insert(deadline, Hole::If(r#"ne $job "bootstrap""#.into()));
    let (adopt, adopt_to) = (env(env::ADOPT), env(env::ADOPT_TO));
    holes.extend([
        (format!("{adopt}.value"), value(".Values.migrate.adopt.from | quote")),
        (adopt, Hole::If(".Values.migrate.adopt.enabled".into())),
        (format!("{adopt_to}.value"), value(r#"include "corveil.text" .Values.migrate.adopt.to | quote"#)),
        (adopt_to, Hole::If("and .Values.migrate.adopt.enabled .Values.migrate.adopt.to".into())),
    ]);
    for (name, key) in HISTORY {
        let (variable, key) = (env(name), format!(".Values.history.{key}"));
        holes.insert(format!("{variable}.value"), value(&format!(r#"include "corveil.text" {key} | quote"#)));
        holes.insert(variable, Hole::If(key));
    }
    Ok(holes)
}

/// The rules that only the bootstrap has, as lines of the same list.
fn bootstrap_rules() -> Result<String> {
    let common = failure::rules(gate::Job::Hook);
    let own = failure::rules(gate::Job::Bootstrap).into_iter().filter(|rule| !common.contains(rule));
    let mut text = "{{- if eq $job \"bootstrap\" }}\n".to_owned();
    for rule in own {
        text.push_str(&yaml(&[typed::rule(&rule)])?);
    }
    text.push_str("{{- end }}");
    Ok(text)
}

const DEADLINE: &str = r#"{{- if ne $job "bootstrap" }}
activeDeadlineSeconds: {{ int64 .Values.migrate.activeDeadlineSeconds }}
{{- end }}"#;

const POD_METADATA: &str = r#"metadata:
  annotations:
    {{- include "corveil.migrate.podAnnotations" . | trim | nindent @ }}
  labels:
    {{- include "corveil.migrate.podLabels" . | trim | nindent @ }}"#;

/// Of the app's settings only user and groups, so that no values file of theirs makes the pod less than `restricted`.
const POD_USER: &str = r#"{{- with pick (.Values.podSecurityContext | default dict) "fsGroup" "runAsGroup" "runAsUser" }}
{{- toYaml . | nindent @ }}
{{- end }}"#;
const CONTAINER_USER: &str = r#"{{- with pick (.Values.securityContext | default dict) "runAsGroup" "runAsUser" }}
{{- toYaml . | nindent @ }}
{{- end }}"#;

/// Never the app's: at the first install it does not exist, and as a hook it would take the tokens of running pods.
const SERVICE_ACCOUNT: &str = r#"{{- with include "corveil.migrate.account" (dict "root" . "job" $job) }}
serviceAccountName: {{ . | quote }}
{{- end }}"#;

/// Where the pod may run follows the app, whose image and nodes it shares; affinity to other pods does not.
const POD_REST: &str = r#"{{- with include "corveil.pullSecrets" (dict "root" .) }}
imagePullSecrets:
  {{- . | nindent @ }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent @ }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent @ }}
{{- end }}
{{- with dig "nodeAffinity" dict (.Values.affinity | default dict) }}
affinity:
  nodeAffinity:
    {{- toYaml . | nindent @ }}
{{- end }}
{{- with include "corveil.podNames" . | trim }}
{{- . | nindent @ }}
{{- end }}
{{- with .Values.migrate.priorityClassName }}
priorityClassName: {{ include "corveil.text" . | quote }}
{{- end }}
{{- with .Values.migrate.extraInitContainers }}
initContainers:
  {{- toYaml . | nindent @ }}
{{- end }}
{{- with .Values.migrate.extraVolumes }}
volumes:
  {{- toYaml . | nindent @ }}
{{- end }}"#;

const RESOURCES: &str = r"{{- with .Values.migrate.resources }}
resources:
  {{- toYaml . | nindent @ }}
{{- end }}";

const EXTRA_ENV: &str = r#"{{- with .Values.migrate.extraEnv }}
{{- include "corveil.extraEnv" . | nindent @ }}
{{- end }}"#;

const CONTAINER_REST: &str = r"{{- with .Values.migrate.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent @ }}
{{- end }}
{{- with .Values.migrate.extraVolumeMounts }}
volumeMounts:
  {{- toYaml . | nindent @ }}
{{- end }}";

/// The copy, where the release owns the URL: before its own objects exist, or while they are still the old ones.
fn secret() -> Result<String> {
    let example = vec![("example", String::new())];
    let secret = typed::secret("example", "", &Strings::new(), example, &example_setting());
    let mut holes = metadata(r#"include "corveil.migrate.name.copy" ."#, Some("hook.inputs"));
    let url = format!("stringData.{}", env::DATABASE_URL);
    holes.insert(url, Hole::Value(r#"include "corveil.databaseUrl" . | quote"#.into()));
    Ok(format!(
        "{VALUES}{{{{- if and .Values.migrate.enabled (not .Values.existingSecret) (include \"corveil.gate.hasHook\" .) }}}}\n{}{{{{- end }}}}\n",
        template(&secret, holes)?
    ))
}

/// For each Job: when there is one, what it is called in templates, and the annotations of what it needs.
const EACH: [(&str, &str, Option<&str>); 3] = [
    (r#"include "corveil.gate.hasHook" ."#, "hook", Some("hook.inputs")),
    (r#"include "corveil.gate.hasBootstrap" ."#, "bootstrap", None),
    (r#"eq (include "corveil.gate.phase" .) "Wave""#, "wave", Some("wave.inputs")),
];

/// One for each Job, as the hook's goes with the hook.
fn service_accounts() -> Result<String> {
    let mut text =
        format!("{VALUES}{{{{- if and .Values.migrate.enabled .Values.migrate.createServiceAccount }}}}\n");
    for (condition, name, annotations) in EACH {
        let given = strings(&[("example", "")]);
        let account =
            typed::service_account("example", &given, &Strings::new(), Vec::new(), &example_setting());
        let name = format!(r#"include "corveil.migrate.account" (dict "root" . "job" "{name}") | quote"#);
        let mut holes = metadata(&name, annotations);
        holes.insert(
            "metadata.annotations".into(),
            Hole::Lines(given_annotations(annotations, "serviceAccountAnnotations")),
        );
        let account = template(&account, holes)?;
        let _ = write!(text, "{{{{- if {condition} }}}}\n---\n{account}{{{{- end }}}}\n");
    }
    text.push_str("{{- end }}\n");
    Ok(text)
}

/// One for each Job: the hook's has to be there before the release's objects are.
fn network_policies() -> Result<String> {
    let mut text =
        format!("{VALUES}{{{{- if and .Values.migrate.enabled .Values.networkPolicy.enabled }}}}\n");
    for (condition, name, annotations) in EACH {
        let example = annotations.map(|_| ("example", String::new())).into_iter().collect();
        let policy = typed::network_policy("example", &Strings::new(), example, &example_setting());
        let mut holes = metadata(&format!(r#"include "corveil.migrate.name.{name}" ."#), annotations);
        let labels = "matchLabels:\n  {{- include \"corveil.migrate.labels\" . | nindent @ }}".to_owned();
        holes.insert("spec.podSelector.matchLabels".into(), Hole::Lines(labels));
        holes.insert("spec.egress.+".into(), Hole::Append(EGRESS.into()));
        let policy = template(&policy, holes)?;
        let _ = write!(text, "{{{{- if {condition} }}}}\n---\n{policy}{{{{- end }}}}\n");
    }
    text.push_str("{{- end }}\n");
    Ok(text)
}

const EGRESS: &str = r"{{- with .Values.networkPolicy.additionalEgressRules }}
{{- toYaml . | nindent @ }}
{{- end }}";

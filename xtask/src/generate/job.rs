//! `chart/templates/_gate.tpl`: what the templates of the migration Job take from the description of the gate. The templates
//! themselves are written by hand, and tests compare what they render with [`typed`].

pub mod typed;

use crate::gate::bounds::MARGIN;
use crate::gate::{self, Annotations, Database, Part, Phase, Step, failure};
use anyhow::Result;
use k8s_openapi::api::batch::v1::PodFailurePolicy;

use super::manifest::yaml;
use super::{Files, HEADER};

pub(crate) fn files() -> Result<Files> {
    let mut text = format!("{{{{- /* {HEADER}. */ -}}}}\n");
    text.push_str(&phases());
    text.push_str(&annotations());
    text.push_str(&define(
        "deadlineMargin",
        "How many seconds before `activeDeadlineSeconds` the program ends by itself.",
        &MARGIN.as_secs().to_string(),
    ));
    for job in gate::Job::ALL {
        let rules = failure::rules(job).iter().map(typed::rule).collect();
        let name = format!("podFailurePolicy.{}", short(job));
        text.push_str(&define(
            &name,
            "What the exit codes of a pod mean for its Job.",
            &yaml(&PodFailurePolicy { rules })?,
        ));
    }
    Ok(vec![("chart/templates/_gate.tpl".into(), text)])
}

/// As the templates name the Job.
fn short(job: gate::Job) -> &'static str {
    match job {
        gate::Job::Hook => "hook",
        gate::Job::Bootstrap => "bootstrap",
        gate::Job::Wave => "wave",
    }
}

/// A named template.
fn define(name: &str, why: &str, body: &str) -> String {
    let head = ["\n{{/* ", why, " */}}\n{{- define \"corveil.gate.", name, "\" -}}\n"].concat();
    let body = body.trim_end();
    if body.is_empty() { head + "{{- end }}\n" } else { head + body + "\n{{- end }}\n" }
}

/// One text with an external database, another with the bundled one.
fn by_database(text: impl Fn(Database) -> String) -> String {
    let (external, bundled) = (text(Database::External), text(Database::Bundled));
    if external == bundled {
        return external;
    }
    ["{{ if .Values.postgresql.enabled }}", &bundled, "{{ else }}", &external, "{{ end }}"].concat()
}

fn phases() -> String {
    let names = Phase::ALL.map(Phase::name).join(" ");
    let default = by_database(|database| database.default_phase().name().to_owned());
    define("phases", "What `migrate.argocd.phase` may be.", &names)
        + &define("defaultPhase", "Argo CD's phase where the values name none.", &default)
}

fn annotations() -> String {
    let mut text = String::new();
    for (name, why, body) in [
        ("hook.job", "Annotations of the hook Job.", hook(Part::Job)),
        ("hook.inputs", "Annotations of what the hook Job needs.", hook(Part::Inputs)),
        ("bootstrap.job", "Annotations of the bootstrap Job, a plain object.", String::new()),
        ("bootstrap.inputs", "Annotations of what the bootstrap Job needs.", String::new()),
        ("wave.job", "Annotations of the plain Job of phase Wave.", lines(&gate::wave(Step::Job))),
        (
            "wave.inputs",
            "Annotations of the release's own Secrets and settings: Argo CD applies them before the database and the migration.",
            lines(&gate::wave(Step::Inputs)),
        ),
        (
            "wave.database",
            "Annotations of the bundled database: Argo CD waits until it is healthy before it migrates.",
            lines(&gate::wave(Step::Database)),
        ),
    ] {
        text.push_str(&define(&format!("annotations.{name}"), why, &body));
    }
    text
}

/// The annotations of a part of the hook. The phase follows from the values.
fn hook(part: Part) -> String {
    let of = |database| gate::hook(part, database, Phase::PreSync);
    let of_all = of(Database::External).into_iter().enumerate().map(|(at, (key, _))| match key {
        gate::ARGOCD_HOOK => (key, r#"{{ include "corveil.migrate.phase" . | quote }}"#.to_owned()),
        _ => (key, by_database(|database| format!("{:?}", of(database)[at].1))),
    });
    let lines: Vec<_> = of_all.map(|(key, value)| format!("{key}: {value}")).collect();
    lines.join("\n")
}

fn lines(annotations: &Annotations) -> String {
    let lines: Vec<_> = annotations.iter().map(|(key, value)| format!("{key}: {value:?}")).collect();
    lines.join("\n")
}

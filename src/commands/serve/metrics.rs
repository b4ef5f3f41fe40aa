//! Metrics in Prometheus' text format, from one check of the database.

use std::fmt::{Display, Write as _};

use crate::operations::watch::Evidence;
use crate::postgres::runs::{Outcome, Run};

/// The format and its version.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Every metric. What is not known has no sample, so that a graph shows a gap and not an old or invented value.
pub(super) fn text(version: &str, seen: &Evidence) -> String {
    let mut text = Text::default();
    text.labelled("corveil_build_info", "The build that serves; always 1.", &[("version", version, 1)]);
    text.gauge(
        "corveil_database_up",
        "Whether the database answered (1) or not (0).",
        Some(u8::from(seen.schema.is_ok())),
    );
    text.gauge(
        "corveil_schema_ready",
        "Whether every migration of this build is applied (1) or not (0).",
        Some(u8::from(seen.obstacle().is_none())),
    );
    text.gauge(
        "corveil_schema_required_version",
        "Newest migration version that this build requires.",
        seen.required,
    );
    let Ok(schema) = &seen.schema else { return text.0 };
    text.gauge("corveil_schema_version", "Newest migration version that is applied.", schema.version);
    text.gauge(
        "corveil_migrations_pending",
        "Migrations of this build that are not applied as they are here.",
        Some(schema.missing.len()),
    );
    if let Some(run) = &schema.last_run {
        last_run(&mut text, run);
    }
    text.0
}

fn last_run(text: &mut Text, run: &Run) {
    let is = |outcome| u8::from(run.outcome == outcome);
    text.labelled(
        "corveil_last_run_outcome",
        "How the last run that had something to do ended: 1 for its outcome, 0 for the others.",
        &[
            ("outcome", "running", is(Outcome::Running)),
            ("outcome", "succeeded", is(Outcome::Succeeded)),
            ("outcome", "failed", is(Outcome::Failed)),
            ("outcome", "died", is(Outcome::Died)),
        ],
    );
    text.labelled(
        "corveil_last_run_info",
        "The build that ran last; always 1.",
        &[("version", &run.build, 1)],
    );
    text.gauge("corveil_last_run_exit_code", "Exit code of the last run, once it has ended.", run.exit_code);
    text.gauge(
        "corveil_last_run_started_timestamp_seconds",
        "When the last run started.",
        Some(run.started_epoch),
    );
    text.gauge("corveil_last_run_ended_timestamp_seconds", "When the last run ended.", run.ended_epoch);
}

#[derive(Default)]
struct Text(String);

impl Text {
    /// A gauge without labels; nothing at all when it has no value.
    fn gauge(&mut self, name: &str, help: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.head(name, help);
            let _ = writeln!(self.0, "{name} {value}");
        }
    }

    /// A gauge whose samples differ in one label.
    fn labelled(&mut self, name: &str, help: &str, samples: &[(&str, &str, u8)]) {
        self.head(name, help);
        for (label, of, value) in samples {
            let of = of.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            let _ = writeln!(self.0, "{name}{{{label}=\"{of}\"}} {value}");
        }
    }

    fn head(&mut self, name: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::watch::{Schema, Silence};

    fn samples(seen: &Evidence) -> Vec<String> {
        text("2.0.0", seen).lines().filter(|line| !line.starts_with('#')).map(Into::into).collect()
    }

    fn run(outcome: Outcome, ended: Option<i64>) -> Run {
        Run {
            started_at: String::new(),
            ended_at: None,
            started_epoch: 1_767_225_600,
            ended_epoch: ended,
            outcome,
            exit_code: ended.map(|_| 3),
            from_version: None,
            to_version: None,
            failed_version: None,
            failed_checksum: None,
            error: None,
            build: "2.0.0-\"rc\\1\"\n".into(),
            host: "h".into(),
        }
    }

    fn seen(version: Option<i64>, last_run: Run) -> Evidence {
        let refused = Vec::new();
        let schema =
            Schema { version, missing: Vec::new(), sentence: None, last_run: Some(last_run), refused };
        Evidence { required: Some(10), schema: Ok(schema) }
    }

    #[test]
    fn each_metric_is_introduced_once_before_its_samples() {
        let text = text("2.0.0", &seen(Some(12), run(Outcome::Failed, Some(1_767_225_601))));
        let mut introduced = Vec::new();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let name = line.strip_prefix("# HELP ").and_then(|rest| rest.split(' ').next()).unwrap();
            assert_eq!(lines.next(), Some(&*format!("# TYPE {name} gauge")));
            assert!(!introduced.contains(&name), "{name}");
            introduced.push(name);
            let is_sample = |line: &&str| line.split(['{', ' ']).next() == Some(name);
            assert!(lines.next_if(is_sample).is_some(), "{name} has no sample");
            while lines.next_if(is_sample).is_some() {}
        }
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn a_failed_run_is_reported_with_its_code_and_times() {
        assert_eq!(
            samples(&seen(Some(12), run(Outcome::Failed, Some(1_767_225_601)))),
            [
                "corveil_build_info{version=\"2.0.0\"} 1",
                "corveil_database_up 1",
                "corveil_schema_ready 1",
                "corveil_schema_required_version 10",
                "corveil_schema_version 12",
                "corveil_migrations_pending 0",
                "corveil_last_run_outcome{outcome=\"running\"} 0",
                "corveil_last_run_outcome{outcome=\"succeeded\"} 0",
                "corveil_last_run_outcome{outcome=\"failed\"} 1",
                "corveil_last_run_outcome{outcome=\"died\"} 0",
                r#"corveil_last_run_info{version="2.0.0-\"rc\\1\"\n"} 1"#,
                "corveil_last_run_exit_code 3",
                "corveil_last_run_started_timestamp_seconds 1767225600",
                "corveil_last_run_ended_timestamp_seconds 1767225601",
            ]
        );
    }

    #[test]
    fn what_is_not_known_has_no_sample() {
        let running = samples(&seen(None, run(Outcome::Running, None)));
        let has = |part: &str| running.iter().any(|line| line.contains(part));
        assert!(has("outcome=\"running\"} 1") && has("_started_"), "{running:?}");
        assert!(!has("exit_code") && !has("_ended_") && !has("schema_version"), "{running:?}");

        let silent = Evidence { required: Some(10), schema: Err(Silence::of("it sleeps")) };
        assert_eq!(
            samples(&silent)[1..],
            ["corveil_database_up 0", "corveil_schema_ready 0", "corveil_schema_required_version 10"]
        );
    }
}

//! The results of a run: a table for people, `JUnit` XML for machines.

use std::fmt::Write;
use std::time::Duration;

use crate::engine::Engine;
use crate::scenario::Scenario;

/// The result of one scenario under one engine.
pub(crate) struct Entry {
    pub(crate) scenario: &'static Scenario,
    pub(crate) engine: Engine,
    /// What was measured, or the error.
    pub(crate) outcome: Result<String, String>,
    pub(crate) took: Duration,
}

impl Entry {
    pub(crate) fn line(&self) -> String {
        let (outcome, text) = match &self.outcome {
            Ok(seen) => ("ok", seen.as_str()),
            Err(error) => ("FAILED", error.lines().next().unwrap_or_default()),
        };
        let (name, engine, seconds) = (self.scenario.name, self.engine.name(), self.took.as_secs());
        format!("{name:<23} {engine:<9} {outcome:<7} {seconds:>4} s  {text}")
    }
}

/// The table, and a last line like that of test runners.
pub(crate) fn table(entries: &[Entry], diff: &str) -> String {
    let mut text = format!("{:<23} {:<9} {:<7} {:>6}  seen\n", "scenario", "engine", "outcome", "time");
    for entry in entries {
        let _ = writeln!(text, "{}", entry.line());
    }
    let failed = entries.iter().filter(|entry| entry.outcome.is_err()).count();
    let _ = writeln!(text, "`helm diff`, which Helmfile calls, was {diff}");
    let _ = writeln!(text, "{} passed, {failed} failed", entries.len() - failed);
    text
}

/// <https://github.com/testmoapp/junitxml>
pub(crate) fn junit(entries: &[Entry]) -> String {
    let failed = entries.iter().filter(|entry| entry.outcome.is_err()).count();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(text, "<testsuite name=\"e2e\" tests=\"{}\" failures=\"{failed}\">", entries.len());
    for entry in entries {
        let (name, engine, seconds) = (entry.scenario.name, entry.engine.name(), entry.took.as_secs_f64());
        let _ = write!(text, "  <testcase classname=\"{engine}\" name=\"{name}\" time=\"{seconds:.1}\">");
        if let Err(error) = &entry.outcome {
            let _ = write!(text, "<failure>{}</failure>", escape(error));
        }
        text.push_str("</testcase>\n");
    }
    text.push_str("</testsuite>\n");
    text
}

/// XML 1.0 allows only three control characters.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            c if c.is_control() && !matches!(c, '\n' | '\t' | '\r') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;

    #[test]
    fn a_failure_is_counted_reported_and_valid_xml() {
        let entry = |outcome| Entry {
            scenario: scenario::all().next().expect("there are scenarios"),
            engine: Engine::Helm3,
            outcome,
            took: Duration::from_millis(1500),
        };
        let entries = [entry(Ok("fine".into())), entry(Err("1 < 2 && \u{1b}[0m\nmore".into()))];
        assert!(table(&entries, "helm-diff").ends_with("1 passed, 1 failed\n"));
        let xml = junit(&entries);
        assert!(xml.contains("tests=\"2\" failures=\"1\""), "{xml}");
        assert!(xml.contains("<failure>1 &lt; 2 &amp;&amp; \u{fffd}[0m\nmore</failure>"), "{xml}");
    }
}

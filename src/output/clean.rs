//! The last thing that happens to a text before it leaves the process: secrets are hidden, control characters escaped.
//!
//! It is done here and not where a text is made, because texts are put together from those of the server, of other
//! sessions, of other tools and of the command line, and one that was forgotten would be one too many.

use std::fmt::Write as _;

use serde::de::IgnoredAny;

use crate::config::secret;
use crate::core::printable::{is_unprintable, printable};

/// A text for people. Line breaks stay.
pub(crate) fn text(text: &str) -> String {
    printable(&secret::hidden(text)).into_owned()
}

/// A text for people in which a line break from elsewhere begins no line that could be taken for Corveil's.
pub(crate) fn indented(text: &str) -> String {
    self::text(text).replace('\n', "\n    ")
}

/// The same for a text with Corveil's own lines, which begin with a blank.
pub(crate) fn continued(text: &str) -> String {
    let mut lines = self::text(text).lines().map(ToOwned::to_owned).collect::<Vec<_>>();
    for line in lines.iter_mut().skip(1).filter(|line| !line.starts_with(' ')) {
        line.insert_str(0, "    ");
    }
    lines.join("\n")
}

/// A text for people on one line.
pub(crate) fn line(text: &str) -> String {
    self::text(text).replace('\n', " ")
}

/// JSON, one document or one a line. Nothing but secrets is lost: JSON has an escape for every character.
pub(crate) fn json(document: &str) -> String {
    let mut clean = String::with_capacity(document.len());
    let mut rest = document;
    while let Some(start) = rest.find('"') {
        let (before, from) = rest.split_at(start);
        let (literal, after) = from.split_at(literal_length(from));
        let is_key = after.trim_start().starts_with(':');
        clean += before;
        clean += &if is_key { literal.to_owned() } else { value(literal) };
        rest = after;
    }
    escaped(clean + rest)
}

/// The length of the string literal that a JSON text begins with.
fn literal_length(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

/// A string literal without its secrets. The log's `error` is itself a document.
fn value(literal: &str) -> String {
    let Ok(value) = serde_json::from_str::<String>(literal) else { return literal.to_owned() };
    let is_document = value.starts_with('{') && serde_json::from_str::<IgnoredAny>(&value).is_ok();
    let clean = if is_document { json(&value) } else { secret::hidden(&value) };
    serde_json::to_string(&clean).unwrap_or_default()
}

fn escaped(document: String) -> String {
    if !document.contains(is_unprintable) {
        return document;
    }
    let mut escaped = String::with_capacity(document.len() + 16);
    for c in document.chars() {
        if is_unprintable(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn json_loses_nothing_but_secrets() {
        let document = json!({
            "message": "at \"'x'\" \\ \u{1b}[2J \u{202e} \u{e0041} ä\n",
            "statement": "ALTER ROLE app PASSWORD 's3cr3t'",
            "url": ["postgres://u:s3cr3t@h/d", 1, null, true],
            "password": "kept: only what a text contains is hidden",
        });
        let clean = super::json(&document.to_string());
        assert!(!clean.contains(is_unprintable) && !clean.contains("s3cr3t"), "{clean}");
        let read: Value = serde_json::from_str(&clean).unwrap();
        assert_eq!(read["message"], document["message"]);
        assert_eq!(read["statement"], "ALTER ROLE app PASSWORD '***'");
        assert_eq!(read["url"], json!(["postgres://u:***@h/d", 1, null, true]));
        assert_eq!(read["password"], document["password"]);
        assert_eq!(super::json(&clean), clean);
    }

    #[test]
    fn a_document_within_a_document_stays_one() {
        let inner = json!({ "a": "it's PASSWORD 's3cr3t", "b": "it's", "c": "x" });
        let clean = super::json(&json!({ "error": inner.to_string() }).to_string());
        let read: Value = serde_json::from_str(&clean).unwrap();
        let read: Value = serde_json::from_str(read["error"].as_str().unwrap()).unwrap();
        assert_eq!(read, json!({ "a": "it's PASSWORD '***", "b": "it's", "c": "x" }));
    }

    #[test]
    fn text_keeps_its_own_line_breaks_only() {
        assert_eq!(text("a\n\tb\u{1b}[31m"), "a\n\tb\\u{1b}[31m");
        assert_eq!(indented("a\nhint: b"), "a\n    hint: b");
        assert_eq!(continued("a\n  hint: b\nhint: c"), "a\n  hint: b\n    hint: c");
        assert_eq!(line("a\nb"), "a b");
    }
}

//! Statements about roles, whose literals are secrets regardless of the text before them.

use super::literal;
use super::named::{Finder, NEAR};
use super::place::{is_word, next_char, word, word_before};

/// What a literal that is no secret stands behind: a setting's value, a date, the name of a user.
const OPEN: [&str; 5] = ["=", "to", "until", "user", "username"];

impl Finder<'_, '_> {
    /// The literals of `CREATE ROLE`, `ALTER USER MAPPING` and the like: `PASSWORD` may be misspelt, and a wrapper may call
    /// the credentials of a user mapping anything.
    pub(super) fn statement_about_a_role(&mut self) {
        let text = self.text;
        let verb = text[..self.name.start].trim_end();
        if !is_verb(word_before(verb, verb.len())) {
            return;
        }
        let mut at = self.name.end;
        let end = text.floor_char_boundary(at + NEAR);
        let mut before = "";
        while at < end && !text[at..].starts_with(';') {
            if let Some(literal) = literal::read(text, at) {
                // A quote right behind something else, or before `||`, ends the literal that the whole statement is.
                let quotes = text[at..].bytes().take_while(|byte| *byte == b'\'').count();
                let is_end = quotes > 0 && literal::is_joined(text, at + quotes);
                if is_end || !text[..at].ends_with([' ', '\n', '\r', '\t', '(', ',', '=']) {
                    return;
                }
                at = literal.end;
                if !OPEN.iter().any(|word| word.eq_ignore_ascii_case(before)) {
                    self.push(literal.inner, true);
                }
            } else if is_word(text.as_bytes()[at]) {
                before = word(text, at);
                at += before.len();
            } else {
                if text[at..].starts_with('=') {
                    before = "=";
                }
                at = next_char(text, at);
            }
        }
    }

    /// Whether the name belongs to a statement about a role.
    pub(super) fn is_of_a_role(&self) -> bool {
        let statement = self.before().rsplit(';').next().unwrap_or_default();
        let words: Vec<_> = statement.split_whitespace().collect();
        words.windows(2).any(|pair| {
            is_verb(word_before(pair[0], pair[0].len()))
                && ["role", "user", "group"].iter().any(|noun| noun.eq_ignore_ascii_case(pair[1]))
        })
    }
}

fn is_verb(word: &str) -> bool {
    ["create", "alter"].iter().any(|verb| verb.eq_ignore_ascii_case(word))
}

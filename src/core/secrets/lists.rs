//! Secrets in lists: parameters of functions, and columns whose values are elsewhere.

use super::literal;
use super::named::{Finder, NEAR};
use super::place::{closing, next_char, skip_space, whole_words, word_before};

/// How long the parameters of a call may be, in bytes.
const CALL: usize = 1024;
/// The same for a row of values.
pub(super) const ROW: usize = 64 * 1024;

impl Finder<'_, '_> {
    /// The literals between the parentheses that begin at `at` or after white space.
    pub(super) fn call(&mut self, at: usize) {
        let at = skip_space(self.text, at);
        if self.text[at..].starts_with('(') {
            self.literals(at + 1, closing(self.text, at + 1, CALL), false);
        }
    }

    /// Each literal between two places.
    pub(super) fn literals(&mut self, mut at: usize, end: usize, certain: bool) {
        while at < end {
            match literal::read(self.text, at) {
                Some(literal) => {
                    self.push(literal.inner, certain);
                    at = literal.end;
                }
                None => at = next_char(self.text, at),
            }
        }
    }

    /// A name in a list of columns that continues at `at`: `INSERT INTO t (a, password) VALUES (…)`, or `(token)=(…)` as the
    /// server prints it.
    pub(super) fn column(&mut self, at: usize) -> Option<usize> {
        let text = self.text;
        let before = self.before();
        let open = before.rfind('(').filter(|open| !before[*open..].contains(')'))?;
        let open = self.name.start - before.len() + open;
        let number = text[open..self.name.start].matches(',').count();
        let close = at + near(text, at).find(')')?;
        if let Some(values) = text[close..].strip_prefix(")=(") {
            let start = close + ")=(".len();
            let line = values.lines().next().unwrap_or_default();
            let end = start + line.rfind(')').unwrap_or(line.len());
            self.push(start..end, true);
            return Some(end);
        }
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '"');
        let table = text[..open].trim_end().trim_end_matches(is_name).trim_end();
        if !word_before(table, table.len()).eq_ignore_ascii_case("into") {
            return None;
        }
        let after = near(text, close).split(';').next()?;
        let values = whole_words(after, "VALUES").chain(whole_words(after, "values")).next()?;
        self.rows(close + values.end, number);
        None
    }

    /// The literals of one column of `(…), (…)`.
    fn rows(&mut self, mut at: usize, column: usize) {
        let text = self.text;
        loop {
            at = skip_space(text, at);
            if !text[at..].starts_with('(') {
                return;
            }
            at += 1;
            let end = closing(text, at, ROW);
            if !text[end..].starts_with(')') {
                return;
            }
            let mut number = 0;
            while at < end {
                let value = value_end(text, at, end);
                if number == column {
                    self.literals(at, value, true);
                }
                number += 1;
                at = value + 1;
            }
            at = skip_space(text, end + 1);
            if !text[at..].starts_with(',') {
                return;
            }
            at += 1;
        }
    }
}

/// What follows, as far as it may belong to the same statement: a text without it must not be read to its end again and
/// again.
fn near(text: &str, at: usize) -> &str {
    &text[at..text.floor_char_boundary(at + NEAR)]
}

/// Where a value of a list that ends at `end` does.
fn value_end(text: &str, mut at: usize, end: usize) -> usize {
    while at < end {
        if let Some(literal) = literal::read(text, at) {
            at = literal.end;
        } else if text[at..].starts_with('(') {
            at = next_char(text, closing(text, at + 1, end - at - 1));
        } else if text[at..].starts_with(',') {
            return at;
        } else {
            at = next_char(text, at);
        }
    }
    end
}

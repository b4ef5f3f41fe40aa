//! Finds values whose name shows that they are secrets: in SQL, in keywords and values, in JSON, and in queries of URLs.

use std::ops::Range;

use super::Found;
use super::lists::ROW;
use super::literal::{self, Literal};
use super::name::{
    AUTHORIZATION, Between, CONNECTION, ROLE, ends_like_a_name, is_password, is_secret, takes_secret,
};
use super::place::{closing, is_word, next_char, skip_space, word, word_before};

/// How far before a name its list or statement may begin, in bytes.
pub(super) const NEAR: usize = 4096;

/// Finds the value of every name of a secret that a text contains.
pub(super) fn find(text: &str, found: &mut Vec<Found>) {
    let mut at = 0;
    while let Some(name) = next_name(text, at) {
        at = name.end;
        if !ends_like_a_name(&text[name.clone()]) {
            continue;
        }
        let lower = text[name.clone()].to_ascii_lowercase();
        let mut finder = Finder { text, name, found };
        let end = match lower.as_str() {
            name if takes_secret(name) => {
                finder.call(at);
                finder.value(name)
            }
            name if is_secret(name) => finder.value(name),
            CONNECTION => finder.connection(),
            AUTHORIZATION => finder.authorization(),
            name if ROLE.contains(&name) => {
                finder.statement_about_a_role();
                None
            }
            _ => None,
        };
        at = end.unwrap_or(at).max(at);
    }
}

/// The next word, with the dots and hyphens in it.
fn next_name(text: &str, at: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let start = at + bytes.get(at..)?.iter().position(|byte| is_word(*byte))?;
    let mut end = start;
    loop {
        end += bytes[end..].iter().take_while(|byte| is_word(**byte)).count();
        let is_joint =
            matches!(bytes.get(end), Some(b'.' | b'-')) && bytes.get(end + 1).copied().is_some_and(is_word);
        if !is_joint {
            return Some(start..end);
        }
        end += 1;
    }
}

/// A name, and where to put what is found of it.
pub(super) struct Finder<'f, 't> {
    pub(super) text: &'t str,
    pub(super) name: Range<usize>,
    found: &'f mut Vec<Found>,
}

impl<'t> Finder<'_, 't> {
    pub(super) fn push(&mut self, range: Range<usize>, certain: bool) {
        self.found.push(Found { range, certain });
    }

    /// The text before the name, as much of it as may belong to the same list or statement.
    pub(super) fn before(&self) -> &'t str {
        let start = self.text.ceil_char_boundary(self.name.start.saturating_sub(NEAR));
        &self.text[start..self.name.start]
    }

    /// Finds the value of this name, and returns where the text continues.
    fn value(&mut self, name: &str) -> Option<usize> {
        let text = self.text;
        let (quote, after) = self.quotes();
        let (between, at) = Between::read(text, after);
        if let Some(end) = self.put_together(at, between) {
            return Some(end);
        }
        match between {
            Between::Nothing | Between::Space if text[at..].starts_with(')') => self.column(at),
            Between::Nothing => None,
            Between::Comma => match literal::read(text, at).filter(|_| self.is_pair(quote)) {
                Some(literal) => Some(self.literal(literal)),
                None => self.column(after),
            },
            Between::Equals { tight } => self.equal(name, at, tight),
            Between::Arrow | Between::Colon => {
                let literal = literal::read(text, at).or_else(|| literal::double(text, at))?;
                Some(self.literal(literal))
            }
            Between::To => literal::read(text, at).map(|literal| self.literal(literal)),
            Between::Space => self.behind_space(name, at, quote),
        }
    }

    /// `password 'value'`, as SQL has it.
    fn behind_space(&mut self, name: &str, at: usize, quote: Option<char>) -> Option<usize> {
        let text = self.text;
        if let Some(literal) = literal::read(text, at) {
            return Some(self.literal(literal));
        }
        // Anything else in double quotes after a name is the name of an object.
        if let Some(literal) = literal::double(text, at).filter(|_| is_password(name) && quote.is_none()) {
            return Some(self.literal(literal));
        }
        if let Some(literal) = self.of_a_variable(at).and_then(|start| literal::read(text, start)) {
            return Some(self.literal(literal));
        }
        (name == "password" && self.is_of_a_role()).then(|| self.bare(at, false))
    }

    /// `name = value`. Of a password it is a secret, and of anything else unless SQL compares it: the `'bearer'` of `token = 'bearer'` in
    /// a CHECK is not a secret.
    fn equal(&mut self, name: &str, at: usize, tight: bool) -> Option<usize> {
        let text = self.text;
        // libpq's values have escapes, SQL's have not.
        let literal = if tight { literal::escaped(text, at) } else { literal::read(text, at) };
        if let Some(literal) = literal {
            return (is_password(name) || self.is_set()).then(|| self.literal(literal));
        }
        if let Some(literal) = literal::double(text, at) {
            return Some(self.literal(literal));
        }
        Some(self.bare(at, tight))
    }

    /// Whether the name is given a value, by `SET` or alone, and not compared with one.
    fn is_set(&self) -> bool {
        let statement = self.before().rsplit(';').next().unwrap_or_default();
        let is_word = |word: &str, words: &[&str]| words.iter().any(|other| other.eq_ignore_ascii_case(word));
        let words = || statement.split(|c: char| !c.is_alphanumeric() && c != '_');
        let mut compared =
            words().filter(|word| is_word(word, &["set", "where", "check", "on", "and", "or", "when"]));
        compared.next_back().is_none_or(|last| last.eq_ignore_ascii_case("set"))
            && !words().any(|word| is_word(word, &["select", "create"]))
    }

    /// Whether a name in quotes and the literal after it are a pair: `set_config('app.secret', 'value')`, or a row of
    /// settings. A list of kinds of credentials is none.
    fn is_pair(&self, quote: Option<char>) -> bool {
        let before = self.before().trim_end_matches('\'').trim_end();
        let Some(before) = before.strip_suffix('(').map(str::trim_end) else { return false };
        let is_compound = self.text[self.name.clone()].contains(['.', '_', '-']);
        let is_list = ["in", "enum", "any"]
            .iter()
            .any(|word| word.eq_ignore_ascii_case(word_before(before, before.len())));
        quote == Some('\'') && is_compound && !is_list
    }

    /// `CONNECTION 'literal'` of a subscription.
    fn connection(&mut self) -> Option<usize> {
        let (between, at) = Between::read(self.text, self.name.end);
        let literal = literal::read(self.text, at).filter(|_| between == Between::Space)?;
        Some(self.literal(literal))
    }

    /// `Authorization: scheme value`, as HTTP has it.
    fn authorization(&mut self) -> Option<usize> {
        let text = self.text;
        let (between, at) = Between::read(text, self.name.end);
        if between != Between::Colon {
            return None;
        }
        let scheme = at + word(text, at).len();
        let start = if text[scheme..].starts_with(' ') { scheme + 1 } else { at };
        let end = start + text[start..].find(['"', '\'', '\n', ' ']).unwrap_or(text.len() - start);
        self.push(start..end, true);
        Some(end)
    }

    /// The quote around the name, and where the text continues after it.
    fn quotes(&self) -> (Option<char>, usize) {
        let before = self.text[..self.name.start].chars().next_back();
        let after = &self.text[self.name.end..];
        for quote in ['"', '\'', '`'] {
            if before == Some(quote) {
                if after.starts_with(quote) {
                    return (Some(quote), self.name.end + 1);
                }
                if after.strip_prefix('\\').is_some_and(|after| after.starts_with(quote)) {
                    return (Some(quote), self.name.end + 2);
                }
            }
        }
        (None, self.name.end)
    }

    fn literal(&mut self, Literal { inner, end }: Literal) -> usize {
        self.push(inner, true);
        end
    }

    /// Where the value of a variable's declaration begins, after its type.
    fn of_a_variable(&self, at: usize) -> Option<usize> {
        let rest = self.text[at..].split([';', ',', '(', ')', '\'', '\n']).next()?;
        rest.find(":=").map(|assignment| skip_space(self.text, at + assignment + 2))
    }

    fn bare(&mut self, at: usize, tight: bool) -> usize {
        let text = self.text;
        let in_query = matches!(text[..self.name.start].chars().next_back(), Some('?' | '&'))
            || text[..at].ends_with("%3D")
            || text[..at].ends_with("%3d");
        let mut escaped = false;
        let length = text[at..].char_indices().find(|(length, c)| {
            if std::mem::take(&mut escaped) {
                return false;
            }
            escaped = *c == '\\';
            c.is_whitespace()
                || c.is_control()
                || matches!(c, '\'' | '"' | '`' | '…')
                || (in_query && matches!(c, '&' | '#'))
                || text.get(at + length..at + length + 3).is_some_and(|code| code.eq_ignore_ascii_case("%26"))
        });
        let mut end = length.map_or(text.len(), |(length, _)| at + length);
        let parenthesis = text[at..end].find('(').map(|open| at + open);
        if !tight {
            end = at + text[at..end].trim_end_matches([',', ';', ')']).len();
        }
        let value = &text[at..end];
        let is_keyword = ["null", "default", "true", "false"]
            .iter()
            .any(|word| value.trim_end_matches([',', ';', ')']).eq_ignore_ascii_case(word));
        if is_keyword || value.starts_with(['$', '%', '(']) {
            return at;
        }
        if let Some(open) = parenthesis {
            self.literals(open + 1, closing(text, open + 1, NEAR), false);
            if !tight {
                return at;
            }
        }
        self.push(at..end, true);
        end
    }

    /// A value that is put together: `' || value`, or the place for it in `format('…', value)`.
    fn put_together(&mut self, at: usize, between: Between) -> Option<usize> {
        let text = self.text;
        let quotes = text[at..].bytes().take_while(|byte| *byte == b'\'').count();
        let place = at + quotes;
        let from = if quotes > 0 && literal::is_joined(text, place) {
            place
        } else if is_place(&text[place..], between == Between::Space) {
            // After the end of the literal around it.
            let rest = &text[place..text.floor_char_boundary(place + ROW)];
            let quote = rest.find('\'').unwrap_or(rest.len());
            match rest
                .find('$')
                .and_then(|dollar| close_of_dollar(rest, dollar))
                .filter(|(at, _)| *at < quote)
            {
                Some((_, end)) => place + end,
                None => place + quote + rest[quote..].bytes().take_while(|byte| *byte == b'\'').count(),
            }
        } else {
            return None;
        };
        let mut end = from;
        while end < text.len() && !text[end..].starts_with(';') {
            end = literal::read(text, end).map_or_else(|| next_char(text, end), |literal| literal.end);
        }
        self.literals(from, end, false);
        self.assigned_before();
        Some(end)
    }

    /// The literals that variables have, one of which may be put into the statement.
    fn assigned_before(&mut self) {
        let before = self.before();
        let offset = self.name.start - before.len();
        for (at, found) in before.match_indices(":=") {
            if let Some(Literal { inner, .. }) = literal::read(before, skip_space(before, at + found.len())) {
                self.push(inner.start + offset..inner.end + offset, false);
            }
        }
    }
}

/// Whether a value is to be put in here: `%L` of `format`, or `$1` where no parameter can be, so that it is within a text.
fn is_place(text: &str, within_text: bool) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    if let Some(rest) = text.strip_prefix('%') {
        let numbered = rest[digits(rest)..].strip_prefix('$').unwrap_or(rest);
        return numbered.starts_with(['L', 's', 'I']);
    }
    within_text && text.strip_prefix('$').is_some_and(|rest| digits(rest) > 0)
}

/// Where a dollar quote that closes stands, and where it ends.
fn close_of_dollar(text: &str, from: usize) -> Option<(usize, usize)> {
    text[from..].match_indices('$').map(|(at, _)| from + at).find_map(|at| {
        let tag = word(text, at + 1);
        let is_tag = !tag.starts_with(|c: char| c.is_ascii_digit() || c == 'L');
        let end = at + 1 + tag.len();
        (is_tag && text[end..].starts_with('$')).then_some((at, end + 1))
    })
}

//! Quoted values, as they are in SQL and in SQL that is itself a literal.

use std::ops::Range;

use super::place::{is_word, skip_space, word};

pub(super) struct Literal {
    /// What is within the quotes.
    pub(super) inner: Range<usize>,
    /// Where the text continues.
    pub(super) end: usize,
}

/// Reads a single-quoted or dollar-quoted value that begins at `at`; one that is cut off ends with the text.
pub(super) fn read(text: &str, at: usize) -> Option<Literal> {
    let rest = text.get(at..)?;
    if rest.starts_with('$') {
        return dollar(text, at);
    }
    if rest.starts_with("\\'") {
        return Some(until(text, at + 2, "\\'"));
    }
    // A prefix is no part of a word before it.
    let begins = at == 0 || !is_word(text.as_bytes()[at - 1]);
    let prefix = match rest.as_bytes() {
        [b'e' | b'E' | b'n' | b'N' | b'b' | b'B' | b'x' | b'X', b'\'', ..] if begins => 1,
        [b'u' | b'U', b'&', b'\'', ..] if begins => 2,
        _ => 0,
    };
    let quotes = rest[prefix..].bytes().take_while(|byte| *byte == b'\'').count();
    let open = at + prefix;
    match quotes {
        0 => None,
        _ if quotes % 2 == 0 && ends_value(text, open + quotes) => {
            Some(Literal { inner: open + 1..open + quotes - 1, end: open + quotes })
        }
        // In a literal that is code, each quote is doubled; in one within that, doubled again.
        2 | 4.. => Some(nested(text, open, quotes)),
        1 | 3 => Some(plain(text, open, rest.starts_with(['e', 'E']) && prefix == 1)),
    }
}

/// Reads a single-quoted value in which a backslash escapes.
pub(super) fn escaped(text: &str, at: usize) -> Option<Literal> {
    let literal = read(text, at)?;
    let is_plain = text[at..].starts_with('\'') && literal.inner.start == at + 1 && !literal.inner.is_empty();
    Some(if is_plain { plain(text, at, true) } else { literal })
}

pub(super) fn double(text: &str, at: usize) -> Option<Literal> {
    let rest = text.get(at..)?;
    if rest.starts_with("\\\"") {
        return Some(until(text, at + 2, "\\\""));
    }
    rest.starts_with('"').then(|| until(text, at + 1, "\""))
}

/// Whether the text is put together with something else here.
pub(super) fn is_joined(text: &str, at: usize) -> bool {
    text[skip_space(text, at)..].starts_with("||")
}

fn until(text: &str, start: usize, close: &str) -> Literal {
    let length = text[start..].find(close);
    let inner = start..start + length.unwrap_or(text.len() - start);
    let end = inner.end + length.map_or(0, |_| close.len());
    cut_off(text, inner, end)
}

/// A value that ends earlier where the text is cut off within it: `…` stands there.
fn cut_off(text: &str, inner: Range<usize>, end: usize) -> Literal {
    let is_cut = |at: &usize| is_cut(text, *at);
    match text[inner.clone()].match_indices('…').map(|(at, _)| inner.start + at).find(is_cut) {
        Some(cut) => Literal { inner: inner.start..cut, end: cut },
        None => Literal { inner, end },
    }
}

fn is_cut(text: &str, at: usize) -> bool {
    text[at + '…'.len_utf8()..].chars().next().is_none_or(|c| c.is_whitespace() || c == '`')
}

fn dollar(text: &str, at: usize) -> Option<Literal> {
    let tag = word(text, at + 1);
    let delimiter = text.get(at..at + tag.len() + 2)?;
    let is_tag = delimiter.ends_with('$') && !tag.starts_with(|c: char| c.is_ascii_digit());
    is_tag.then(|| until(text, at + delimiter.len(), delimiter))
}

/// A literal by SQL's own rules.
fn plain(text: &str, open: usize, has_escapes: bool) -> Literal {
    let bytes = text.as_bytes();
    let mut at = open + 1;
    let mut end = text.len();
    while at < bytes.len() {
        match bytes[at] {
            b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 2,
            b'\'' => {
                end = at + 1;
                break;
            }
            b'\\' if has_escapes && bytes.get(at + 1).is_some_and(u8::is_ascii) => at += 2,
            _ => at += 1,
        }
    }
    cut_off(text, open + 1..at.min(bytes.len()), end)
}

/// A literal whose quotes are doubled. The one around it may end together with it.
fn nested(text: &str, open: usize, quotes: usize) -> Literal {
    let start = open + quotes;
    let mut at = start;
    while let Some(found) = text[at..].find('\'') {
        let close = at + found;
        let run = text[close..].bytes().take_while(|byte| *byte == b'\'').count();
        // Twice as many are one quote within the value.
        if run >= quotes && run != 2 * quotes {
            return cut_off(text, start..close, close + quotes);
        }
        at = close + run;
    }
    cut_off(text, start..text.len(), text.len())
}

/// Whether what stands here shows that a value has ended before it.
fn ends_value(text: &str, at: usize) -> bool {
    text[at..]
        .chars()
        .next()
        .is_none_or(|c| c.is_whitespace() || matches!(c, ',' | ';' | ')' | '|' | ':' | '"'))
}

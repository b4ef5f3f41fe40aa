//! Positions in a text, and the words next to them.

use std::ops::Range;

/// How many comments may stand in a row: a text that is all comments must not be read to its end again and again.
const COMMENTS: usize = 3;

/// Where the next token begins: after white space and SQL's comments.
pub(super) fn skip_space(text: &str, mut at: usize) -> usize {
    for _ in 0..COMMENTS {
        let rest = &text[at..];
        let comment = if rest.starts_with("--") {
            rest.find('\n').map_or(rest.len(), |end| end + 1)
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else {
            0
        };
        let space = rest[comment..].len() - rest[comment..].trim_start().len();
        if comment + space == 0 {
            return at;
        }
        at += comment + space;
    }
    at
}

/// Whether a byte belongs to a word. Those of letters beyond ASCII do.
pub(super) const fn is_word(byte: u8) -> bool {
    /// Files of rows are asked this for each of their bytes.
    const IS_WORD: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0_u8;
        loop {
            table[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii();
            match byte.checked_add(1) {
                Some(next) => byte = next,
                None => break table,
            }
        }
    };
    IS_WORD[byte as usize]
}

/// The word that begins here; empty where none does.
pub(super) fn word(text: &str, at: usize) -> &str {
    let length = text[at..].bytes().take_while(|byte| is_word(*byte)).count();
    &text[at..at + length]
}

/// The word that ends here.
pub(super) fn word_before(text: &str, end: usize) -> &str {
    let length = text[..end].bytes().rev().take_while(|byte| is_word(*byte)).count();
    &text[end - length..end]
}

/// Where a value is a word or several words, and not a part of longer ones.
pub(super) fn whole_words<'t>(text: &'t str, value: &'t str) -> impl Iterator<Item = Range<usize>> + 't {
    let is_part = |outside: Option<char>, inside: Option<char>| {
        outside.is_some_and(char::is_alphanumeric) && inside.is_some_and(char::is_alphanumeric)
    };
    text.match_indices(value).map(|(at, found)| at..at + found.len()).filter(move |range| {
        !is_part(text[..range.start].chars().next_back(), value.chars().next())
            && !is_part(text[range.end..].chars().next(), value.chars().next_back())
    })
}

/// Where the parentheses that are open at `at` close, or where they are read no further: those of a text that closes none
/// must not be read to its end again and again.
pub(super) fn closing(text: &str, mut at: usize, longest: usize) -> usize {
    let mut depth = 0_usize;
    let end = text.floor_char_boundary(at + longest);
    while at < end {
        if let Some(literal) = super::literal::read(text, at) {
            at = literal.end;
            continue;
        }
        match text.as_bytes()[at] {
            b'(' => depth += 1,
            b')' if depth == 0 => return at,
            b')' => depth -= 1,
            _ => {}
        }
        at = text.ceil_char_boundary(at + 1);
    }
    end
}

/// The position after the character at `at`.
pub(super) fn next_char(text: &str, at: usize) -> usize {
    at + text[at..].chars().next().map_or(1, char::len_utf8)
}

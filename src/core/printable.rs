//! Makes text from outside safe to print: from the server, other sessions, other tools, files and the command line.

use std::borrow::Cow;

/// The text with every control character written as an escape, except line breaks and tabs.
///
/// A terminal obeys escape sequences in the text that it prints: they change its title, its colours or earlier output.
/// Characters that set the direction of text, or are invisible, make it look like another text
/// ([CVE-2021-42574](https://trojansource.codes)).
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return text.into();
    }
    let mut printable = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unprintable(c) { printable.extend(c.escape_unicode()) } else { printable.push(c) }
    }
    printable.into()
}

/// Whether a character has another effect than to be visible, except line breaks and tabs.
pub(crate) fn is_unprintable(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        // Hidden letters and hyphens, directions, joiners, separators of lines, annotations, tags.
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' => true,
        c => c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_as_escapes() {
        for (text, printed) in [
            ("\u{1b}[2J\u{1b}]0;x\u{7}", r"\u{1b}[2J\u{1b}]0;x\u{7}"),
            ("a\rb\u{8}\u{0}\u{7f}", r"a\u{d}b\u{8}\u{0}\u{7f}"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("\u{202e}lqs\u{202c}\u{2066}", r"\u{202e}lqs\u{202c}\u{2066}"),
            ("ad\u{200b}min\u{feff}\u{ad}\u{e0041}", r"ad\u{200b}min\u{feff}\u{ad}\u{e0041}"),
            ("a\u{2028}b", r"a\u{2028}b"),
        ] {
            assert_eq!(printable(text), printed);
        }
    }

    #[test]
    fn letters_of_every_script_line_breaks_and_tabs_stay() {
        let text = "äöü ß €\n\tпривет 你好 שלום 😀 é \\x1b";
        assert!(matches!(printable(text), Cow::Borrowed(same) if same == text));
    }
}

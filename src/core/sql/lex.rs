//! Tokens by PostgreSQL's lexical rules, through squawk's port of `scan.l`.
//!
//! Backslashes are escapes in `E''` strings, and in plain ones if the caller sets that.

use crate::core::sql::parens::Parens;
use crate::core::sql::quote::NAME_BYTES;
use squawk_lexer::{LiteralKind, TokenKind, tokenize};

use crate::core::sql::strings::Strings;

/// A token, or a comment that [`scan`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
    /// Where it starts in the file, in bytes.
    pub(crate) start: usize,
}

/// The kinds of tokens that the rest of `sql` distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An unquoted identifier or keyword.
    Word,
    /// A quoted identifier, `U&""` included.
    Quoted,
    /// Any string literal: plain, `E''`, `U&''`, `N''`, `B''`, `X''`, dollar-quoted.
    String,
    Number,
    /// `;`
    Semicolon,
    /// `(`
    OpenParen,
    /// `)`
    CloseParen,
    /// `,`
    Comma,
    /// `.`
    Dot,
    /// `\`, which no SQL has outside strings: psql's commands start with it.
    Backslash,
    /// A comment of either form.
    Comment,
    Other,
}

/// A token that the end of the file cuts off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {what} is never closed")]
pub(crate) struct Unterminated {
    /// What is never closed: a `block comment`, `dollar-quoted string`, `string` or `quoted identifier`.
    pub(crate) what: &'static str,
    /// Where it starts in the file, in bytes.
    pub(crate) start: usize,
}

/// The tokens of a piece of SQL with standard strings, without white space and comments.
///
/// # Errors
/// The file ends inside a token.
pub(crate) fn tokens(sql: &str) -> Result<Vec<Token<'_>>, Unterminated> {
    scan(sql, Strings::Standard)
        .filter(|token| !matches!(token, Ok(token) if token.kind == Kind::Comment))
        .collect()
}

/// The tokens and comments of a file, one by one.
pub(crate) fn scan(sql: &str, strings: Strings) -> Scan<'_> {
    Scan { sql, at: 0, continues: Continues::No, strings }
}

impl Token<'_> {
    /// Where the token ends in the file, in bytes.
    pub(crate) const fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Whether this is that keyword. A quoted identifier never is.
    pub(crate) fn is(&self, keyword: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(keyword)
    }

    /// The identifier as PostgreSQL stores it: unquoted words folded to lower case (ASCII only, as in every UTF-8
    /// database), quoted ones without their quotes, both cut to 63 bytes. `None` for anything else.
    ///
    /// `U&""` is decoded with its default escape character; what cannot be decoded stays as written.
    pub(crate) fn name(&self) -> Option<String> {
        let mut name = match self.kind {
            Kind::Word => self.text.to_ascii_lowercase(),
            Kind::Quoted => {
                let inner = self.text.find('"').map_or("", |open| &self.text[open + 1..self.text.len() - 1]);
                let inner = inner.replace("\"\"", "\"");
                if self.text.starts_with('"') { inner } else { decode_unicode(&inner).unwrap_or(inner) }
            }
            _ => return None,
        };
        name.truncate(name.floor_char_boundary(NAME_BYTES));
        Some(name)
    }

    /// The value of a plain or dollar-quoted string. `None` for anything else, strings with escapes included.
    pub(crate) fn string(&self) -> Option<String> {
        if self.kind != Kind::String {
            return None;
        }
        if let Some(inner) = self.text.strip_prefix('\'') {
            return Some(inner.strip_suffix('\'')?.replace("''", "'"));
        }
        let delimiter = self.text[1..].find('$').filter(|_| self.text.starts_with('$'))? + 2;
        Some(self.text[delimiter..self.text.len() - delimiter].to_owned())
    }
}

/// Resolves `\0061` and `\+000061`; surrogate pairs and malformed escapes give `None`.
fn decode_unicode(raw: &str) -> Option<String> {
    let mut decoded = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, escape)) = rest.split_once('\\') {
        decoded.push_str(before);
        if let Some(after) = escape.strip_prefix('\\') {
            decoded.push('\\');
            rest = after;
            continue;
        }
        let (digits, width) = escape.strip_prefix('+').map_or((escape, 4), |digits| (digits, 6));
        let code = u32::from_str_radix(digits.get(..width)?, 16).ok()?;
        decoded.push(char::from_u32(code)?);
        rest = &digits[width..];
    }
    Some(decoded + rest)
}

/// The tokens and comments of a file, read one at a time: a list of them takes more than ten times the file's size.
pub(crate) struct Scan<'a> {
    sql: &'a str,
    at: usize,
    continues: Continues,
    /// How plain strings are read from here on.
    pub(super) strings: Strings,
}

impl<'a> Scan<'a> {
    /// Skips values and the punctuation between them, in `parens` parentheses, up to any other token, and returns the last
    /// token. A file of rows has tens of millions of them.
    pub(super) fn pass_values(&mut self, parens: &mut Parens) -> Option<Token<'a>> {
        let mut last = None;
        while self.continues == Continues::No
            && let Some((kind, length)) = common(&self.sql[self.at..], self.strings)
        {
            match kind {
                Some(Kind::Semicolon) => break,
                Some(kind) => {
                    parens.follow(kind);
                    last = Some((kind, self.at, length));
                }
                None => {}
            }
            self.at += length;
        }
        last.map(|(kind, start, length)| Token { kind, text: &self.sql[start..start + length], start })
    }
}

/// Whether a plain string here would be the next segment of an `E''` string.
///
/// Segments on separate lines are one literal and share its escapes, `--` comments between them notwithstanding
/// (`quotecontinue` in `scan.l`). The crate lexes each segment alone, and would take the `\'` of a later one for its end.
#[derive(PartialEq)]
enum Continues {
    No,
    /// An `E''` string has ended; a line break would make the next string its continuation.
    AfterNewline,
    Yes,
}

impl<'a> Iterator for Scan<'a> {
    type Item = Result<Token<'a>, Unterminated>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let start = self.at;
            let rest = &self.sql[start..];
            if self.continues == Continues::No
                && let Some((kind, length)) = common(rest, self.strings)
            {
                self.at += length;
                match kind {
                    Some(kind) => return Some(Ok(Token { kind, text: &rest[..length], start })),
                    None => continue,
                }
            }
            let raw = tokenize(rest).next()?;
            let mut text = &rest[..raw.len as usize];
            let mut classified = classify(raw.kind, text);
            let has_escapes = self.strings == Strings::Escapes && is_plain(raw.kind);
            if has_escapes || self.continues == Continues::Yes && text.starts_with('\'') {
                let end = escaped_string_end(rest);
                text = &rest[..end.unwrap_or(rest.len())];
                classified = end.map(|_| Some(Kind::String)).ok_or("string");
                self.continues = Continues::AfterNewline;
            } else {
                self.continues.follow(raw.kind, text);
            }
            self.at += text.len();
            match classified {
                Ok(Some(kind)) => return Some(Ok(Token { kind, text, start })),
                Ok(None) => {}
                Err(what) => return Some(Err(Unterminated { what, start })),
            }
        }
    }
}

/// The next part of a row of values, and its length in bytes: white space, punctuation, plain numbers and plain strings.
///
/// The crate takes a character at a time, and a file of rows has tens of millions of them. Any other text is
/// left to it.
fn common(text: &str, strings: Strings) -> Option<(Option<Kind>, usize)> {
    let bytes = text.as_bytes();
    let length = |from: usize, is_part: fn(&u8) -> bool| {
        from + bytes[from..].iter().take_while(|byte| is_part(byte)).count()
    };
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
    match *bytes.first()? {
        b' ' | b'\n' | b'\r' | b'\t' => Some((None, length(1, is_space))),
        b'(' => Some((Some(Kind::OpenParen), 1)),
        b')' => Some((Some(Kind::CloseParen), 1)),
        b',' => Some((Some(Kind::Comma), 1)),
        b';' => Some((Some(Kind::Semicolon), 1)),
        b'0'..=b'9' => {
            let mut end = length(1, u8::is_ascii_digit);
            if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
                end = length(end + 1, u8::is_ascii_digit);
            }
            let next = bytes.get(end)?;
            (is_space(next) || matches!(next, b',' | b')' | b';')).then_some((Some(Kind::Number), end))
        }
        b'\'' if strings == Strings::Standard => {
            let mut end = 1;
            loop {
                end += bytes[end..].iter().position(|byte| *byte == b'\'')? + 1;
                if bytes.get(end) != Some(&b'\'') {
                    return Some((Some(Kind::String), end));
                }
                end += 1;
            }
        }
        _ => None,
    }
}

impl Continues {
    fn follow(&mut self, kind: TokenKind, text: &str) {
        *self = match (kind, &self) {
            (TokenKind::Literal { kind: LiteralKind::EscStr { .. } }, _) => Self::AfterNewline,
            (TokenKind::Whitespace, Self::AfterNewline) if text.contains(['\n', '\r']) => Self::Yes,
            (TokenKind::Whitespace | TokenKind::LineComment, _) => return,
            _ => Self::No,
        };
    }
}

/// Whether it is a string whose backslashes depend on the setting: `''` or `N''`.
const fn is_plain(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::Literal { kind: LiteralKind::Str { .. } | LiteralKind::NationalStr { .. } })
}

/// The end of an escape string in bytes, given the text from its opening quote or the letter before it on.
fn escaped_string_end(text: &str) -> Option<usize> {
    let opening = text.find('\'')?;
    let mut chars = text.char_indices().skip(opening + 1).peekable();
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => drop(chars.next()),
            '\'' if chars.next_if(|&(_, next)| next == '\'').is_none() => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Corveil's kind for the crate's: `None` for white space, an error that names what is not terminated.
fn classify(kind: TokenKind, text: &str) -> Result<Option<Kind>, &'static str> {
    Ok(Some(match kind {
        TokenKind::Whitespace | TokenKind::Eof => return Ok(None),
        TokenKind::BlockComment { terminated: false } => return Err("block comment"),
        TokenKind::BlockComment { .. } | TokenKind::LineComment => Kind::Comment,
        TokenKind::QuotedIdent { terminated: false, .. } => return Err("quoted identifier"),
        TokenKind::QuotedIdent { .. } => Kind::Quoted,
        TokenKind::Ident => Kind::Word,
        TokenKind::Literal { kind } => return literal(kind).map(Some),
        TokenKind::Semi => Kind::Semicolon,
        TokenKind::OpenParen => Kind::OpenParen,
        TokenKind::CloseParen => Kind::CloseParen,
        TokenKind::Comma => Kind::Comma,
        TokenKind::Dot => Kind::Dot,
        TokenKind::Unknown if text == "\\" => Kind::Backslash,
        _ => Kind::Other,
    }))
}

fn literal(kind: LiteralKind) -> Result<Kind, &'static str> {
    match kind {
        LiteralKind::Int { .. } | LiteralKind::Numeric { .. } => Ok(Kind::Number),
        LiteralKind::DollarQuotedString { terminated: false } => Err("dollar-quoted string"),
        LiteralKind::Str { terminated: false }
        | LiteralKind::NationalStr { terminated: false }
        | LiteralKind::ByteStr { terminated: false }
        | LiteralKind::BitStr { terminated: false }
        | LiteralKind::UnicodeEscStr { terminated: false }
        | LiteralKind::EscStr { terminated: false } => Err("string"),
        _ => Ok(Kind::String),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each token's text, joined by a space that no case contains inside a token unless it is visible.
    fn lexed(sql: &str) -> String {
        let tokens = tokens(sql).expect("the SQL is complete");
        for token in &tokens {
            assert_eq!(&sql[token.start..token.end()], token.text, "the position of a token in {sql}");
        }
        tokens.iter().map(|token| token.text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn tokens_end_where_postgresql_ends_them() {
        let cases = [
            ("a.b", "a . b"),
            ("x::int[]", "x : : int [ ]"),
            (r"E'it\'s; fine';", r"E'it\'s; fine' ;"),
            (r"'c:\';'x'", r"'c:\' ; 'x'"),
            ("'a''b;';", "'a''b;' ;"),
            ("$1+$2", "$1 + $2"),
            ("a$b$ + c$b$", "a$b$ + c$b$"),
            ("$t1$ ; $t$ $t1 $t1$;", "$t1$ ; $t$ $t1 $t1$ ;"),
            ("$$ $x$ $$;", "$$ $x$ $$ ;"),
            ("$é$;$é$;", "$é$;$é$ ;"),
            ("1 /* a /* b; */ c; */ 2", "1 2"),
            ("2*/* */3 //**/4", "2 * 3 / 4"),
            ("1 -- a;\r2 --b;\n3", "1 2 3"),
            ("1 -- no newline at the end", "1"),
            (r#"U&"d\0061t;" x"#, r#"U&"d\0061t;" x"#),
            (r#""a""; b"."c""#, r#""a""; b" . "c""#),
            ("N'x;' B'01' X'fF' u&'\\0061;'", "N'x;' B'01' X'fF' u&'\\0061;'"),
            ("1..2", "1 .. 2"),
            ("\u{feff}select 1", "select 1"),
            ("", ""),
        ];
        for (sql, expected) in cases {
            assert_eq!(lexed(sql), expected, "{sql}");
        }
    }

    #[test]
    fn the_short_way_reads_what_the_long_one_does() {
        let pieces = [
            "(", ")", ",", ";", " ", "\n", "\r\n", "\t", "\u{b}", "0", "17", "1.5", "1..2", "1.", ".5",
            "0x1f", "1_000", "1e5", "12a", "'it''s'", "''", "''''", "'é\\'", "N'n'", "null", "-- c\n",
            "/* c */", "\"q\"", "$$;$$", "::", "-", "é",
        ];
        let long = |sql: &str| -> Vec<String> {
            let mut at = 0;
            let mut found = Vec::new();
            for raw in tokenize(sql) {
                let text = &sql[at..at + raw.len as usize];
                at += text.len();
                match classify(raw.kind, text) {
                    Ok(kind) => found.extend(kind.map(|kind| format!("{kind:?} {text}"))),
                    Err(what) => found.push(what.to_owned()),
                }
            }
            found
        };
        for (a, b, c) in
            pieces.iter().flat_map(|a| pieces.map(|b| (a, b))).flat_map(|(a, b)| pieces.map(|c| (a, b, c)))
        {
            let sql = format!("{a}{b}{c}");
            let short: Vec<_> = scan(&sql, Strings::Standard)
                .map(|token| match token {
                    Ok(Token { kind, text, .. }) => format!("{kind:?} {text}"),
                    Err(unterminated) => unterminated.what.to_owned(),
                })
                .collect();
            assert_eq!(short, long(&sql), "{sql:?}");
        }
    }

    #[test]
    fn a_later_segment_of_an_escape_string_keeps_its_escapes() {
        let cases = [
            ("E'a'\n'b\\';';", vec!["E'a'", "'b\\';'", ";"]),
            ("E'a'\n'b'\n'c\\';';", vec!["E'a'", "'b'", "'c\\';'", ";"]),
            ("E'a' -- comment\n -- more\n 'b\\'' ;", vec!["E'a'", "'b\\''", ";"]),
            // Plain strings, the same line, block comments and other tokens end it.
            ("'a'\n'b\\';", vec!["'a'", "'b\\'", ";"]),
            ("E'a' 'b\\';", vec!["E'a'", "'b\\'", ";"]),
            ("E'a' /* */\n'b\\';", vec!["E'a'", "'b\\'", ";"]),
            ("E'a'\n,\n'b\\';", vec!["E'a'", ",", "'b\\'", ";"]),
        ];
        for (sql, expected) in cases {
            let found: Vec<_> = tokens(sql).unwrap().iter().map(|token| token.text).collect();
            assert_eq!(found, expected, "{sql}");
        }
        assert_eq!(tokens("E'a'\n'b\\'"), Err(Unterminated { what: "string", start: 5 }));
    }

    #[test]
    fn backslashes_in_plain_strings_are_escapes_where_the_setting_is_off() {
        let cases = [
            (r"'it\'s; fine';", vec![r"'it\'s; fine'", ";"]),
            (r"N'it\'s;' ,", vec![r"N'it\'s;'", ","]),
            (r"'c:\\';", vec![r"'c:\\'", ";"]),
            (r"'it''s\n';", vec![r"'it''s\n'", ";"]),
            ("'a'\n'b\\';';", vec!["'a'", "'b\\';'", ";"]),
            (r"E'it\'s';", vec![r"E'it\'s'", ";"]),
            // Neither of these has escapes of that kind.
            (r#"$$\$$, "\", B'01'"#, vec![r"$$\$$", ",", r#""\""#, ",", "B'01'"]),
        ];
        for (sql, expected) in cases {
            let found: Vec<_> = scan(sql, Strings::Escapes).map(|token| token.unwrap().text).collect();
            assert_eq!(found, expected, "{sql}");
        }
        let cut = scan(r"SELECT 'c:\'", Strings::Escapes).last();
        assert_eq!(cut, Some(Err(Unterminated { what: "string", start: 7 })));
    }

    #[test]
    fn kinds() {
        let all = r#"w "q" U&"u" 's' $$d$$ 1 1.5e3 ; ( ) , . \ :: $1"#;
        let kinds: Vec<_> = tokens(all).unwrap().iter().map(|token| token.kind).collect();
        let expected = [
            Kind::Word,
            Kind::Quoted,
            Kind::Quoted,
            Kind::String,
            Kind::String,
            Kind::Number,
            Kind::Number,
            Kind::Semicolon,
            Kind::OpenParen,
            Kind::CloseParen,
            Kind::Comma,
            Kind::Dot,
            Kind::Backslash,
            Kind::Other,
            Kind::Other,
            Kind::Other,
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn what_the_end_of_the_file_cuts_off_is_named() {
        let cases = [
            ("é /* /* */", "block comment", 3),
            ("$a$ $$ $b$", "dollar-quoted string", 0),
            ("$$ ", "dollar-quoted string", 0),
            ("x 'it''s", "string", 2),
            (r"E'\'", "string", 0),
            ("N'", "string", 0),
            (r#"a."b"""#, "quoted identifier", 2),
        ];
        for (sql, what, start) in cases {
            assert_eq!(tokens(sql), Err(Unterminated { what, start }), "{sql}");
        }
    }

    #[test]
    fn names_are_those_that_the_catalog_has() {
        let cases = [
            ("Users", "users"),
            ("ÄÖü", "ÄÖü"),
            (r#""Weird ""name""#, "Weird \"name"),
            (r#"U&"d\0061t\+000061""#, "data"),
            (r#"u&"a\\b""#, "a\\b"),
            (r#"U&"\D83D\DE00""#, "\\D83D\\DE00"),
            (r#"U&"\00""#, "\\00"),
        ];
        for (sql, name) in cases {
            assert_eq!(tokens(sql).unwrap()[0].name().as_deref(), Some(name), "{sql}");
        }
        let long = format!("x{}", "é".repeat(40));
        assert_eq!(tokens(&long).unwrap()[0].name().unwrap().len(), 63);
        assert_eq!(tokens("'s'").unwrap()[0].name(), None);
    }

    #[test]
    fn values_of_strings() {
        let cases = [
            ("'it''s'", Some("it's")),
            ("$a$b$a$", Some("b")),
            ("$$$$", Some("")),
            ("E'x'", None),
            ("x", None),
        ];
        for (sql, string) in cases {
            assert_eq!(tokens(sql).unwrap()[0].string().as_deref(), string, "{sql}");
        }
    }

    #[test]
    fn a_quoted_identifier_is_no_keyword() {
        let tokens = tokens(r#"Begin "begin" 'begin'"#).unwrap();
        assert_eq!(tokens.iter().map(|token| token.is("begin")).collect::<Vec<_>>(), [true, false, false]);
    }

    #[test]
    fn scanning_keeps_comments() {
        let texts: Vec<_> =
            scan("-- a\nselect /* b */ 1", Strings::Standard).map(|token| token.unwrap().text).collect();
        assert_eq!(texts, ["-- a", "select", "/* b */", "1"]);
    }
}

//! Finds what only psql can run, even where it breaks the SQL around it: commands with a backslash, and COPY over the
//! connection with the rows that follow.

use crate::core::sql::parens::Parens;
use std::ops::Range;

use crate::core::sql::lex::{Kind, Token, scan};
use crate::core::sql::strings::Strings;

/// Something that the server cannot run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ForPsql {
    pub(super) what: What,
    /// Where it is in the file, in bytes: a command to the end of its line, a COPY to the end of its rows.
    pub(super) span: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A command with a backslash.
    Command,
    /// `COPY … FROM STDIN`
    CopyFromStdin,
    /// `COPY … TO STDOUT`
    CopyToStdout,
}

/// All that is for psql, in the order of the file, up to a token that the file's end cuts off.
///
/// The lexer starts again after each, because quotes in commands and rows need not pair.
pub(super) fn for_psql(sql: &str, strings: Strings) -> Vec<ForPsql> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut has_rows = true;
    while let Some(mut next) = next_for_psql(sql, strings, at) {
        if next.what == What::CopyFromStdin && has_rows {
            // Where nothing ends the rows of one, nothing ends those of a later one: the rest is read for it once.
            match rows_end(sql, next.span.end) {
                Some(end) => next.span.end = end,
                None => has_rows = false,
            }
        }
        at = next.span.end;
        found.push(next);
    }
    found
}

/// The file with all of that overwritten with spaces, byte by byte, so places stay true.
pub(super) fn without(sql: &str, found: &[ForPsql]) -> String {
    let mut readable = String::with_capacity(sql.len());
    for ForPsql { span, .. } in found {
        readable.push_str(&sql[readable.len()..span.start]);
        readable.extend(span.clone().map(|_| ' '));
    }
    readable.push_str(&sql[readable.len()..]);
    readable
}

fn next_for_psql(sql: &str, strings: Strings, from: usize) -> Option<ForPsql> {
    let mut copy = ClientCopy::default();
    for token in scan(&sql[from..], strings).map_while(Result::ok) {
        match token.kind {
            Kind::Backslash => {
                let start = from + token.start;
                let end = sql[start..].find(['\n', '\r']).map_or(sql.len(), |length| start + length);
                return Some(ForPsql { what: What::Command, span: start..end });
            }
            Kind::Semicolon => {
                if let Some((what, start)) = copy.found {
                    let end = from + token.end();
                    return Some(ForPsql { what, span: from + start..end });
                }
                copy = ClientCopy::default();
            }
            Kind::Comment => {}
            _ => copy.follow(&token),
        }
    }
    let (what, start) = copy.found?;
    Some(ForPsql { what, span: from + start..from + copy.end })
}

/// Whether tokens have anything that only psql can run, without their positions.
#[derive(Default)]
pub(super) struct Detector {
    copy: ClientCopy,
    is_met: bool,
}

impl Detector {
    pub(super) fn follow(&mut self, token: &Token<'_>) {
        match token.kind {
            Kind::Backslash => self.is_met = true,
            Kind::Semicolon => self.copy = ClientCopy::default(),
            _ if self.is_idle() => {}
            _ => {
                self.copy.follow(token);
                self.is_met |= self.copy.found.is_some();
            }
        }
    }

    /// Whether nothing but a backslash matters before the next semicolon.
    pub(super) const fn is_idle(&self) -> bool {
        matches!(self.copy.state, CopyState::Other)
    }

    pub(super) const fn is_met(&self) -> bool {
        self.is_met
    }
}

/// Whether a statement is a COPY with the client. The grammar takes `STDIN` and `STDOUT` in either direction.
#[derive(Default)]
struct ClientCopy {
    state: CopyState,
    parens: Parens,
    start: usize,
    /// Where the last token ends.
    end: usize,
    /// What it is, and where it starts.
    found: Option<(What, usize)>,
}

#[derive(Default, Clone, Copy)]
enum CopyState {
    #[default]
    AtStart,
    Other,
    Within,
    After(What),
}

impl ClientCopy {
    fn follow(&mut self, token: &Token<'_>) {
        self.end = token.end();
        self.state = match self.state {
            CopyState::AtStart if token.is("copy") => {
                self.start = token.start;
                CopyState::Within
            }
            CopyState::AtStart | CopyState::Other => CopyState::Other,
            CopyState::After(what) if token.is("stdin") || token.is("stdout") => {
                self.found = self.found.or(Some((what, self.start)));
                CopyState::Within
            }
            CopyState::Within | CopyState::After(_) => {
                self.parens.follow(token.kind);
                match self.parens.is_open() {
                    false if token.is("from") => CopyState::After(What::CopyFromStdin),
                    false if token.is("to") => CopyState::After(What::CopyToStdout),
                    _ => CopyState::Within,
                }
            }
        }
    }
}

/// Where the rows behind a `COPY … FROM STDIN;` end: after the `\.` alone on its line, if there is one.
fn rows_end(sql: &str, semicolon: usize) -> Option<usize> {
    let mut at = semicolon;
    for line in sql[semicolon..].split_inclusive('\n') {
        at += line.len();
        if line.trim_end() == "\\." {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_rows_are_found_whatever_quotes_they_hold() {
        let dump = "\\restrict it's\n\nSET x = 1;\n\nCOPY a (x) FROM stdin;\nit's; \\N\n\\.\n\n\nCOPY b (x) FROM stdin;\n\
                    \"é\n\\.\n\nCOPY c FROM stdin;\n\\.\nSELECT 'é';\n\\unrestrict x\n";
        let found = for_psql(dump, Strings::Standard);
        let texts: Vec<_> = found.iter().map(|found| (found.what, &dump[found.span.clone()])).collect();
        assert_eq!(
            texts,
            [
                (What::Command, "\\restrict it's"),
                (What::CopyFromStdin, "COPY a (x) FROM stdin;\nit's; \\N\n\\.\n"),
                (What::CopyFromStdin, "COPY b (x) FROM stdin;\n\"é\n\\.\n"),
                (What::CopyFromStdin, "COPY c FROM stdin;\n\\.\n"),
                (What::Command, "\\unrestrict x"),
            ]
        );
        let readable = without(dump, &found);
        assert_eq!(readable.len(), dump.len());
        assert_eq!(
            readable.split_whitespace().collect::<Vec<_>>(),
            ["SET", "x", "=", "1;", "SELECT", "'é';"]
        );
    }

    #[test]
    fn every_copy_with_the_client_is_known() {
        let cases = [
            ("copy t from stdin", Some(What::CopyFromStdin)),
            ("COPY s.t (a, \"b\") FROM stdin WITH (format csv);", Some(What::CopyFromStdin)),
            ("COPY stdin FROM STDOUT", Some(What::CopyFromStdin)),
            ("COPY t TO STDOUT;", Some(What::CopyToStdout)),
            ("copy (select x from stdin) to stdout (format csv)", Some(What::CopyToStdout)),
            ("COPY (SELECT x FROM stdin) TO '/tmp/x'", None),
            ("COPY stdin FROM PROGRAM 'cat'", None),
            ("SELECT copy FROM stdin", None),
        ];
        for (sql, expected) in cases {
            assert_eq!(for_psql(sql, Strings::Standard).first().map(|found| found.what), expected, "{sql}");
        }
    }
}

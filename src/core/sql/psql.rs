//! What only psql can run, found even where it makes nonsense of the SQL around it: commands with a backslash, and COPY
//! over the connection with the rows that follow.

use std::ops::Range;

use crate::core::sql::lex::{Kind, Token, scan};

/// Something that is not for the server.
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
/// Lexing starts anew behind each, as quotes in commands and rows need not pair.
pub(super) fn for_psql(sql: &str) -> Vec<ForPsql> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = next_for_psql(sql, at) {
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

fn next_for_psql(sql: &str, from: usize) -> Option<ForPsql> {
    let mut statement: Vec<Token<'_>> = Vec::new();
    for token in scan(&sql[from..]).map_while(Result::ok) {
        match token.kind {
            Kind::Backslash => {
                let start = from + token.start;
                let end = sql[start..].find(['\n', '\r']).map_or(sql.len(), |length| start + length);
                return Some(ForPsql { what: What::Command, span: start..end });
            }
            Kind::Semicolon => {
                if let Some(what) = client_copy(&statement) {
                    let end = if what == What::CopyFromStdin {
                        rows_end(sql, from + token.end())
                    } else {
                        from + token.end()
                    };
                    return Some(ForPsql { what, span: from + statement[0].start..end });
                }
                statement.clear();
            }
            Kind::Comment => {}
            _ => statement.push(token),
        }
    }
    let what = client_copy(&statement)?;
    Some(ForPsql { what, span: from + statement[0].start..from + statement.last()?.end() })
}

/// Whether a statement is a COPY with the client. The grammar takes `STDIN` and `STDOUT` in either direction.
fn client_copy(tokens: &[Token<'_>]) -> Option<What> {
    tokens.first().filter(|first| first.is("copy"))?;
    let mut depth = 0_usize;
    tokens.windows(2).find_map(|pair| {
        match pair[0].kind {
            Kind::OpenParen => depth += 1,
            Kind::CloseParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > 0 || !(pair[1].is("stdin") || pair[1].is("stdout")) {
            return None;
        }
        match pair[0] {
            from if from.is("from") => Some(What::CopyFromStdin),
            to if to.is("to") => Some(What::CopyToStdout),
            _ => None,
        }
    })
}

/// Where the rows behind a `COPY … FROM STDIN;` end: after the `\.` alone on its line, or at once where there is none.
fn rows_end(sql: &str, semicolon: usize) -> usize {
    let mut at = semicolon;
    for line in sql[semicolon..].split_inclusive('\n') {
        at += line.len();
        if line.trim_end() == "\\." {
            return at;
        }
    }
    semicolon
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_rows_are_found_whatever_quotes_they_hold() {
        let dump = "\\restrict it's\n\nSET x = 1;\n\nCOPY a (x) FROM stdin;\nit's; \\N\n\\.\n\n\nCOPY b (x) FROM stdin;\n\
                    \"é\n\\.\n\nCOPY c FROM stdin;\n\\.\nSELECT 'é';\n\\unrestrict x\n";
        let found = for_psql(dump);
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
            assert_eq!(for_psql(sql).first().map(|found| found.what), expected, "{sql}");
        }
    }
}

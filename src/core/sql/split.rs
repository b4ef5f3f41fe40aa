//! Splits a file into statements where psql and the server's grammar split it.

use crate::core::sql::lex::{Kind, Scan, Token, Unterminated, scan};
use crate::core::sql::parens::Parens;
use crate::core::sql::psql::Detector;
use crate::core::sql::reader::starts_with;
use crate::core::sql::strings::Strings;

/// Longer first lines are cut to this many characters, so that a message stays one line on a wide terminal.
const FIRST_LINE_CHARS: usize = 120;

/// A statement keeps this many of its tokens: more than any check reads ahead. A list of all of them would take many times
/// the size of a statement that inserts rows.
const KEPT_TOKENS: usize = 1024;

/// One statement, with at least one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement<'a> {
    /// From the first token to the last, without the semicolon and the comments around.
    pub(crate) text: &'a str,
    /// Where the text starts in the file, in bytes.
    pub(crate) start: usize,
    /// Its first tokens, 1024 at most; their positions are the file's. [`Statement::find_map`] reads all of them.
    pub(crate) tokens: Vec<Token<'a>>,
    /// Whether these are all of its tokens.
    is_whole: bool,
    /// Where its semicolon is in the file, in bytes; a file's last statement may lack one.
    pub(crate) semicolon: Option<usize>,
    /// How its plain strings are read.
    strings: Strings,
    /// Whether a setting in the file has changed that since the statement before.
    pub(crate) is_read_otherwise: bool,
}

/// The statements of a file whose strings are standard ones. Empty ones yield nothing, as the server sends no
/// `CommandComplete` for them: the n-th of these is the n-th that the server completes.
///
/// # Errors
/// The file ends inside a token.
pub(crate) fn statements(sql: &str) -> Result<Vec<Statement<'_>>, Unterminated> {
    each(sql, Strings::Standard).collect()
}

/// The same one by one, so that nothing is kept of a large file, and with strings as the session reads them and as the file
/// sets further on. The last item is the error of one that ends inside a token.
pub(crate) fn each(sql: &str, strings: Strings) -> Statements<'_> {
    Statements {
        sql,
        initial: strings,
        before: strings,
        scan: scan(sql, strings),
        for_psql: Detector::default(),
    }
}

/// The statements of a file, read one at a time.
pub(crate) struct Statements<'a> {
    sql: &'a str,
    /// How strings are read in the beginning, and how in the statement before.
    initial: Strings,
    before: Strings,
    scan: Scan<'a>,
    for_psql: Detector,
}

impl<'a> Statements<'a> {
    /// Whether anything that was read up to here is for psql alone.
    pub(super) const fn met_psql(&self) -> bool {
        self.for_psql.is_met()
    }

    fn close(&mut self, open: Open<'a>, semicolon: Option<usize>) -> Statement<'a> {
        let Open { tokens, last, is_whole, .. } = open;
        let (start, strings) = (tokens[0].start, self.scan.strings);
        let is_read_otherwise = strings != std::mem::replace(&mut self.before, strings);
        let text = &self.sql[start..last.end()];
        let statement = Statement { text, start, tokens, is_whole, semicolon, strings, is_read_otherwise };
        self.scan.strings = strings.after(&statement, self.initial);
        statement
    }
}

impl<'a> Iterator for Statements<'a> {
    type Item = Result<Statement<'a>, Unterminated>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut open: Option<Open<'a>> = None;
        loop {
            if let Some(open) = open.as_mut().filter(|open| open.tokens.len() == KEPT_TOKENS)
                && self.for_psql.is_idle()
                && let Some(last) = self.scan.pass_values(&mut open.nesting.parens)
            {
                open.last = last;
                open.is_whole = false;
            }
            let Some(token) = self.scan.next() else { break };
            let token = match token {
                Ok(token) if token.kind == Kind::Comment => continue,
                Ok(token) => token,
                Err(unterminated) => return Some(Err(unterminated)),
            };
            self.for_psql.follow(&token);
            match &mut open {
                Some(open) if token.kind != Kind::Semicolon || open.nesting != Nesting::default() => {
                    open.push(token);
                }
                None if token.kind != Kind::Semicolon => open = Some(Open::new(token)),
                None => {}
                Some(_) => return Some(Ok(self.close(open?, Some(token.start)))),
            }
        }
        Some(Ok(self.close(open?, None)))
    }
}

/// A statement that is being read.
struct Open<'a> {
    tokens: Vec<Token<'a>>,
    last: Token<'a>,
    is_whole: bool,
    nesting: Nesting,
}

impl<'a> Open<'a> {
    fn new(first: Token<'a>) -> Self {
        let mut nesting = Nesting::default();
        nesting.follow(&[], None, &first);
        Self { tokens: vec![first], last: first, is_whole: true, nesting }
    }

    fn push(&mut self, token: Token<'a>) {
        self.nesting.follow(&self.tokens, Some(&self.last), &token);
        self.last = token;
        if self.tokens.len() < KEPT_TOKENS {
            self.tokens.push(token);
        } else {
            self.is_whole = false;
        }
    }
}

/// The first line of a text, at most 120 characters and then `…`.
pub(crate) fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim_end();
    line.char_indices()
        .nth(FIRST_LINE_CHARS)
        .map_or_else(|| line.to_owned(), |(cut, _)| format!("{}…", line[..cut].trim_end()))
}

impl<'a> Statement<'a> {
    /// Where the text ends in the file, in bytes.
    pub(crate) const fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Whether the statement starts with these keywords.
    pub(crate) fn starts_with(&self, keywords: &[&str]) -> bool {
        starts_with(&self.tokens, keywords)
    }

    /// Its first line, to name it in a message.
    pub(crate) fn first_line(&self) -> String {
        first_line(self.text)
    }

    /// The first answer of `find`, which is given each token with those behind it: all that there are, or 512 at least.
    pub(crate) fn find_map<T>(&self, mut find: impl FnMut(&[Token<'a>]) -> Option<T>) -> Option<T> {
        let mut kept = self.tokens.clone();
        let mut more = (!self.is_whole).then(|| self.rest());
        loop {
            // The first half is checked while the other half can be read ahead.
            let ready = if more.is_some() { kept.len() / 2 } else { kept.len() };
            if let Some(found) = (0..ready).find_map(|at| find(&kept[at..])) {
                return Some(found);
            }
            kept.drain(..ready);
            kept.extend(more.as_mut()?.take(ready));
            if kept.len() < KEPT_TOKENS {
                more = None;
            }
        }
    }

    /// The tokens that were not kept, read again.
    fn rest(&self) -> impl Iterator<Item = Token<'a>> + use<'a> {
        let start = self.start;
        scan(self.text, self.strings)
            .map_while(Result::ok)
            .filter(|token| token.kind != Kind::Comment)
            .skip(self.tokens.len())
            .map(move |token| Token { start: start + token.start, ..token })
    }
}

/// What is open around a token, so that its semicolon ends nothing.
#[derive(Default, PartialEq)]
struct Nesting {
    /// `CREATE RULE … DO (…; …)` has semicolons within parentheses.
    parens: Parens,
    /// Bodies of SQL-standard routines, `BEGIN ATOMIC …; … END`, and the `CASE … END` inside them.
    blocks: usize,
}

impl Nesting {
    /// psql's rule (`psqlscan.l`), but sharper in three places: `ATOMIC` must follow `BEGIN`, so a function may be
    /// called `begin`; a body's statements may use a column `begin`; and labels such as `AS end` do not count.
    ///
    /// `head` is how the statement begins, `previous` the token before this one.
    fn follow(&mut self, head: &[Token<'_>], previous: Option<&Token<'_>>, token: &Token<'_>) {
        match token.kind {
            Kind::OpenParen | Kind::CloseParen => self.parens.follow(token.kind),
            Kind::Word if self.parens.is_open() => {}
            Kind::Word if self.blocks == 0 => {
                let opens = token.is("atomic") && previous.is_some_and(|word| word.is("begin"));
                self.blocks = usize::from(opens && creates_routine(head));
            }
            Kind::Word if previous.is_some_and(|token| token.is("as") || token.kind == Kind::Dot) => {}
            Kind::Word if token.is("case") => self.blocks += 1,
            Kind::Word if token.is("end") => self.blocks -= 1,
            _ => {}
        }
    }
}

fn creates_routine(tokens: &[Token<'_>]) -> bool {
    [
        &["create", "function"][..],
        &["create", "procedure"],
        &["create", "or", "replace", "function"],
        &["create", "or", "replace", "procedure"],
    ]
    .iter()
    .any(|keywords| starts_with(tokens, keywords))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::sql::lex::tokens;

    #[test]
    fn a_file_may_say_itself_how_its_strings_are_read() {
        let dump =
            r"SET standard_conforming_strings = off; SELECT 'it\'s;'; RESET ALL; SELECT 'c:\'; SELECT 1";
        let read: Vec<_> = each(dump, Strings::Standard).map(|statement| statement.unwrap().text).collect();
        assert_eq!(read[1], r"SELECT 'it\'s;'");
        assert_eq!(read[3..], [r"SELECT 'c:\'", "SELECT 1"]);
        // All of a statement is read as its start, however long.
        let long = format!(r"INSERT INTO t VALUES {} ('it\'s'); SELECT 1", "(1), ".repeat(KEPT_TOKENS));
        let found = each(&long, Strings::Escapes).next().unwrap().unwrap();
        assert_eq!(found.find_map(|tokens| tokens[0].text.starts_with(r"'it\'s'").then_some(())), Some(()));
    }

    fn texts(sql: &str) -> Vec<&str> {
        let statements = statements(sql).expect("the SQL is complete");
        for statement in &statements {
            assert_eq!(&sql[statement.start..statement.end()], statement.text);
            assert!(statement.semicolon.is_none_or(|at| &sql[at..=at] == ";"));
        }
        statements.iter().map(|statement| statement.text).collect()
    }

    #[test]
    fn empty_statements_yield_nothing() {
        for sql in ["", " \n", ";;", "-- only a comment", "/* a; */ ; -- b;"] {
            assert_eq!(texts(sql), [""; 0], "{sql}");
        }
        assert_eq!(texts(";a;;b; ;"), ["a", "b"]);
    }

    #[test]
    fn comments_around_a_statement_are_not_its_text() {
        let sql = "-- first; \n /* x; */ select /* in; */ 1 -- end;\n ; select 2 -- no newline; no semicolon";
        assert_eq!(texts(sql), ["select /* in; */ 1", "select 2"]);
        assert_eq!(statements(sql).unwrap()[1].semicolon, None);
    }

    /// Each is one statement, followed by another to show where it ends.
    #[test]
    fn semicolons_inside_a_statement_do_not_end_it() {
        let cases = [
            "INSERT INTO t VALUES ('a''b;', E'it\\'s; fine', $$;$$, $q$ $$;$$ $q$, U&'\\0061;', \";\")",
            "CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO l VALUES (1); DELETE FROM m;)",
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
            "CREATE FUNCTION f(a int) RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN a > 1 THEN 2 ELSE 3 END; END",
            "create or replace procedure p() language sql begin atomic insert into t values (1); delete from t; end",
            "CREATE OR REPLACE FUNCTION s.f() RETURNS int BEGIN ATOMIC SELECT (CASE WHEN (true) THEN 1 END); SELECT \
             CASE 1 WHEN 1 THEN CASE WHEN true THEN 2 END END; END",
            "CREATE FUNCTION f() RETURNS TABLE (a int) BEGIN ATOMIC SELECT 1 AS end; SELECT x.end, x.case FROM x; END",
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT begin FROM spans; SELECT \"end\" FROM spans; END",
            "CREATE FUNCTION f() RETURNS int BEGIN /* why */ ATOMIC END",
            "CREATE FUNCTION begin() RETURNS int RETURN 1",
            "CREATE FUNCTION atomic(\"begin\" int) RETURNS int RETURN CASE WHEN true THEN 1 END",
            "CREATE FUNCTION begin(begin int) RETURNS int LANGUAGE sql AS 'select 1;'",
            "CREATE TABLE begin (begin int, \"end\" int, atomic int)",
            "ALTER TABLE spans ADD COLUMN begin timestamptz",
            "SELECT CASE WHEN begin > 1 THEN 1 END FROM spans",
        ];
        for sql in cases {
            assert_eq!(texts(&format!("{sql};SELECT 2;")), [sql, "SELECT 2"], "{sql}");
        }
    }

    #[test]
    fn a_plain_begin_opens_no_block() {
        assert_eq!(texts("BEGIN; SELECT 1; END;"), ["BEGIN", "SELECT 1", "END"]);
        assert_eq!(texts("BEGIN ATOMIC; SELECT 1"), ["BEGIN ATOMIC", "SELECT 1"]);
    }

    #[test]
    fn too_many_closing_parentheses_do_not_glue_statements() {
        assert_eq!(texts("a ) ; b ( ; ) ; c"), ["a )", "b ( ; )", "c"]);
    }

    #[test]
    fn a_dump_is_split() {
        let dump = "\
--
-- PostgreSQL database dump
--

SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);

COMMENT ON EXTENSION pgcrypto IS 'it''s; crypto';


--
-- Name: touch(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.touch() RETURNS trigger
    LANGUAGE plpgsql
    AS $_$
BEGIN
  -- it's fine
  NEW.at := now(); RETURN NEW;
END;
$_$;

CREATE TABLE public.t (
    \"begin\" integer DEFAULT nextval('public.s;'::regclass) NOT NULL,
    CONSTRAINT c CHECK (((kind)::text = ANY (ARRAY[('a;'::character varying)::text])))
);
--
-- PostgreSQL database dump complete
--
";
        let statements = statements(dump).unwrap();
        let lines: Vec<_> = statements.iter().map(Statement::first_line).collect();
        assert_eq!(
            lines,
            [
                "SET statement_timeout = 0",
                "SELECT pg_catalog.set_config('search_path', '', false)",
                "COMMENT ON EXTENSION pgcrypto IS 'it''s; crypto'",
                "CREATE FUNCTION public.touch() RETURNS trigger",
                "CREATE TABLE public.t (",
            ]
        );
    }

    #[test]
    fn first_lines_are_cut_at_a_character() {
        let sql = format!("select '{}'", "é".repeat(200));
        let line = statements(&sql).unwrap()[0].first_line();
        assert_eq!(line.chars().count(), FIRST_LINE_CHARS + 1);
        assert!(line.ends_with("é…"));
        assert_eq!(statements("select\r\n 1").unwrap()[0].first_line(), "select");
    }

    #[test]
    fn keywords_match_in_any_case_and_unquoted() {
        let sql = "Create INDEX i ON t (x)";
        let statement = &statements(sql).unwrap()[0];
        assert!(statement.starts_with(&["create", "index"]));
        assert!(!statement.starts_with(&["create", "table"]));
        assert!(!statements("\"create\" index").unwrap()[0].starts_with(&["create"]));
        assert!(!statements("create").unwrap()[0].starts_with(&["create", "index"]));
    }

    #[test]
    fn every_token_of_a_long_statement_is_read_though_few_are_kept() {
        for rows in [0, 1, 100, KEPT_TOKENS / 6, KEPT_TOKENS, 5000] {
            let sql = format!("-- rows\nINSERT INTO t VALUES (0){};", ", ('é', /* ; */ 1)".repeat(rows));
            let expected: Vec<_> = tokens(&sql).unwrap();
            let statements = statements(&sql).unwrap();
            let statement = &statements[0];
            assert_eq!(statements.len(), 1);
            assert_eq!(statement.end(), sql.len() - 1);
            assert!(statement.tokens.len() <= KEPT_TOKENS);
            let mut read = Vec::new();
            statement.find_map(|tokens| -> Option<()> {
                assert!(tokens.len() >= KEPT_TOKENS / 2 || tokens.last().unwrap().end() == statement.end());
                read.push(tokens[0]);
                None
            });
            assert_eq!(read, expected[..expected.len() - 1], "{rows} rows");
            let last = statement.find_map(|tokens| (tokens.len() == 1).then(|| tokens[0].start));
            assert_eq!(last, expected.iter().rev().nth(1).map(|token| token.start));
        }
    }

    #[test]
    fn a_file_that_ends_inside_a_token_ends_with_the_error() {
        let read: Vec<_> =
            each("a; b; 'c", Strings::Standard).map(|statement| statement.map(|s| s.text)).collect();
        assert_eq!(read[..2], [Ok("a"), Ok("b")]);
        assert_eq!((read.len(), read[2]), (3, Err(Unterminated { what: "string", start: 6 })));
    }
}

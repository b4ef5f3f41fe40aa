//! A file cut into statements where psql and the server's grammar cut it.

use crate::core::sql::lex::{Kind, Token, Unterminated, tokens};
use crate::core::sql::reader::starts_with;

/// Longer first lines are cut here, in characters, so that a message stays one line on a wide terminal.
const FIRST_LINE_CHARS: usize = 120;

/// One statement, with at least one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement<'a> {
    /// From the first token to the last, without the semicolon and the comments around.
    pub text: &'a str,
    /// Where the text starts in the file, in bytes.
    pub start: usize,
    /// Its tokens; their positions are the file's.
    pub tokens: Vec<Token<'a>>,
    /// Where its semicolon is in the file, in bytes; a file's last statement may lack one.
    pub semicolon: Option<usize>,
}

/// The statements of a file. Empty ones yield nothing, as the server sends no `CommandComplete` for them: the n-th
/// of these is the n-th that the server completes.
///
/// # Errors
/// The file ends inside a token.
pub fn statements(sql: &str) -> Result<Vec<Statement<'_>>, Unterminated> {
    let mut statements = Vec::new();
    let mut open = Vec::new();
    let mut nesting = Nesting::default();
    for token in tokens(sql)? {
        if token.kind == Kind::Semicolon && nesting == Nesting::default() {
            statements.extend(Statement::new(sql, std::mem::take(&mut open), Some(token.start)));
        } else {
            nesting.follow(&open, &token);
            open.push(token);
        }
        if open.is_empty() {
            nesting = Nesting::default();
        }
    }
    statements.extend(Statement::new(sql, open, None));
    Ok(statements)
}

/// The first line of a text, at most 120 characters and then `…`.
#[must_use]
pub fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim_end();
    line.char_indices()
        .nth(FIRST_LINE_CHARS)
        .map_or_else(|| line.to_owned(), |(cut, _)| format!("{}…", line[..cut].trim_end()))
}

impl<'a> Statement<'a> {
    fn new(sql: &'a str, tokens: Vec<Token<'a>>, semicolon: Option<usize>) -> Option<Self> {
        let (start, end) = (tokens.first()?.start, tokens.last()?.end());
        Some(Self { text: &sql[start..end], start, tokens, semicolon })
    }

    /// Where the text ends in the file, in bytes.
    #[must_use]
    pub const fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Whether the statement starts with these keywords.
    #[must_use]
    pub fn starts_with(&self, keywords: &[&str]) -> bool {
        starts_with(&self.tokens, keywords)
    }

    /// Its first line, to name it in a message.
    #[must_use]
    pub fn first_line(&self) -> String {
        first_line(self.text)
    }

    /// The tokens outside all parentheses, with their places in `tokens`.
    pub fn outside_parens(&self) -> impl Iterator<Item = (usize, &Token<'a>)> {
        let mut depth = 0_usize;
        self.tokens.iter().enumerate().filter(move |(_, token)| match token.kind {
            Kind::OpenParen => {
                depth += 1;
                false
            }
            Kind::CloseParen => {
                depth = depth.saturating_sub(1);
                false
            }
            _ => depth == 0,
        })
    }
}

/// What is open around a token, so that its semicolon ends nothing.
#[derive(Default, PartialEq)]
struct Nesting {
    /// `CREATE RULE … DO (…; …)` has semicolons within parentheses.
    parens: usize,
    /// Bodies of SQL-standard routines, `BEGIN ATOMIC …; … END`, and the `CASE … END` inside them.
    blocks: usize,
}

impl Nesting {
    /// psql's rule (`psqlscan.l`), but sharper in three places: `ATOMIC` must follow `BEGIN`, so a function may be
    /// called `begin`; a body's statements may use a column `begin`; and labels such as `AS end` do not count.
    fn follow(&mut self, before: &[Token<'_>], token: &Token<'_>) {
        let previous = before.last();
        match token.kind {
            Kind::OpenParen => self.parens += 1,
            Kind::CloseParen => self.parens = self.parens.saturating_sub(1),
            Kind::Word if self.parens > 0 => {}
            Kind::Word if self.blocks == 0 => {
                let opens = token.is("atomic") && previous.is_some_and(|word| word.is("begin"));
                self.blocks = usize::from(opens && creates_routine(before));
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
    fn outside_parentheses() {
        let sql = "copy (select 1 from (x)) to stdout (format csv)";
        let statement = &statements(sql).unwrap()[0];
        let words: Vec<_> = statement.outside_parens().map(|(_, token)| token.text).collect();
        assert_eq!(words, ["copy", "to", "stdout"]);
    }
}

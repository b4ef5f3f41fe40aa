//! Finds what a pending file must not contain, before anything runs.

use crate::core::sql::concurrent::is_concurrently;
use crate::core::sql::lex::Unterminated;
use crate::core::sql::position::Lines;
use crate::core::sql::psql::{self, ForPsql, What, for_psql};
use crate::core::sql::reader::{Reader, starts_with};
use crate::core::sql::split::{self, Statement};
use crate::core::sql::strings::Strings;
use crate::core::sql::transaction::{Outline, Pairing, Part, Unbalanced, control};
use crate::error::LISTED;

/// Statements that PostgreSQL refuses inside a transaction block, regardless of what follows these keywords.
const NEVER_IN_A_TRANSACTION: [&[&str]; 6] = [
    &["alter", "system"],
    &["create", "database"],
    &["create", "tablespace"],
    &["drop", "database"],
    &["drop", "tablespace"],
    &["vacuum"],
];

/// Why a file is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Where the cause starts in the file, in bytes.
    pub(crate) start: usize,
    /// The reason, as a sentence without its period.
    pub(crate) reason: String,
    /// What to do about it, likewise.
    pub(crate) advice: String,
}

/// What is wrong with a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusals {
    /// In the order of the file, the first ones of each kind.
    pub(crate) found: Vec<Refusal>,
    /// How many more there are.
    pub(crate) more: usize,
}

impl Refusals {
    /// Whether the file is not refused.
    pub(crate) const fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    fn of(mut found: Vec<Refusal>, unnamed: usize) -> Self {
        found.sort_by_key(|refusal| refusal.start);
        let more = unnamed + found.len().saturating_sub(LISTED);
        found.truncate(LISTED);
        Self { found, more }
    }
}

/// Reads a file once, statement by statement, and reports what is wrong with it. `strings` is how its session reads strings,
/// and `transactional` whether Corveil runs it inside one transaction. `each` is called with every statement, or only some of
/// them if the file is refused.
pub(crate) fn refusals<'a>(
    sql: &'a str,
    strings: Strings,
    transactional: bool,
    mut each: impl FnMut(&Statement<'a>),
) -> Refusals {
    let mut misplaced = Misplaced::new(transactional);
    let mut statements = split::each(sql, strings);
    for statement in &mut statements {
        let statement = match statement {
            Ok(statement) => statement,
            Err(error) => {
                // Perhaps only because psql's commands or COPY's rows hold quotes.
                return refused_by_psql(sql, strings, transactional).unwrap_or_else(|| {
                    Refusals::of(unreadable(sql).chain([never_closed(&error)]).collect(), 0)
                });
            }
        };
        each(&statement);
        misplaced.follow(&statement);
    }
    if statements.met_psql()
        && let Some(refusals) = refused_by_psql(sql, strings, transactional)
    {
        return refusals;
    }
    let (found, more) = misplaced.end(sql);
    Refusals::of(unreadable(sql).chain(found).collect(), more)
}

/// What is wrong with a file that has commands of psql. The lexer takes them for part of the next statement, so the rest is
/// read again without them.
fn refused_by_psql(sql: &str, strings: Strings, transactional: bool) -> Option<Refusals> {
    let for_psql = Some(for_psql(sql, strings)).filter(|found| !found.is_empty())?;
    let readable = psql::without(sql, &for_psql);
    let mut misplaced = Misplaced::new(transactional);
    let mut broken_off = None;
    for statement in split::each(&readable, strings) {
        match statement {
            Ok(statement) => misplaced.follow(&statement),
            Err(error) => broken_off = Some(never_closed(&error)),
        }
    }
    let (rest, mut more) = match broken_off {
        Some(broken_off) => (vec![broken_off], 0),
        None => misplaced.end(&readable),
    };
    let (clients, unnamed) = client_refusals(sql, &for_psql);
    more += unnamed;
    Some(Refusals::of(unreadable(sql).chain(clients).chain(rest).collect(), more))
}

fn never_closed(error: &Unterminated) -> Refusal {
    let advice = format!("close the {} that starts here", error.what);
    Refusal { start: error.start, reason: error.to_string(), advice }
}

/// Statements that are SQL, but not allowed at their place.
struct Misplaced<'a> {
    transactional: bool,
    found: Vec<Refusal>,
    more: usize,
    outline: Outline<'a>,
    controls: Controls,
    pairing: Result<Pairing, Unbalanced>,
    /// Those that stand within a `BEGIN … COMMIT` of a file without a transaction.
    inside: Vec<Refusal>,
    more_inside: usize,
}

/// Transaction control of a file that is to be one transaction.
#[derive(Default)]
struct Controls {
    first: Option<(usize, String)>,
    starts: Places,
}

/// The first places of many.
#[derive(Default)]
struct Places {
    named: Vec<usize>,
    more: usize,
}

impl Places {
    fn push(&mut self, start: usize) {
        if self.named.len() < LISTED {
            self.named.push(start);
        } else {
            self.more += 1;
        }
    }
}

impl<'a> Misplaced<'a> {
    fn new(transactional: bool) -> Self {
        Self {
            transactional,
            found: Vec::new(),
            more: 0,
            outline: Outline::default(),
            controls: Controls::default(),
            pairing: Ok(Pairing::default()),
            inside: Vec::new(),
            more_inside: 0,
        }
    }

    fn follow(&mut self, statement: &Statement<'a>) {
        if let Some(refusal) = lock_releasing(statement) {
            add(&mut self.found, &mut self.more, || refusal);
        }
        if read_only(statement, self.transactional) {
            add(&mut self.found, &mut self.more, || unrecordable(statement));
        }
        if self.transactional {
            if never_in_a_transaction(statement) {
                add(&mut self.found, &mut self.more, || needs_no_transaction(statement));
            }
            self.outline.follow(statement);
            if control(statement).is_some() {
                self.controls.first.get_or_insert_with(|| (statement.start, statement.first_line()));
                self.controls.starts.push(statement.start);
            }
        } else if let Ok(pairing) = &mut self.pairing {
            match pairing.follow(statement) {
                Ok(Part::Inside | Part::Commit) if statement.is_read_otherwise => {
                    add(&mut self.inside, &mut self.more_inside, || changes_strings(statement));
                }
                Ok(Part::Begin | Part::Inside | Part::Commit) if never_in_a_transaction(statement) => {
                    add(&mut self.inside, &mut self.more_inside, || Refusal {
                        advice: "move it out of its `BEGIN … COMMIT`".to_owned(),
                        ..needs_no_transaction(statement)
                    });
                }
                Ok(_) => {}
                Err(error) => self.pairing = Err(error),
            }
        }
    }

    /// All of them, and how many were not kept.
    fn end(mut self, sql: &str) -> (Vec<Refusal>, usize) {
        if self.transactional {
            if self.outline.wrapping().is_none() {
                self.found.extend(self.controls.end(sql));
            }
            return (self.found, self.more);
        }
        match self.pairing.and_then(Pairing::end) {
            Ok(()) => {
                self.found.extend(self.inside);
                (self.found, self.more + self.more_inside)
            }
            Err(Unbalanced { start, reason }) => {
                let advice = "pair each `BEGIN` with one `COMMIT`, or delete it".to_owned();
                self.found.push(Refusal { start, reason, advice });
                (self.found, self.more)
            }
        }
    }
}

/// Keeps as many as are named.
fn add(found: &mut Vec<Refusal>, more: &mut usize, refusal: impl FnOnce() -> Refusal) {
    if found.len() < LISTED {
        found.push(refusal());
    } else {
        *more += 1;
    }
}

impl Controls {
    fn end(self, sql: &str) -> Option<Refusal> {
        let (start, first_line) = self.first?;
        Some(Refusal {
            start,
            reason: format!(
                "`{first_line}` would break up the transaction that applies the file and records it"
            ),
            advice: format!(
                "delete {}, or make `-- no-transaction` the file's first line",
                lines(sql, &self.starts)
            ),
        })
    }
}

/// A `BEGIN … COMMIT` is sent as one batch, and the server parses the whole batch before it runs any of it.
fn changes_strings(statement: &Statement<'_>) -> Refusal {
    Refusal {
        start: statement.start,
        reason: "`standard_conforming_strings` is set before this statement in the same `BEGIN … COMMIT`, which the \
                 server reads as a whole before it sets anything"
            .to_owned(),
        advice: "set it before the `BEGIN`".to_owned(),
    }
}

/// Characters that the server would reject without a position.
fn unreadable(sql: &str) -> impl Iterator<Item = Refusal> {
    let mark = sql.starts_with('\u{feff}').then(|| Refusal {
        start: 0,
        reason: "the file starts with a byte order mark, which PostgreSQL takes for part of the first word"
            .to_owned(),
        advice: "save it as UTF-8 without byte order mark".to_owned(),
    });
    let nul = sql.find('\0').map(|start| Refusal {
        start,
        reason: "the file contains a NUL character, which would end the text that is sent to the server"
            .to_owned(),
        advice: "delete the character, or save the file as UTF-8 if it is UTF-16".to_owned(),
    });
    mark.into_iter().chain(nul)
}

/// The commands of psql as one refusal, each COPY as one; and how many COPY are not among them.
fn client_refusals(sql: &str, for_psql: &[ForPsql]) -> (Vec<Refusal>, usize) {
    let (mut refusals, mut more) = (Vec::new(), 0);
    for ForPsql { what, span } in for_psql {
        let (reason, advice) = match what {
            What::Command => continue,
            What::CopyFromStdin => (
                "`COPY … FROM STDIN` waits for rows from a client program, and a migration has none",
                "write the rows as `INSERT` statements (`pg_dump --inserts` does)",
            ),
            What::CopyToStdout => (
                "`COPY … TO STDOUT` sends rows to a client program, and a migration has none",
                "delete the statement",
            ),
        };
        add(&mut refusals, &mut more, || Refusal {
            start: span.start,
            reason: reason.to_owned(),
            advice: advice.to_owned(),
        });
    }
    refusals.extend(psql_commands(sql, for_psql));
    (refusals, more)
}

fn psql_commands(sql: &str, for_psql: &[ForPsql]) -> Option<Refusal> {
    let starts = || for_psql.iter().filter(|found| found.what == What::Command).map(|found| found.span.start);
    let start = starts().next()?;
    let starts_line = |at: usize| {
        let before = sql[..at].trim_end_matches([' ', '\t']);
        before.is_empty() || before.ends_with(['\n', '\r'])
    };
    let mut places = Places::default();
    for start in starts() {
        places.push(start);
    }
    let lines = lines(sql, &places);
    let advice = if starts().all(starts_line) {
        format!("delete {lines}")
    } else {
        format!("rewrite {lines} without it")
    };
    let command: String = sql[start..].chars().take_while(|char| !char.is_whitespace()).take(20).collect();
    Some(Refusal { start, reason: format!("`{command}` is a command of psql, not SQL"), advice })
}

/// `DISCARD ALL` includes `pg_advisory_unlock_all()`, so another runner could start in the middle of this one.
fn lock_releasing(statement: &Statement<'_>) -> Option<Refusal> {
    statement.starts_with(&["discard", "all"]).then(|| Refusal {
        start: statement.start,
        reason: "`DISCARD ALL` releases the lock that keeps other runners out".to_owned(),
        advice: "delete the statement; the session is reset after every file anyway".to_owned(),
    })
}

/// Whether a statement makes the transaction read-only in which its file is recorded. If the whole file is one transaction,
/// a setting for later ones does no harm.
fn read_only(statement: &Statement<'_>, transactional: bool) -> bool {
    let mut reader = Reader::new(statement);
    let says_so = |words: &[&str]| statement.tokens.windows(2).any(|pair| starts_with(pair, words));
    if reader.eat_any(&["begin", "start"]).is_some() || reader.eat(&["set", "transaction"]) {
        return says_so(&["read", "only"]);
    }
    if !reader.eat(&["set"]) {
        return false;
    }
    if reader.eat(&["session", "characteristics"]) {
        return !transactional && says_so(&["read", "only"]);
    }
    reader.eat_any(&["local", "session"]);
    let is_set = reader.eat(&["transaction_read_only"])
        || !transactional && reader.eat(&["default_transaction_read_only"]);
    is_set && reader.rest().last().is_some_and(|value| value.is("on") || value.is("true"))
}

fn unrecordable(statement: &Statement<'_>) -> Refusal {
    Refusal {
        start: statement.start,
        reason: format!(
            "`{}` makes the transaction read-only, so that not even the history row can be written",
            statement.first_line()
        ),
        advice: "remove the read-only mode".to_owned(),
    }
}

/// Whether PostgreSQL refuses a statement inside a transaction block (`PreventInTransactionBlock` in its sources).
/// Subscriptions, which depend on their options and on the catalog, are left to the server.
fn never_in_a_transaction(statement: &Statement<'_>) -> bool {
    let mut reader = Reader::new(statement);
    if reader.eat(&["reindex"]) {
        reader.skip_parens();
        return reader.eat_any(&["database", "schema", "system"]).is_some() || is_concurrently(statement);
    }
    if reader.eat(&["cluster"]) {
        // With a table it is ordinary; without one it commits table by table.
        reader.skip_parens();
        reader.eat(&["verbose"]);
        return reader.peek().is_none();
    }
    if reader.eat(&["alter", "database"]) {
        return reader.rest().windows(2).any(|pair| starts_with(pair, &["set", "tablespace"]));
    }
    let concurrently = is_concurrently(statement) && !reader.eat(&["refresh"]);
    concurrently || NEVER_IN_A_TRANSACTION.iter().any(|head| statement.starts_with(head))
}

fn needs_no_transaction(statement: &Statement<'_>) -> Refusal {
    Refusal {
        start: statement.start,
        reason: format!("`{}` cannot run inside a transaction", statement.first_line()),
        advice: "make `-- no-transaction` the file's first line".to_owned(),
    }
}

/// `line 5`, `lines 5 and 93`, `lines 5, 9 and 93`, `lines 5, 9, … and 70 more`.
fn lines(sql: &str, places: &Places) -> String {
    let mut read = Lines::new(sql);
    let mut lines: Vec<_> = places.named.iter().map(|start| read.of(*start)).collect();
    lines.dedup();
    let mut lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
    let last = match places.more {
        0 => lines.pop().unwrap_or_default(),
        more => format!("{more} more"),
    };
    if lines.is_empty() { format!("line {last}") } else { format!("lines {} and {last}", lines.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_TRANSACTION: &str = "make `-- no-transaction` the file's first line";

    fn refused(sql: &str, transactional: bool) -> Vec<Refusal> {
        refusals(sql, Strings::Standard, transactional, |_| {}).found
    }

    /// The only refusal of a file.
    fn refusal(sql: &str, transactional: bool) -> Refusal {
        let mut all = refused(sql, transactional);
        assert_eq!(all.len(), 1, "{sql}: {all:?}");
        all.remove(0)
    }

    #[test]
    fn ordinary_files_are_not_refused() {
        let cases = [
            "",
            "-- only a comment \\d",
            "SELECT E'\\\\d', '\\x', $$\n\\connect\n$$ /*\n\\i x\n*/;",
            "COPY t FROM '/tmp/x'; COPY stdin FROM PROGRAM 'cat'; COPY (SELECT 1) TO '/tmp/y';",
            "BEGIN; CREATE TABLE t (x int); SAVEPOINT s; ROLLBACK TO s; RELEASE s; COMMIT;",
            "REFRESH MATERIALIZED VIEW CONCURRENTLY v; REINDEX TABLE t; CLUSTER t; ANALYZE; DISCARD TEMP;",
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END;",
            "CREATE TABLE vacuum (copy int, stdin int); ALTER TABLE vacuum ADD system int;",
        ];
        for sql in cases {
            assert_eq!(refused(sql, true), [], "{sql}");
        }
        assert_eq!(refused("VACUUM; BEGIN; SELECT 1; COMMIT; CREATE INDEX CONCURRENTLY ON t (x)", false), []);
    }

    #[test]
    fn psql_commands_are_named_by_line() {
        let dump = "--\n-- dump\n--\n\n\\restrict key\n\nSET x = 1;\n\n  \\unrestrict key\n";
        let found = refusal(dump, true);
        assert_eq!(found.reason, "`\\restrict` is a command of psql, not SQL");
        assert_eq!(found.advice, "delete lines 5 and 9");
        assert_eq!(found.start, dump.find('\\').unwrap());
        let cases = [
            ("\\connect app", "delete line 1"),
            ("SELECT 1;\n\\i x.sql\n\\i y.sql\n\\copy t from 'x'", "delete lines 2, 3 and 4"),
            ("SELECT 1 \\gexec\n", "rewrite line 1 without it"),
            ("SELECT (\n\\echo x\n1);", "delete line 2"),
        ];
        for (sql, advice) in cases {
            assert_eq!(refusal(sql, false).advice, advice, "{sql}");
        }
    }

    #[test]
    fn copy_with_the_client_is_refused_regardless_of_its_rows() {
        assert!(refusal("COPY t FROM stdin;", true).advice.contains("--inserts"));
        assert_eq!(refusal("SELECT 1; COPY t TO STDOUT", false).start, 10);
        let dump =
            "COPY public.t (a, b) FROM stdin;\n1\t\\N\n2\tcommit; vacuum; discard all; (\n\\.\n\nSELECT 1;\n";
        assert!(refusal(dump, true).reason.starts_with("`COPY … FROM STDIN`"));
    }

    #[test]
    fn statements_around_rows_and_commands_are_checked_too() {
        let dump = "\\restrict k\nCOPY t (a) FROM stdin;\nit's\n\\.\n\nVACUUM;\nSELECT 'never closed;\n";
        let starts: Vec<_> = refused(dump, true).iter().map(|found| found.start).collect();
        assert_eq!(starts, [0, dump.find("COPY").unwrap(), dump.find("'never").unwrap()]);
        let closed = dump.replace("'never closed", "1");
        let reasons: Vec<_> = refused(&closed, true).into_iter().map(|found| found.reason).collect();
        assert_eq!(reasons.len(), 3, "{reasons:?}");
        assert_eq!(reasons[2], "`VACUUM` cannot run inside a transaction");
    }

    #[test]
    fn what_is_never_closed_is_refused_where_it_starts() {
        let found = refusal("BEGIN;\nSELECT 'it''s;\nCOMMIT;", true);
        assert_eq!((found.start, found.reason.as_str()), (14, "the string is never closed"));
        assert_eq!(found.advice, "close the string that starts here");
    }

    #[test]
    fn characters_that_the_server_rejects() {
        let mark = refusal("\u{feff}SELECT 1", true);
        assert!(mark.reason.contains("byte order mark"));
        let nul = refusal("SELECT 'é\0'", true);
        assert_eq!(nul.start, 10);
        assert!(nul.reason.contains("NUL"));
    }

    #[test]
    fn transaction_control_inside_the_transaction_of_the_file() {
        let found = refusal("SELECT 1;\nCOMMIT;\nBEGIN;\nSELECT 2;\nROLLBACK;", true);
        assert_eq!(found.start, 10);
        assert_eq!(found.advice, format!("delete lines 2, 3 and 5, or {NO_TRANSACTION}"));
        for sql in [
            "ABORT",
            "PREPARE TRANSACTION 'x'",
            "COMMIT PREPARED 'x'",
            "START TRANSACTION; x",
            "BEGIN; x; END AND CHAIN",
        ] {
            assert!(refusal(sql, true).advice.ends_with(NO_TRANSACTION), "{sql}");
        }
    }

    #[test]
    fn statements_that_cannot_run_in_a_transaction_get_a_hint() {
        let cases = [
            "CREATE INDEX CONCURRENTLY i ON t (x)",
            "create unique index concurrently on t (x)",
            "DROP INDEX CONCURRENTLY i",
            "REINDEX TABLE CONCURRENTLY t",
            "REINDEX (VERBOSE) DATABASE",
            "REINDEX SCHEMA s",
            "REINDEX SYSTEM",
            "ALTER TABLE p DETACH PARTITION q CONCURRENTLY",
            "VACUUM (ANALYZE) t",
            "CREATE DATABASE d",
            "DROP DATABASE IF EXISTS d",
            "ALTER DATABASE d SET TABLESPACE s",
            "CREATE TABLESPACE s LOCATION '/s'",
            "DROP TABLESPACE s",
            "ALTER SYSTEM SET x = 1",
            "CLUSTER",
            "CLUSTER (VERBOSE)",
        ];
        for sql in cases {
            let found = refusal(&format!("SELECT 1;{sql};"), true);
            assert_eq!((found.start, found.advice.as_str()), (9, NO_TRANSACTION), "{sql}");
            assert_eq!(refused(sql, false), [], "{sql}");
            let inside = refusal(&format!("BEGIN;{sql};COMMIT;"), false);
            assert_eq!(inside.advice, "move it out of its `BEGIN … COMMIT`", "{sql}");
        }
    }

    #[test]
    fn begin_and_commit_must_pair_up() {
        for sql in ["BEGIN; SELECT 1", "COMMIT", "SELECT 1; ROLLBACK"] {
            assert!(refusal(sql, false).advice.starts_with("pair each"), "{sql}");
        }
    }

    #[test]
    fn the_lock_is_not_to_be_released() {
        for transactional in [true, false] {
            assert!(refusal("DISCARD ALL", transactional).reason.contains("lock"));
        }
    }

    #[test]
    fn a_read_only_transaction_does_not_end_with_try_again_for_ever() {
        let always = [
            "BEGIN READ ONLY; SELECT 1; COMMIT",
            "START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY; SELECT 1; COMMIT",
            "BEGIN; SET TRANSACTION READ ONLY; SELECT 1; COMMIT",
            "BEGIN; SET LOCAL transaction_read_only = on; SELECT 1; COMMIT",
            "BEGIN; SET transaction_read_only TO true; SELECT 1; COMMIT",
        ];
        for sql in always {
            for transactional in [true, false] {
                let found = refusal(sql, transactional);
                assert!(found.reason.contains("not even the history row can be written"), "{sql}: {found:?}");
            }
        }
        let for_later_ones = [
            "SET default_transaction_read_only = on",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        ];
        for sql in for_later_ones {
            assert_eq!(refused(sql, true), [], "{sql}");
            assert_eq!(refusal(sql, false).advice, "remove the read-only mode", "{sql}");
        }
        let harmless = [
            "BEGIN READ WRITE; SELECT 1; COMMIT",
            "SET transaction_read_only = off",
            "ALTER ROLE app SET default_transaction_read_only = on",
            "CREATE TABLE read (\"only\" int)",
        ];
        for sql in harmless {
            for transactional in [true, false] {
                assert_eq!(refused(sql, transactional), [], "{sql}");
            }
        }
    }

    #[test]
    fn refusals_come_in_the_order_of_the_file() {
        let starts: Vec<_> =
            refused("VACUUM; COMMIT; COPY t FROM stdin; \\x", true).iter().map(|found| found.start).collect();
        assert_eq!(starts, [0, 8, 16, 35]);
    }

    #[test]
    fn a_thousand_places_are_not_all_named() {
        let commits = refusal(&"SELECT 1;\nCOMMIT;\n".repeat(1000), true);
        assert!(
            commits.advice.starts_with("delete lines 2, 4, 6, 8, 10,")
                && commits.advice.contains(" 40 and 980 more"),
            "{commits:?}"
        );
        let commands = refusal(&"\\echo x\n".repeat(1000), true);
        assert!(commands.advice.ends_with(" 19, 20 and 980 more"), "{commands:?}");
        for (sql, transactional) in [
            ("VACUUM;", true),
            ("DISCARD ALL;", false),
            ("BEGIN READ ONLY; COMMIT;", false),
            ("BEGIN; VACUUM; COMMIT;", false),
            ("COPY t FROM stdin;\n", true),
        ] {
            let refusals = refusals(&sql.repeat(1000), Strings::Standard, transactional, |_| {});
            assert_eq!((refusals.found.len(), refusals.more), (LISTED, 1000 - LISTED), "{sql}");
        }
        let mixed =
            refusals(&"VACUUM; DISCARD ALL; COPY t TO stdout;".repeat(1000), Strings::Standard, true, |_| {});
        assert_eq!((mixed.found.len(), mixed.more), (LISTED, 3000 - LISTED));
    }
}

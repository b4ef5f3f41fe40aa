//! Handles a file's `BEGIN` and `COMMIT` when Corveil runs the file inside its transaction, or without one.

use std::ops::Range;

use crate::core::sql::lex::{Kind, Token};
use crate::core::sql::reader::Reader;
use crate::core::sql::split::Statement;

/// The words of transaction modes (`transaction_mode_item` in PostgreSQL's grammar).
const MODE_WORDS: [&str; 11] = [
    "committed",
    "deferrable",
    "isolation",
    "level",
    "not",
    "only",
    "read",
    "repeatable",
    "serializable",
    "uncommitted",
    "write",
];

/// A statement that begins or ends a transaction. Savepoints are none: they stay within theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    /// `BEGIN` or `START TRANSACTION`, with any modes.
    Begin,
    /// `COMMIT` or `END`, without `AND CHAIN`.
    Commit,
    /// `COMMIT PREPARED` or `ROLLBACK PREPARED`, which must stand outside a transaction.
    Prepared,
    /// Any other statement that ends one: `ROLLBACK`, `ABORT`, `PREPARE TRANSACTION`, `AND CHAIN`. No file gains by it.
    Other,
}

/// What removes the `BEGIN; … COMMIT;` that wraps a whole file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrapping {
    /// Both statements and their semicolons, in bytes and in the order of the file. All is ASCII; with spaces in their place the
    /// server's positions (in characters) stay true.
    pub(crate) blanks: Vec<Range<usize>>,
    /// The transaction modes of its `BEGIN`, such as `ISOLATION LEVEL SERIALIZABLE`, for the `BEGIN` of Corveil; may be empty.
    pub(crate) modes: String,
}

/// The place of a statement of a no-transaction file among those that succeed or fail together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Single,
    /// It is the first of a `BEGIN … COMMIT`.
    Begin,
    Inside,
    /// It is the last of one.
    Commit,
}

/// Transaction control in a no-transaction file that does not pair up.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Unbalanced {
    /// Where the statement starts in the file, in bytes.
    pub(crate) start: usize,
    /// What is wrong with it.
    pub(crate) reason: String,
}

/// Checks, statement by statement, whether a whole file is wrapped in `BEGIN; … COMMIT;`.
#[derive(Debug, Default)]
pub(crate) struct Outline<'a> {
    first: Option<Statement<'a>>,
    /// The statement read last, if it is one of transaction control.
    last: Option<Statement<'a>>,
    /// Whether there is transaction control between the first statement and the one read last.
    is_broken: bool,
}

impl<'a> Outline<'a> {
    pub(crate) fn follow(&mut self, statement: &Statement<'a>) {
        if self.first.is_none() {
            self.first = Some(statement.clone());
            return;
        }
        self.is_broken |= self.last.is_some();
        self.last = control(statement).map(|_| statement.clone());
    }

    /// How the file is unwrapped. `None` where there is nothing to unwrap, or where more transaction control stands in between.
    pub(crate) fn wrapping(&self) -> Option<Wrapping> {
        let (begin, commit) = (self.first.as_ref()?, self.last.as_ref()?);
        if control(commit) != Some(Control::Commit) || self.is_broken {
            return None;
        }
        let modes = modes(begin)?;
        let blanks = [begin, commit].into_iter().flat_map(|statement| {
            let tokens = statement.tokens.iter().map(|token| token.start..token.end());
            tokens.chain(statement.semicolon.map(|at| at..at + 1))
        });
        Some(Wrapping { blanks: blanks.collect(), modes })
    }
}

/// What a statement does to the transaction around it, if anything.
pub(crate) fn control(statement: &Statement<'_>) -> Option<Control> {
    let mut reader = Reader::new(statement);
    if reader.eat(&["begin"]) || reader.eat(&["start", "transaction"]) {
        return Some(Control::Begin);
    }
    if reader.eat(&["commit", "prepared"]) || reader.eat(&["rollback", "prepared"]) {
        return Some(Control::Prepared);
    }
    if reader.eat(&["prepare", "transaction"]) {
        // `PREPARE transaction AS …` is a prepared statement with an unfortunate name.
        return reader.eat_kind(Kind::String).then_some(Control::Other);
    }
    let commits = reader.eat_any(&["commit", "end"]).is_some();
    if !commits {
        reader.eat_any(&["rollback", "abort"])?;
    }
    reader.eat_any(&["work", "transaction"]);
    if !commits && reader.eat(&["to"]) {
        return None;
    }
    reader.eat(&["and", "no", "chain"]);
    Some(if commits && reader.rest().is_empty() { Control::Commit } else { Control::Other })
}

/// The modes of a `BEGIN`; `None` where the statement is none, or not one that Corveil could send for the file.
fn modes(begin: &Statement<'_>) -> Option<String> {
    let mut reader = Reader::new(begin);
    if reader.eat(&["begin"]) {
        reader.eat_any(&["work", "transaction"]);
    } else if !reader.eat(&["start", "transaction"]) {
        return None;
    }
    let known = |token: &Token<'_>| token.kind == Kind::Comma || MODE_WORDS.iter().any(|word| token.is(word));
    let words: Vec<_> =
        reader.rest().iter().map(|token| known(token).then_some(token.text)).collect::<Option<_>>()?;
    Some(words.join(" "))
}

/// Pairs the `BEGIN`s and `COMMIT`s of a no-transaction file.
#[derive(Debug, Default)]
pub(crate) struct Pairing {
    /// The error of a `BEGIN` that is open, unless its `COMMIT` comes.
    open: Option<Unbalanced>,
}

impl Pairing {
    /// Reads the next statement.
    ///
    /// # Errors
    /// A `COMMIT` without a `BEGIN`, or a statement that ends a transaction otherwise.
    pub(crate) fn follow(&mut self, statement: &Statement<'_>) -> Result<Part, Unbalanced> {
        let unbalanced = |what| Err(unbalanced(statement, what));
        match (control(statement), self.open.is_some()) {
            (None | Some(Control::Prepared), false) => Ok(Part::Single),
            (None, true) => Ok(Part::Inside),
            (Some(Control::Begin), false) => {
                self.open = Some(self::unbalanced(statement, "has no `COMMIT` after it"));
                Ok(Part::Begin)
            }
            (Some(Control::Commit), true) => {
                self.open = None;
                Ok(Part::Commit)
            }
            (Some(Control::Commit), false) => unbalanced("has no `BEGIN` before it"),
            (Some(Control::Other), false) => unbalanced("ends a transaction, and none is open"),
            (Some(Control::Begin | Control::Prepared), true) => {
                unbalanced("stands inside a transaction that is still open")
            }
            (Some(Control::Other), true) => unbalanced("ends a transaction other than by `COMMIT`"),
        }
    }

    /// Ends the file.
    ///
    /// # Errors
    /// A `BEGIN` that no `COMMIT` follows.
    pub(crate) fn end(self) -> Result<(), Unbalanced> {
        self.open.map_or(Ok(()), Err)
    }
}

fn unbalanced(statement: &Statement<'_>, what: &str) -> Unbalanced {
    Unbalanced { start: statement.start, reason: format!("`{}` {what}", statement.first_line()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::sql::split::statements;

    fn wrapped(sql: &str) -> Option<Wrapping> {
        let mut outline = Outline::default();
        for statement in &statements(sql).unwrap() {
            outline.follow(statement);
        }
        outline.wrapping()
    }

    fn parts(sql: &str) -> Result<Vec<Part>, Unbalanced> {
        let mut pairing = Pairing::default();
        let parts = statements(sql).unwrap().iter().map(|s| pairing.follow(s)).collect::<Result<_, _>>()?;
        pairing.end()?;
        Ok(parts)
    }

    #[test]
    fn every_form_of_control_is_known() {
        let cases = [
            ("begin", Some(Control::Begin)),
            ("BEGIN WORK READ WRITE", Some(Control::Begin)),
            ("start transaction isolation level serializable", Some(Control::Begin)),
            ("commit", Some(Control::Commit)),
            ("END TRANSACTION", Some(Control::Commit)),
            ("COMMIT WORK AND NO CHAIN", Some(Control::Commit)),
            ("commit and chain", Some(Control::Other)),
            ("rollback", Some(Control::Other)),
            ("ROLLBACK WORK AND NO CHAIN", Some(Control::Other)),
            ("abort", Some(Control::Other)),
            ("prepare transaction 'x'", Some(Control::Other)),
            ("commit prepared 'x'", Some(Control::Prepared)),
            ("rollback prepared 'x'", Some(Control::Prepared)),
            ("rollback to s", None),
            ("ROLLBACK TRANSACTION TO SAVEPOINT s", None),
            ("savepoint s", None),
            ("release s", None),
            ("prepare transaction as select 1", None),
            ("start_transaction", None),
            ("\"begin\"", None),
            ("alter table begin add column commit int", None),
            ("do $$ begin commit; end $$", None),
        ];
        for (sql, expected) in cases {
            assert_eq!(control(&statements(sql).unwrap()[0]), expected, "{sql}");
        }
    }

    #[test]
    fn a_wrapped_file_is_unwrapped_in_place() {
        let cases = [
            ("BEGIN;\nSELECT 'é';\nCOMMIT;\n", "      \nSELECT 'é';\n       \n", ""),
            (
                "begin work; savepoint s; rollback to s; end",
                "            savepoint s; rollback to s;    ",
                "",
            ),
            (
                "START TRANSACTION READ WRITE;x;COMMIT AND NO CHAIN;",
                &format!("{:29}x;{:20}", "", ""),
                "READ WRITE",
            ),
            (
                "BEGIN ISOLATION LEVEL -- é\n SERIALIZABLE, NOT DEFERRABLE;x;END WORK -- z",
                &format!("{:22}-- é\n{:30}x;{:8} -- z", "", "", ""),
                "ISOLATION LEVEL SERIALIZABLE , NOT DEFERRABLE",
            ),
            ("-- é\nBEGIN /* ü */ ;x;COMMIT;", "-- é\n      /* ü */  x;       ", ""),
            ("BEGIN; COMMIT;", "              ", ""),
        ];
        for (sql, unwrapped, modes) in cases {
            let found = wrapped(sql).unwrap_or_else(|| panic!("not unwrapped: {sql}"));
            let mut blanked = sql.to_owned();
            for blank in found.blanks {
                blanked.replace_range(blank.clone(), &" ".repeat(blank.len()));
            }
            assert_eq!(blanked, unwrapped, "{sql}");
            assert_eq!(found.modes, modes, "{sql}");
            assert_eq!(blanked.chars().count(), sql.chars().count(), "{sql}");
        }
    }

    #[test]
    fn a_file_that_is_not_wrapped_whole_is_left_alone() {
        let cases = [
            "",
            "BEGIN",
            "SELECT 1; COMMIT;",
            "BEGIN; SELECT 1;",
            "BEGIN; x; COMMIT; y;",
            "x; BEGIN; COMMIT;",
            "BEGIN; x; COMMIT; BEGIN; y; COMMIT;",
            "BEGIN; x; ROLLBACK;",
            "BEGIN; x; COMMIT AND CHAIN;",
            "BEGIN; COMMIT PREPARED 'x'; COMMIT;",
            "BEGIN nonsense; x; COMMIT;",
        ];
        for sql in cases {
            assert_eq!(wrapped(sql), None, "{sql}");
        }
    }

    #[test]
    fn a_block_of_a_no_transaction_file_is_one_statement() {
        use Part::{Begin, Commit, Inside, Single};
        let cases = [
            ("", vec![]),
            ("a; b", vec![Single, Single]),
            (
                "a; BEGIN; b; SAVEPOINT s; c; COMMIT; d; START TRANSACTION; END; ROLLBACK PREPARED 'x'",
                vec![Single, Begin, Inside, Inside, Inside, Commit, Single, Begin, Commit, Single],
            ),
        ];
        for (sql, expected) in cases {
            assert_eq!(parts(sql).unwrap(), expected, "{sql}");
        }
    }

    #[test]
    fn control_that_does_not_pair_up_is_an_error() {
        let cases = [
            ("x; COMMIT; y", 3, "`COMMIT` has no `BEGIN` before it"),
            ("BEGIN; x;", 0, "`BEGIN` has no `COMMIT` after it"),
            ("x; ROLLBACK;", 3, "`ROLLBACK` ends a transaction, and none is open"),
            ("BEGIN; BEGIN; COMMIT;", 7, "`BEGIN` stands inside a transaction that is still open"),
            ("BEGIN; ROLLBACK;", 7, "`ROLLBACK` ends a transaction other than by `COMMIT`"),
            ("BEGIN; COMMIT AND CHAIN;", 7, "`COMMIT AND CHAIN` ends a transaction other than by `COMMIT`"),
            (
                "BEGIN; COMMIT PREPARED 'x';",
                7,
                "`COMMIT PREPARED 'x'` stands inside a transaction that is still open",
            ),
        ];
        for (sql, start, reason) in cases {
            let error = parts(sql).unwrap_err();
            assert_eq!((error.start, error.reason.as_str()), (start, reason), "{sql}");
        }
    }
}

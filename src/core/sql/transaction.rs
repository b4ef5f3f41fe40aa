//! What a file's own `BEGIN` and `COMMIT` mean when the file is to run inside a transaction of ours, or without one.

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
pub enum Control {
    /// `BEGIN` or `START TRANSACTION`, with whatever modes.
    Begin,
    /// `COMMIT` or `END`, without `AND CHAIN`.
    Commit,
    /// `COMMIT PREPARED` or `ROLLBACK PREPARED`, which must stand outside a transaction.
    Prepared,
    /// Whatever else ends one: `ROLLBACK`, `ABORT`, `PREPARE TRANSACTION`, `AND CHAIN`. No file gains by it.
    Other,
}

/// A file that is wrapped whole in `BEGIN; … COMMIT;`, freed of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrapping {
    /// The file with both statements and their semicolons overwritten with spaces, so the server's positions (in
    /// characters) stay true.
    pub unwrapped: String,
    /// The transaction modes of its `BEGIN`, such as `ISOLATION LEVEL SERIALIZABLE`, to go with ours; may be empty.
    pub modes: String,
}

/// Statements of a no-transaction file that succeed or fail together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What holds them together.
    pub kind: GroupKind,
    /// Their places among the file's statements; `BEGIN` and `COMMIT` are included.
    pub statements: Range<usize>,
}

/// What holds the statements of a group together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupKind {
    /// It is one statement.
    Single,
    /// They are a `BEGIN … COMMIT`.
    Transaction,
}

/// Transaction control in a no-transaction file that does not pair up.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unbalanced {
    /// Where the statement starts in the file, in bytes.
    pub start: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Unwraps a file that is wrapped whole in `BEGIN; … COMMIT;`. `None` where there is nothing to unwrap, or where more
/// transaction control stands in between.
#[must_use]
pub fn wrapping(sql: &str, statements: &[Statement<'_>]) -> Option<Wrapping> {
    let [begin, inner @ .., commit] = statements else { return None };
    if control(commit) != Some(Control::Commit) || inner.iter().any(|inner| control(inner).is_some()) {
        return None;
    }
    let modes = modes(begin)?;
    let mut unwrapped = String::with_capacity(sql.len());
    for statement in [begin, commit] {
        for token in &statement.tokens {
            blank(&mut unwrapped, sql, token.start..token.end());
        }
        if let Some(semicolon) = statement.semicolon {
            blank(&mut unwrapped, sql, semicolon..semicolon + 1);
        }
    }
    unwrapped.push_str(&sql[unwrapped.len()..]);
    Some(Wrapping { unwrapped, modes })
}

/// Copies up to the range, which must be ASCII, and writes spaces in its place. Only keywords and semicolons come here.
fn blank(unwrapped: &mut String, sql: &str, range: Range<usize>) {
    unwrapped.push_str(&sql[unwrapped.len()..range.start]);
    unwrapped.extend(range.map(|_| ' '));
}

/// What a statement does to the transaction around it, if anything.
#[must_use]
pub fn control(statement: &Statement<'_>) -> Option<Control> {
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

/// The modes of a `BEGIN`; `None` where the statement is none, or not one that we could write for the file.
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

/// The statements of a no-transaction file, each `BEGIN … COMMIT` taken as one.
///
/// # Errors
/// A `BEGIN` that no `COMMIT` follows, a `COMMIT` without one, or a statement that ends a transaction otherwise.
pub fn groups(statements: &[Statement<'_>]) -> Result<Vec<Group>, Unbalanced> {
    let mut groups = Vec::new();
    let mut open: Option<usize> = None;
    for (at, statement) in statements.iter().enumerate() {
        let unbalanced = |what| unbalanced(statement, what);
        match (control(statement), open) {
            (None | Some(Control::Prepared), None) => {
                groups.push(Group { kind: GroupKind::Single, statements: at..at + 1 });
            }
            (None, Some(_)) => {}
            (Some(Control::Begin), None) => open = Some(at),
            (Some(Control::Commit), Some(begin)) => {
                groups.push(Group { kind: GroupKind::Transaction, statements: begin..at + 1 });
                open = None;
            }
            (Some(Control::Commit), None) => return Err(unbalanced("has no `BEGIN` before it")),
            (Some(Control::Other), None) => return Err(unbalanced("ends a transaction, and none is open")),
            (Some(Control::Begin | Control::Prepared), Some(_)) => {
                return Err(unbalanced("stands inside a transaction that is still open"));
            }
            (Some(Control::Other), Some(_)) => {
                return Err(unbalanced("ends a transaction other than by `COMMIT`"));
            }
        }
    }
    match open {
        Some(begin) => Err(unbalanced(&statements[begin], "has no `COMMIT` after it")),
        None => Ok(groups),
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
        wrapping(sql, &statements(sql).unwrap())
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
            assert_eq!(found.unwrapped, unwrapped, "{sql}");
            assert_eq!(found.modes, modes, "{sql}");
            assert_eq!(found.unwrapped.chars().count(), sql.chars().count(), "{sql}");
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
    fn a_block_of_a_no_transaction_file_is_one_unit() {
        let cases = [
            ("", vec![]),
            ("a; b", vec![(GroupKind::Single, 0..1), (GroupKind::Single, 1..2)]),
            (
                "a; BEGIN; b; SAVEPOINT s; c; COMMIT; d; START TRANSACTION; END; ROLLBACK PREPARED 'x'",
                vec![
                    (GroupKind::Single, 0..1),
                    (GroupKind::Transaction, 1..6),
                    (GroupKind::Single, 6..7),
                    (GroupKind::Transaction, 7..9),
                    (GroupKind::Single, 9..10),
                ],
            ),
        ];
        for (sql, expected) in cases {
            let units = groups(&statements(sql).unwrap()).unwrap();
            let found: Vec<_> = units.into_iter().map(|unit| (unit.kind, unit.statements)).collect();
            assert_eq!(found, expected, "{sql}");
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
            let error = groups(&statements(sql).unwrap()).unwrap_err();
            assert_eq!((error.start, error.reason.as_str()), (start, reason), "{sql}");
        }
    }
}

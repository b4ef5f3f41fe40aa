//! Reads directives: settings for applying a file, in comments before its first statement.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::core::sql::lex::{Kind, Token, scan};
use crate::core::sql::position::position;
use crate::core::sql::strings::Strings;

/// sqlx checks for it at a file's first byte, and Corveil does the same, so that a folder means the same to both.
const NO_TRANSACTION: &str = "-- no-transaction";

/// Every directive of Corveil. A new one is a line here and a field of [`Directives`].
const KNOWN: [Known; 3] = [
    Known { name: "lock-timeout", example: "10s", read: |file, value| once(&mut file.lock_timeout, value) },
    Known {
        name: "statement-timeout",
        example: "30min",
        read: |file, value| once(&mut file.statement_timeout, value),
    },
    Known { name: "retries", example: "20", read: |file, value| once(&mut file.retries, value) },
];

struct Known {
    name: &'static str,
    example: &'static str,
    read: fn(&mut Directives, &str) -> Result<(), String>,
}

/// The directives of a file; the run has a default for each that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Directives {
    /// `-- no-transaction`: the file runs statement by statement, each committed by itself.
    pub(crate) no_transaction: bool,
    /// `-- corveil:lock-timeout 10s`: how long a statement waits for a lock.
    pub(crate) lock_timeout: Option<Timeout>,
    /// `-- corveil:statement-timeout 30min`: how long a statement runs.
    pub(crate) statement_timeout: Option<Timeout>,
    /// `-- corveil:retries 20`: how often the file is tried again after it was blocked by a lock.
    pub(crate) retries: Option<u32>,
}

/// A directive that is invalid, or in a place where it would have no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub(crate) struct DirectiveError {
    /// The line of the comment, from 1.
    pub(crate) line: usize,
    /// What is wrong with it.
    pub(crate) reason: String,
    pub(crate) hint: String,
}

/// Reads a file's directives; `strings` is how its session reads strings, in which nothing is a comment. Comments end where the
/// file breaks off inside a token; that is for the lexer to report.
///
/// # Errors
/// A `-- corveil:` comment that names no known directive, has a bad value, repeats another or follows the first statement,
/// and a `-- no-transaction` before the first statement that is not the file's first bytes.
pub(crate) fn parse(sql: &str, strings: Strings) -> Result<Directives, DirectiveError> {
    let mut directives =
        Directives { no_transaction: sql.starts_with(NO_TRANSACTION), ..Directives::default() };
    let mut leading = true;
    for token in scan(sql, strings).map_while(Result::ok) {
        if leading && token.kind != Kind::Comment {
            leading = false;
            if !may_have_more(&sql[token.start..]) {
                break;
            }
        }
        let Some(comment) = token.text.strip_prefix("--").filter(|_| token.kind == Kind::Comment) else {
            continue;
        };
        let error = |reason, hint| DirectiveError { line: position(sql, token.start).line, reason, hint };
        if leading && is_misplaced_no_transaction(&token, comment) {
            let reason =
                "`-- no-transaction` counts only as the file's first bytes, for sqlx and for corveil"
                    .to_owned();
            return Err(error(reason, "make it the first line, spelled exactly like this".to_owned()));
        }
        let Some(directive) = directive(comment) else { continue };
        if !leading {
            let reason = format!("`corveil:{directive}` stands after the first statement");
            return Err(error(reason, "move it to the top of the file".to_owned()));
        }
        directives.read(directive).map_err(|reason| error(reason, known()))?;
    }
    Ok(directives)
}

impl Directives {
    fn read(&mut self, directive: &str) -> Result<(), String> {
        let (name, value) = directive.split_once(char::is_whitespace).unwrap_or((directive, ""));
        let known = KNOWN.iter().find(|known| known.name == name);
        let known = known.ok_or_else(|| format!("there is no directive `corveil:{name}`"))?;
        (known.read)(self, value.trim()).map_err(|reason| format!("`corveil:{directive}`: {reason}"))
    }
}

/// Whether a directive may stand anywhere in a text. Few files have one after the first statement, and the others are not lexed
/// for it.
fn may_have_more(sql: &str) -> bool {
    sql.match_indices("--").any(|(at, dashes)| {
        let line = sql[at + dashes.len()..].split(['\n', '\r']).next();
        line.is_some_and(|line| directive(line).is_some())
    })
}

/// What follows `corveil:` in a comment. Spaces and case before the name are ignored, so that a small slip does not turn a
/// directive into a comment without effect.
fn directive(comment: &str) -> Option<&str> {
    let (prefix, directive) = comment.split_once(':')?;
    prefix.trim().eq_ignore_ascii_case("corveil").then(|| directive.trim())
}

fn is_misplaced_no_transaction(token: &Token<'_>, comment: &str) -> bool {
    let after = comment.trim_start().strip_prefix("no-transaction");
    let whole_word =
        after.is_some_and(|after| !after.starts_with(|char: char| char.is_alphanumeric() || char == '-'));
    whole_word && !(token.start == 0 && token.text.starts_with(NO_TRANSACTION))
}

fn known() -> String {
    let known = KNOWN.map(|known| format!("`-- corveil:{} {}`", known.name, known.example));
    format!("the directives are {}, and `{NO_TRANSACTION}` as the first line", known.join(", "))
}

/// Sets a directive's value, the first time.
fn once<T: FromStr<Err: fmt::Display>>(slot: &mut Option<T>, value: &str) -> Result<(), String> {
    let value = value.parse().map_err(|error: T::Err| error.to_string())?;
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err("it is given twice".to_owned()),
    }
}

/// A timeout as PostgreSQL has it: whole milliseconds, at most [`i32::MAX`] of them, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timeout {
    /// There is no limit: `none`, `0` or `0s`.
    Never,
    After(Duration),
}

/// Text that is no timeout.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum TimeoutError {
    /// It is not a duration.
    #[error("{0}; write a duration such as `500ms`, `10s`, `30min`, `1h`, or `none`")]
    Duration(#[from] humantime::DurationError),
    /// Rounding it down could turn it into 0, which means no limit.
    #[error("a timeout is a whole number of milliseconds")]
    Fraction,
    /// PostgreSQL would not take it.
    #[error("a timeout is at most 2147483647 ms (24 days); write `none` for no limit")]
    TooLong,
}

impl Timeout {
    /// The value for `lock_timeout` and `statement_timeout`, in milliseconds, where 0 is no limit.
    pub(crate) const fn as_millis(self) -> u128 {
        match self {
            Self::Never => 0,
            Self::After(limit) => limit.as_millis(),
        }
    }
}

impl FromStr for Timeout {
    type Err = TimeoutError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self::Never);
        }
        let limit = humantime::parse_duration(text)?;
        if limit.is_zero() {
            return Ok(Self::Never);
        }
        if limit.subsec_nanos() % 1_000_000 != 0 {
            return Err(TimeoutError::Fraction);
        }
        if limit.as_millis() > i32::MAX.unsigned_abs().into() {
            return Err(TimeoutError::TooLong);
        }
        Ok(Self::After(limit))
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("none"),
            Self::After(limit) => humantime::format_duration(*limit).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Timeout {
        Timeout::After(Duration::from_secs(seconds))
    }

    #[test]
    fn directives_are_read_from_leading_comments() {
        let none = Directives::default();
        let locks = Directives { lock_timeout: Some(seconds(10)), ..none };
        let cases = [
            ("", none),
            ("SELECT 1; -- no-transaction\n", none),
            ("-- no-transaction", Directives { no_transaction: true, ..none }),
            ("-- no-transaction: the index is large\nSELECT 1", Directives { no_transaction: true, ..none }),
            ("-- no-transactions in here\n", Directives { no_transaction: true, ..none }),
            ("-- why\n-- no-transactional state\n", none),
            ("-- corveil:lock-timeout 10s", locks),
            ("\n/* why; */\n--corveil: lock-timeout   10s \r\nSELECT 1", locks),
            ("-- Corveil:lock-timeout 10s\n;", locks),
            (
                "-- see corveil: it locks\n/* corveil:nonsense */ SELECT '-- corveil:x', $$\n-- corveil:y\n$$",
                none,
            ),
            (
                "-- no-transaction\n-- corveil:retries 20\n-- corveil:statement-timeout 30min\n-- corveil:lock-timeout none\n",
                Directives {
                    no_transaction: true,
                    lock_timeout: Some(Timeout::Never),
                    statement_timeout: Some(seconds(1800)),
                    retries: Some(20),
                },
            ),
            ("-- corveil:lock-timeout 10s\nSELECT 'never closed", locks),
        ];
        for (sql, expected) in cases {
            assert_eq!(parse(sql, Strings::Standard), Ok(expected), "{sql}");
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        let cases = [
            ("-- é\n-- corveil:lock-timeuot 10s", 2, "there is no directive `corveil:lock-timeuot`"),
            ("-- corveil:", 1, "there is no directive `corveil:`"),
            ("-- corveil:no-transaction", 1, "there is no directive `corveil:no-transaction`"),
            ("-- corveil:retries many", 1, "`corveil:retries many`: invalid digit found in string"),
            ("-- corveil:retries -1", 1, "`corveil:retries -1`: invalid digit found in string"),
            ("-- corveil:retries", 1, "`corveil:retries`: cannot parse integer from empty string"),
            ("-- corveil:retries 1\n\n-- corveil:retries 1", 3, "`corveil:retries 1`: it is given twice"),
            ("SELECT 1;\n-- corveil:retries 1", 2, "`corveil:retries 1` stands after the first statement"),
            ("SELECT 1\n --corveil:x\n;", 2, "`corveil:x` stands after the first statement"),
            (
                "-- corveil:lock-timeout 0.5ms",
                1,
                "`corveil:lock-timeout 0.5ms`: a timeout is a whole number of milliseconds",
            ),
        ];
        for (sql, line, reason) in cases {
            let error = parse(sql, Strings::Standard).expect_err(sql);
            assert_eq!((error.line, error.reason.as_str()), (line, reason), "{sql}");
        }
        assert_eq!(
            parse("-- corveil:x", Strings::Standard).unwrap_err().hint,
            "the directives are `-- corveil:lock-timeout 10s`, `-- corveil:statement-timeout 30min`, \
             `-- corveil:retries 20`, and `-- no-transaction` as the first line"
        );
    }

    #[test]
    fn a_no_transaction_that_sqlx_would_not_see_is_an_error() {
        let cases = [
            ("-- why\n-- no-transaction\nSELECT 1", 2),
            ("\n-- no-transaction", 2),
            ("--no-transaction\n", 1),
            (" -- no-transaction", 1),
            ("\u{feff}-- no-transaction", 1),
            ("-- no-transaction\n-- no-transaction, again", 2),
        ];
        for (sql, line) in cases {
            let error = parse(sql, Strings::Standard).expect_err(sql);
            assert_eq!(error.line, line, "{sql}");
            assert!(error.reason.contains("first bytes"), "{}", error.reason);
        }
    }

    #[test]
    fn timeouts_are_those_that_postgresql_takes() {
        let cases = [
            ("500ms", Some(Timeout::After(Duration::from_millis(500)))),
            ("1h", Some(seconds(3600))),
            ("1h 30min", Some(seconds(5400))),
            ("30min", Some(seconds(1800))),
            ("1m", Some(seconds(60))),
            ("0", Some(Timeout::Never)),
            ("0s", Some(Timeout::Never)),
            ("none", Some(Timeout::Never)),
            ("2147483647ms", Some(Timeout::After(Duration::from_millis(2_147_483_647)))),
            ("2147483648ms", None),
            ("999us", None),
            ("1500us", None),
            ("10", None),
            ("", None),
            ("-1s", None),
            ("ten seconds", None),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
        assert_eq!(Timeout::Never.as_millis(), 0);
        assert_eq!(seconds(2).as_millis(), 2000);
        assert_eq!(seconds(5400).to_string(), "1h 30m");
    }
}

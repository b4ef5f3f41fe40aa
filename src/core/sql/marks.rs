//! Finds the comments with which other migration tools divide a file into an up and a down migration.
//!
//! PostgreSQL runs such a file as a whole, and so both migrations. The forms are those that each tool's parser accepts, also
//! indented: a tool that requires the first column overlooks an indented mark, and runs both, too.

use crate::core::sql::lex::scan;
use crate::core::sql::position::position;
use crate::core::sql::strings::Strings;

/// A file that has both migrations, according to its marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TwoWays<'a> {
    /// The tool whose marks they are.
    pub(crate) tool: &'a str,
    pub(crate) first: Line<'a>,
    /// The mark of the down migration, unless it is the first one or missing.
    pub(crate) down: Option<Line<'a>>,
}

/// A line of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) number: usize,
    /// Its text without the spaces around it.
    pub(crate) text: &'a str,
}

/// A line that a tool takes for a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark<'a> {
    tool: &'a str,
    way: Way,
    /// Whether it is certainly a mark. Any other counts only if the file has a mark of the other direction too.
    certain: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

/// Each reads the marks of a tool, or of a family of tools, from a line without the spaces around it.
const TOOLS: [fn(&str) -> Option<Mark<'_>>; 11] = [
    goose_and_descendants,
    dbmate,
    tern,
    node_pg_migrate,
    rambler,
    mybatis_and_dbdeploy,
    php_database_migration,
    play,
    mojo,
    shmig,
    atlas,
];

/// The marks of a file, if it has any. What stands in a string, a dollar-quoted body or a block comment is none.
pub(crate) fn two_ways(sql: &str) -> Option<TwoWays<'_>> {
    let marks = outside_tokens(sql, marks(sql));
    let is_paired =
        |mark: &Mark<'_>| marks.iter().any(|(_, _, other)| other.tool == mark.tool && other.way != mark.way);
    let (start, text, mark) = marks.iter().find(|(_, _, mark)| mark.certain || is_paired(mark))?;
    let line = |start, text| Line { number: position(sql, start).line, text };
    let down = marks.iter().find(|(_, _, other)| other.tool == mark.tool && other.way == Way::Down);
    Some(TwoWays {
        tool: mark.tool,
        first: line(*start, text),
        down: down.filter(|(at, ..)| at != start).map(|(at, text, _)| line(*at, text)),
    })
}

/// Lines that could be marks: where each starts in bytes, its text, and what it marks.
fn marks(sql: &str) -> Vec<(usize, &str, Mark<'_>)> {
    const COMMENTS: [&str; 3] = ["--", "#", "//"];
    if !COMMENTS.iter().any(|comment| sql.contains(comment)) {
        return Vec::new();
    }
    let mut at = 0;
    let mut marks = Vec::new();
    for line in sql.split_inclusive(['\n', '\r']) {
        let text = line.trim();
        if COMMENTS.iter().any(|comment| text.starts_with(comment)) {
            let start = at + (line.len() - line.trim_start().len());
            marks.extend(TOOLS.iter().find_map(|read| read(text)).map(|mark| (start, text, mark)));
        }
        at += line.len();
    }
    marks
}

/// Leaves out what starts inside a token. Lexing is for the few files that have a candidate.
fn outside_tokens<'a>(
    sql: &str,
    mut marks: Vec<(usize, &'a str, Mark<'a>)>,
) -> Vec<(usize, &'a str, Mark<'a>)> {
    if marks.is_empty() {
        return marks;
    }
    let spans = scan(sql, Strings::Standard).map(|token| match token {
        Ok(token) => (token.start, token.end()),
        Err(unterminated) => (unterminated.start, sql.len()),
    });
    let mut spans = spans.peekable();
    marks.retain(|(start, ..)| {
        while spans.next_if(|(_, end)| end <= start).is_some() {}
        spans.peek().is_none_or(|(token, _)| token >= start)
    });
    marks
}

/// What follows the dashes of a line comment.
fn comment(line: &str) -> Option<&str> {
    line.strip_prefix("--").map(str::trim_start)
}

fn up_or_down(word: &str) -> Option<Way> {
    match word.to_ascii_lowercase().as_str() {
        "up" => Some(Way::Up),
        "down" => Some(Way::Down),
        _ => None,
    }
}

/// `-- +goose Up`, `-- +migrate Up notransaction`, `-- +micrate Down`, `-- +mig Up`, and of other tools that follow goose.
///
/// goose minds no case (<https://pressly.github.io/goose/documentation/annotations/>), sql-migrate takes options
/// (<https://github.com/rubenv/sql-migrate#writing-migrations>), micrate neither
/// (<https://github.com/amberframework/micrate#creating-and-running-migrations>).
fn goose_and_descendants(line: &str) -> Option<Mark<'_>> {
    let mut words = comment(line)?.strip_prefix('+')?.split_whitespace();
    let (word, way) = (words.next()?, up_or_down(words.next()?)?);
    let tool = if word == "migrate" { "sql-migrate" } else { word };
    let is_word = word.starts_with(char::is_alphabetic);
    (is_word && (tool == "sql-migrate" || words.next().is_none())).then_some(Mark {
        tool,
        way,
        certain: true,
    })
}

/// `-- migrate:up transaction:false` (<https://github.com/amacneil/dbmate#creating-migrations>); migretti, which follows it,
/// has a space after the colon.
fn dbmate(line: &str) -> Option<Mark<'_>> {
    let rest = comment(line)?.strip_prefix("migrate:")?;
    let tool = if rest.starts_with(' ') { "migretti" } else { "dbmate" };
    let way = match rest.split_whitespace().next()? {
        "up" => Way::Up,
        "down" => Way::Down,
        _ => return None,
    };
    Some(Mark { tool, way, certain: true })
}

/// `---- create above / drop below ----` (<https://github.com/jackc/tern#migrations>), wherever it is in the line.
fn tern(line: &str) -> Option<Mark<'_>> {
    let is_mark = line.starts_with("--") && line.contains("---- create above / drop below ----");
    is_mark.then_some(Mark { tool: "tern", way: Way::Down, certain: true })
}

/// `-- Up Migration` and `-- Down Migration` in any case (<https://salsita.github.io/node-pg-migrate/migrations/>). More
/// may follow, as it does in a sentence that begins so.
fn node_pg_migrate(line: &str) -> Option<Mark<'_>> {
    let text = comment(line)?.trim_start_matches(|c: char| c == '-' || c.is_whitespace());
    let (word, rest) = text.split_once(char::is_whitespace)?;
    let (way, rest) = (up_or_down(word)?, rest.trim_start());
    let noun = "migration";
    rest.get(..noun.len()).filter(|start| start.eq_ignore_ascii_case(noun))?;
    let certain = !rest[noun.len()..].contains(char::is_alphanumeric);
    Some(Mark { tool: "node-pg-migrate", way, certain })
}

/// `-- rambler up` (<https://github.com/elwinar/rambler#migrations>).
fn rambler(line: &str) -> Option<Mark<'_>> {
    let way = match line.strip_prefix("-- rambler")?.trim() {
        "up" => Way::Up,
        "down" => Way::Down,
        _ => return None,
    };
    Some(Mark { tool: "rambler", way, certain: true })
}

/// `-- //@UNDO` (<https://mybatis.org/migrations/new.html>), which is dbdeploy's `--//@UNDO` and that of Phing. The way up
/// has no mark.
fn mybatis_and_dbdeploy(line: &str) -> Option<Mark<'_>> {
    let text = comment(line).unwrap_or(line).strip_prefix("//")?;
    text.contains("@UNDO").then_some(Mark { tool: "MyBatis", way: Way::Down, certain: true })
}

/// `-- @UNDO` (<https://github.com/alwex/php-database-migration#create-a-migration>).
fn php_database_migration(line: &str) -> Option<Mark<'_>> {
    let is_mark = comment(line)? == "@UNDO";
    is_mark.then_some(Mark { tool: "php-database-migration", way: Way::Down, certain: true })
}

/// `# --- !Ups` or `-- !Downs` (<https://www.playframework.com/documentation/latest/Evolutions>), with any other text in the
/// line.
fn play(line: &str) -> Option<Mark<'_>> {
    let text = line.strip_prefix('#').or_else(|| line.strip_prefix("--"))?;
    let (_, word) = text.split_once('!')?;
    let way = match word.split(|c: char| !c.is_alphanumeric()).next()? {
        "Ups" => Way::Up,
        "Downs" => Way::Down,
        _ => return None,
    };
    Some(Mark { tool: "Play", way, certain: true })
}

/// `-- 1 up` and `-- 1 down`, of `Mojo::Pg` (<https://metacpan.org/pod/Mojo::Pg::Migrations>) and tools that follow it. More
/// may follow.
fn mojo(line: &str) -> Option<Mark<'_>> {
    let text = comment(line)?;
    let after_number = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let mut words = after_number.split_whitespace();
    let way = up_or_down(words.next().filter(|_| after_number.len() < text.len())?)?;
    Some(Mark { tool: "Mojo::Pg", way, certain: words.next().is_none() })
}

/// `-- ====  UP  ====` and `-- ==== DOWN ====` (<https://github.com/mbucc/shmig#idea>). A file has both, and one of them
/// alone may be an ornament.
fn shmig(line: &str) -> Option<Mark<'_>> {
    let way = match comment(line)? {
        "====  UP  ====" => Way::Up,
        "==== DOWN ====" => Way::Down,
        _ => return None,
    };
    Some(Mark { tool: "shmig", way, certain: false })
}

/// `-- atlas:txtar` and the section `-- down.sql --` (<https://atlasgo.io/versioned/down>). Without that section the file
/// has one way.
fn atlas(line: &str) -> Option<Mark<'_>> {
    let way = match line {
        "-- atlas:txtar" => Way::Up,
        "-- down.sql --" => Way::Down,
        _ => return None,
    };
    Some(Mark { tool: "Atlas", way, certain: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tool, the lines that are named, and nothing for a file that is one way.
    fn named(sql: &str) -> Option<(&str, usize, Option<usize>)> {
        two_ways(sql).map(|found| (found.tool, found.first.number, found.down.map(|line| line.number)))
    }

    #[test]
    fn each_tool_is_known_by_its_own_marks() {
        let both = [
            ("goose", "-- +goose Up", "-- +goose Down"),
            ("goose", "--+goose up", "--   +goose DOWN"),
            ("goose", "-- +goose Up\n-- +goose StatementBegin", "-- +goose StatementEnd\n-- +goose Down"),
            ("sql-migrate", "-- +migrate Up", "-- +migrate Down"),
            ("sql-migrate", "-- +migrate Up notransaction", "-- +migrate Down notransaction"),
            ("micrate", "-- +micrate Up", "-- +micrate Down"),
            ("mig", "-- +mig Up", "-- +mig Down"),
            ("dbmate", "-- migrate:up", "-- migrate:down"),
            ("dbmate", "--migrate:up transaction:false", "-- migrate:down transaction:false"),
            ("migretti", "-- migrate: up", "-- migrate: down"),
            ("node-pg-migrate", "-- Up Migration", "-- Down Migration"),
            ("node-pg-migrate", "-- up  migration --", "---- DOWN MIGRATION ----"),
            ("node-pg-migrate", "-- Up Migration: users", "-- Down Migration of users"),
            ("rambler", "-- rambler up", "-- rambler down"),
            ("Play", "# --- !Ups", "# --- !Downs"),
            ("Play", "-- !Ups", "-- !Downs"),
            ("Play", "# Users schema !Ups here", "--- !Downs"),
            ("Mojo::Pg", "-- 1 up", "-- 1 down"),
            ("Mojo::Pg", "--1 UP (users)", "-- 1 down (all of it)"),
            ("shmig", "-- ====  UP  ====", "-- ==== DOWN ===="),
            ("Atlas", "-- atlas:txtar\n\n-- migration.sql --", "-- down.sql --"),
        ];
        for (tool, up, down) in both {
            let sql = format!("\n{up}\nCREATE TABLE t ();\n{down}\nDROP TABLE t;\n");
            let at = 1 + sql.lines().position(|line| line == down.lines().last().unwrap()).unwrap();
            assert_eq!(named(&sql), Some((tool, 2, Some(at))), "{sql}");
            let indented = format!("\t{up}\r\nCREATE TABLE t ()\r\n  {down}\r\nDROP TABLE t\r\n");
            assert_eq!(named(&indented).map(|(tool, ..)| tool), Some(tool), "{indented}");
        }
        for (tool, down) in [
            ("tern", "---- create above / drop below ----"),
            ("tern", "-- users ---- create above / drop below ----"),
            ("MyBatis", "-- //@UNDO"),
            ("MyBatis", "--//@UNDO"),
            ("MyBatis", "-- // @UNDO users"),
            ("MyBatis", "// @UNDO"),
            ("php-database-migration", "-- @UNDO"),
        ] {
            let sql = format!("-- // users\nCREATE TABLE t ();\n{down}\nDROP TABLE t;");
            assert_eq!(named(&sql), Some((tool, 3, None)), "{sql}");
        }
    }

    #[test]
    fn one_mark_is_enough_where_it_can_be_nothing_else() {
        for (line, tool) in [
            ("-- +goose Up", Some("goose")),
            ("-- migrate:up", Some("dbmate")),
            ("-- +migrate Down", Some("sql-migrate")),
            ("-- Up Migration", Some("node-pg-migrate")),
            ("-- rambler down", Some("rambler")),
            ("-- !Ups", Some("Play")),
            ("-- 2 up", Some("Mojo::Pg")),
            ("-- Down migrations are in 1_users.down.sql", None),
            ("-- 2 down, 3 to go", None),
            ("-- ==== DOWN ====", None),
            ("-- atlas:txtar", None),
            ("-- down.sql --", None),
        ] {
            let sql = format!("{line}\nCREATE TABLE t ()");
            assert_eq!(named(&sql).map(|(tool, ..)| tool), tool, "{sql}");
        }
    }

    #[test]
    fn ordinary_comments_are_no_marks() {
        for line in [
            "-- up",
            "-- Up",
            "-- UP\nSELECT 1;\n-- DOWN",
            "-- ===== UP =====\n-- ===== DOWN =====",
            "-- this is what goose calls -- +goose Up",
            "-- see +goose Down",
            "-- +goose",
            "-- +goose Up and away",
            "-- +goose StatementBegin",
            "-- +1 up",
            "-- ++ up",
            "-- migrate:upload",
            "-- migrate:up-to-date",
            "-- migrate the users up",
            "-- rambler upgrade",
            "-- ramblers go up",
            "-- create above / drop below",
            "-- an up migration",
            "-- Down migratory birds",
            "-- UNDO",
            "-- @UNDO: how to roll back",
            "-- undo //",
            "-- Ups and Downs",
            "-- !Upstream",
            "-- 1 upper bound",
            "-- up 1",
            "-- rollback",
            "--rollback DROP TABLE t",
            "--liquibase formatted sql",
            "--> statement-breakpoint",
            "SELECT 1; -- +goose Up",
            "SELECT 1 -- migrate:down",
        ] {
            assert_eq!(named(&format!("{line}\nCREATE TABLE t ()")), None, "{line}");
        }
    }

    #[test]
    fn what_is_inside_a_token_is_no_mark() {
        for around in [
            ("SELECT '", "'"),
            ("SELECT E'\\'", "'"),
            ("SELECT \"", "\""),
            ("DO $$ BEGIN", "END $$"),
            ("CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $f$ SELECT '", "' $f$"),
            ("/*", "*/"),
            ("/* /* */", "*/"),
            ("SELECT 'never closed", ""),
        ] {
            let sql = format!("{}\n-- +goose Up\n-- migrate:down\n{};\nSELECT 1;", around.0, around.1);
            assert_eq!(named(&sql), None, "{sql}");
        }
        let after = "SELECT '\n-- +goose Up\n';\n  -- +goose Down\nDROP TABLE t";
        assert_eq!(named(after), Some(("goose", 4, None)));
    }

    #[test]
    fn marks_of_two_tools_make_no_pair() {
        assert_eq!(named("-- ====  UP  ====\n-- down.sql --"), None);
        assert_eq!(named("-- 1 up, as planned\n-- migrate:down"), Some(("dbmate", 2, None)));
    }
}

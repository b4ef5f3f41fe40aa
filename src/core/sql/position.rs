//! Positions in a file: in bytes as in Rust, in characters as on the server, in lines and columns as in an editor.

use crate::error::failure::Position;

/// The line and column of a byte offset. An offset inside a character is that character's, one past the end is the end's.
pub(crate) fn position(sql: &str, byte: usize) -> Position {
    let before = &sql[..sql.floor_char_boundary(byte)];
    let line = before.rsplit('\n').next().unwrap_or(before);
    Position { line: 1 + newlines(before.as_bytes()), column: 1 + line.chars().count() }
}

/// The lines of offsets that come in the order of the file: it is read once, however many there are.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    sql: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    /// Starts at the file's first line.
    pub(crate) const fn new(sql: &'a str) -> Self {
        Self { sql, at: 0, line: 1 }
    }

    /// The line of a byte offset, from 1. One before the last costs another reading.
    pub(crate) fn of(&mut self, byte: usize) -> usize {
        let byte = byte.min(self.sql.len());
        if byte < self.at {
            *self = Self::new(self.sql);
        }
        self.line += newlines(&self.sql.as_bytes()[self.at..byte]);
        self.at = byte;
        self.line
    }
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.iter().map(|byte| usize::from(*byte == b'\n')).sum()
}

/// The byte offset of a character, counted from 1 as in the `P` field of the server's errors. Past the end it is the end.
pub(crate) fn byte_of_char(sql: &str, chars: usize) -> usize {
    sql.char_indices().nth(chars.saturating_sub(1)).map_or(sql.len(), |(byte, _)| byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let sql = "-- é漢\r\nselect 'ß' x;\n";
        let cases = [
            (0, (1, 1)),
            (3, (1, 4)),
            (4, (1, 4)),
            (5, (1, 5)),
            (10, (2, 1)),
            (sql.find('x').unwrap(), (2, 12)),
            (sql.len(), (3, 1)),
            (sql.len() + 9, (3, 1)),
        ];
        for (byte, (line, column)) in cases {
            assert_eq!(position(sql, byte), Position { line, column }, "byte {byte}");
        }
    }

    #[test]
    fn lines_are_those_of_positions_in_any_order() {
        let sql = "é\n\nb\r\nc";
        let mut lines = Lines::new(sql);
        for byte in (0..sql.len() + 3).chain([0, 3, 2, sql.len()]) {
            assert_eq!(lines.of(byte), position(sql, byte).line, "byte {byte}");
        }
    }

    #[test]
    fn the_servers_characters_become_bytes() {
        let sql = "é漢x";
        let bytes: Vec<_> = (0..6).map(|chars| byte_of_char(sql, chars)).collect();
        assert_eq!(bytes, [0, 0, 2, 5, 6, 6]);
    }
}

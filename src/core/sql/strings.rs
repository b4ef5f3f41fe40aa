//! How the server reads backslashes in plain strings: `standard_conforming_strings`, from the session or from the file itself.

use crate::core::sql::reader::Reader;
use crate::core::sql::search_path::set_config;
use crate::core::sql::split::Statement;

const SETTING: &str = "standard_conforming_strings";

/// What a backslash means in a plain string.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Strings {
    /// Itself, by default since PostgreSQL 9.1: the setting is `on`.
    #[default]
    Standard,
    /// That the character after it is another, as in `E''`: the setting is `off`.
    Escapes,
}

impl Strings {
    /// The value of the setting. A server without the setting has one meaning only, the standard one.
    pub(crate) fn from_setting(value: Option<&str>) -> Self {
        if value == Some("off") { Self::Escapes } else { Self::Standard }
    }

    /// The value of the setting that means this.
    pub(crate) const fn setting(self) -> (&'static str, &'static str) {
        match self {
            Self::Standard => (SETTING, "on"),
            Self::Escapes => (SETTING, "off"),
        }
    }

    /// How strings are read after a statement that was read so, in a session that began with `initial`. A rollback that
    /// undoes the setting is not followed: no file has a reason for one.
    pub(super) fn after(self, statement: &Statement<'_>, initial: Self) -> Self {
        let mut reader = Reader::new(statement);
        if reader.eat(&["reset", SETTING]) || reader.eat(&["reset", "all"]) {
            return initial;
        }
        if reader.eat(&["set"]) {
            reader.eat_any(&["session", "local"]);
            if !reader.eat(&[SETTING]) {
                return self;
            }
            // `TO` or `=`.
            reader.next();
            let Some(value) = reader.next() else { return self };
            let text = value.string().or_else(|| value.name()).unwrap_or_else(|| value.text.to_owned());
            return if value.is("default") { initial } else { self.set(&text) };
        }
        match set_config(statement) {
            Some(call) if call.sets(SETTING) => call.value.map_or(self, |value| self.set(&value)),
            _ => self,
        }
    }

    /// The server takes every unambiguous beginning of a boolean's names (`parse_bool_with_len`).
    fn set(self, value: &str) -> Self {
        let value = value.to_ascii_lowercase();
        let is = |name: &str, shortest: usize| value.len() >= shortest && name.starts_with(&value);
        if is("on", 2) || is("true", 1) || is("yes", 1) || is("1", 1) {
            Self::Standard
        } else if is("off", 2) || is("false", 1) || is("no", 1) || is("0", 1) {
            Self::Escapes
        } else {
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::sql::split::statements;

    #[test]
    fn the_setting_is_followed() {
        use Strings::{Escapes, Standard};
        let cases = [
            ("SET standard_conforming_strings = off", Escapes),
            ("set session Standard_Conforming_Strings to 'OFF'", Escapes),
            ("SET LOCAL standard_conforming_strings = 0", Escapes),
            ("SET standard_conforming_strings TO f", Escapes),
            ("SELECT pg_catalog.set_config('standard_conforming_strings', 'off', false)", Escapes),
            ("SET standard_conforming_strings = on", Standard),
            ("SET standard_conforming_strings = yes", Standard),
            ("SET standard_conforming_strings = 1", Standard),
            ("SET standard_conforming_strings = o", Standard),
            ("SET standard_conforming_strings", Standard),
            ("SET backslash_quote = off", Standard),
            ("SELECT set_config('backslash_quote', 'off', false)", Standard),
        ];
        for (sql, expected) in cases {
            assert_eq!(Standard.after(&statements(sql).unwrap()[0], Standard), expected, "{sql}");
        }
        for sql in
            ["RESET ALL", "RESET standard_conforming_strings", "SET standard_conforming_strings = DEFAULT"]
        {
            let statement = &statements(sql).unwrap()[0];
            assert_eq!(Standard.after(statement, Escapes), Escapes, "{sql}");
            assert_eq!(Escapes.after(statement, Standard), Standard, "{sql}");
        }
    }
}

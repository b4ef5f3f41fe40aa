//! The names that the server generates where none is given.

use crate::core::sql::quote::NAME_BYTES;

/// The parts of a generated name: `ChooseConstraintName`, `ChooseIndexName` and `ChooseRelationName` in the server's
/// sources put the same three parts together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GeneratedName<'a> {
    pub(crate) table: &'a str,
    /// The columns' names; none where the server leaves them out.
    pub(crate) columns: &'a [String],
    pub(crate) label: &'a str,
}

impl GeneratedName<'_> {
    /// Whether the server would have generated this name. It adds a number when the first choice is taken.
    pub(crate) fn by_server(self, name: &str) -> bool {
        let number = &name[name.trim_end_matches(|c: char| c.is_ascii_digit()).len()..];
        // A label or a table may also end in digits.
        (0..=number.len())
            .map(|skipped| &number[skipped..])
            .any(|number| !number.starts_with('0') && self.with(number) == name)
    }

    /// The name that the server tries first.
    pub(crate) fn first(self) -> String {
        self.with("")
    }

    fn with(self, number: &str) -> String {
        let columns = joined(self.columns);
        let label = format!("{}{number}", self.label);
        let (mut table, mut middle) = (self.table, columns.as_str());
        let overhead = label.len() + 1 + usize::from(!middle.is_empty());
        let (mut first, mut second) = (table.len(), middle.len());
        // The longer one gives way, a byte at a time; then neither is cut within a character.
        while first + second + overhead > NAME_BYTES {
            if first > second { first -= 1 } else { second -= 1 }
        }
        table = &table[..table.floor_char_boundary(first)];
        middle = &middle[..middle.floor_char_boundary(second)];
        if middle.is_empty() { format!("{table}_{label}") } else { format!("{table}_{middle}_{label}") }
    }
}

/// `ChooseIndexNameAddition`: no further column once the names are too long anyway.
fn joined(columns: &[String]) -> String {
    let mut joined = String::new();
    for column in columns {
        if !joined.is_empty() {
            joined.push('_');
        }
        joined += column;
        if joined.len() > NAME_BYTES {
            break;
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_generated(table: &str, columns: &[&str], label: &str, name: &str) -> bool {
        let columns: Vec<_> = columns.iter().map(|&column| column.to_owned()).collect();
        GeneratedName { table, columns: &columns, label }.by_server(name)
    }

    #[test]
    fn names_that_the_server_makes_are_known() {
        let long = "a_table_with_a_name_that_is_nearly_as_long_as_names_may_be_63b";
        for (table, columns, label, name) in [
            ("users", &[][..], "pkey", "users_pkey"),
            ("users", &["email"], "key", "users_email_key"),
            ("users", &["email"], "key", "users_email_key1"),
            ("users", &["email"], "key", "users_email_key12"),
            ("users", &["a", "b"], "fkey", "users_a_b_fkey"),
            ("t1", &["c2"], "idx", "t1_c2_idx"),
            (long, &["id"], "seq", "a_table_with_a_name_that_is_nearly_as_long_as_names_may__id_seq"),
            ("Größe", &["é"], "check", "Größe_é_check"),
        ] {
            assert!(is_generated(table, columns, label, name), "{name}");
        }
        for name in ["users_pk", "users_email_key0", "users_mail_key", "users_email_key_1", "email"] {
            assert!(!is_generated("users", &["email"], "key", name), "{name}");
        }
    }
}

//! Names that the server makes where none is given, and names that it quotes in one version and not in another.

use crate::core::sql::lex::{Kind, scan};

/// PostgreSQL keeps this many bytes of a name (`NAMEDATALEN - 1`).
const NAME_BYTES: usize = 63;

/// What a name would be made from: `ChooseConstraintName`, `ChooseIndexName` and `ChooseRelationName` in the server's
/// sources put the same three parts together.
#[derive(Debug, Clone, Copy)]
pub struct Made<'a> {
    /// The table's name.
    pub table: &'a str,
    /// The columns' names; none where the server leaves them out.
    pub columns: &'a [String],
    /// What it is.
    pub label: &'a str,
}

impl Made<'_> {
    /// Whether the server would have made this name, if only because the first choice was taken: then it counts.
    #[must_use]
    pub fn by_server(self, name: &str) -> bool {
        let number = &name[name.trim_end_matches(|c: char| c.is_ascii_digit()).len()..];
        // A label or a table may end in digits itself.
        (0..=number.len())
            .map(|skipped| &number[skipped..])
            .any(|number| !number.starts_with('0') && self.with(number) == name)
    }

    /// The name that the server tries first.
    #[must_use]
    pub fn first(self) -> String {
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

/// Words that became keywords after PostgreSQL 14 and may be names without quotes all the same. Newer servers quote them.
const NEW_KEYWORDS: [&str; 12] = [
    "json",
    "json_array",
    "json_arrayagg",
    "json_exists",
    "json_object",
    "json_objectagg",
    "json_query",
    "json_scalar",
    "json_serialize",
    "json_table",
    "json_value",
    "merge_action",
];

/// A word that is no name without quotes since PostgreSQL 16, which prints what it then means in capitals.
const NEW_RESERVED: &str = "system_user";

/// SQL in which names are quoted the same way, whichever server wrote it.
#[must_use]
pub fn plain(sql: &str) -> String {
    if !sql.contains(NEW_RESERVED) && !NEW_KEYWORDS.iter().any(|word| sql.contains(&format!("\"{word}\""))) {
        return sql.to_owned();
    }
    let mut plain = String::with_capacity(sql.len());
    let mut done = 0;
    for token in scan(sql).map_while(Result::ok) {
        let name = match token.kind {
            Kind::Quoted => Some(token.text.trim_matches('"')).filter(|word| NEW_KEYWORDS.contains(word)),
            Kind::Word => (token.text == NEW_RESERVED).then_some("\"system_user\""),
            _ => None,
        };
        if let Some(name) = name {
            plain += &sql[done..token.start];
            plain += name;
            done = token.end();
        }
    }
    plain + &sql[done..]
}

/// A name as a statement needs it: quoted only where it has to be, as the server prints it.
#[must_use]
pub fn quoted(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    // Words are left to the server, which prints most of what is here; ours are made from names and labels.
    if is_plain { name.to_owned() } else { crate::core::sql::quote::ident(name) }
}

/// A name as it is, from how it is written.
#[must_use]
pub fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => name.to_owned(),
    }
}

/// The schema and the rest of a qualified name, as they are written.
#[must_use]
pub fn split(name: &str) -> (&str, &str) {
    let mut in_quotes = false;
    for (at, c) in name.char_indices() {
        match c {
            '"' => in_quotes = !in_quotes,
            '.' if !in_quotes => return (&name[..at], &name[at + 1..]),
            _ => {}
        }
    }
    ("", name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(table: &str, columns: &[&str], label: &str, name: &str) -> bool {
        let columns: Vec<_> = columns.iter().map(|&column| column.to_owned()).collect();
        Made { table, columns: &columns, label }.by_server(name)
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
            assert!(made(table, columns, label, name), "{name}");
        }
        for name in ["users_pk", "users_email_key0", "users_mail_key", "users_email_key_1", "email"] {
            assert!(!made("users", &["email"], "key", name), "{name}");
        }
    }

    #[test]
    fn names_are_quoted_the_same_way_whichever_server_wrote_them() {
        assert_eq!(
            plain(r#"(("json" IS NOT NULL) AND ("Json" = '"json"'))"#),
            r#"((json IS NOT NULL) AND ("Json" = '"json"'))"#
        );
        for sql in [r#""order""#, r#"("system_user" = SYSTEM_USER)"#, "'system_user'"] {
            assert_eq!(plain(sql), sql);
        }
        assert_eq!(plain("(system_user > 1)"), r#"("system_user" > 1)"#);
    }

    #[test]
    fn qualified_names_are_split_outside_quotes() {
        assert_eq!(split("public.users"), ("public", "users"));
        assert_eq!(split(r#""a.b"."c.d""#), (r#""a.b""#, r#""c.d""#));
        assert_eq!(unquoted(r#""we""ird""#), "we\"ird");
        assert_eq!((quoted("users_1"), quoted("Users")), ("users_1".into(), "\"Users\"".into()));
    }
}

//! Names as SQL writes them, the same whichever server wrote it: what is quoted differs from version to version.

use crate::core::sql::lex::{Kind, scan};
use crate::core::sql::quote::ident;
use crate::core::sql::strings::Strings;

/// Words that are no name without quotes in some place, in PostgreSQL 14: all of `pg_get_keywords()` but the unreserved. Sorted.
const KEYWORDS: [&str; 151] = [
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

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
pub fn plain(sql: &str) -> String {
    if !sql.contains(NEW_RESERVED) && !NEW_KEYWORDS.iter().any(|word| sql.contains(&format!("\"{word}\""))) {
        return sql.to_owned();
    }
    let mut plain = String::with_capacity(sql.len());
    let mut done = 0;
    for token in scan(sql, Strings::Standard).map_while(Result::ok) {
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
pub fn quoted(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_plain && KEYWORDS.binary_search(&name).is_err() && name != NEW_RESERVED {
        name.to_owned()
    } else {
        ident(name)
    }
}

/// A name as it is, from how it is written.
pub(crate) fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => name.to_owned(),
    }
}

/// The schema and the rest of a qualified name, as they are written.
pub(crate) fn split(name: &str) -> (&str, &str) {
    split_once(name, '.').unwrap_or(("", name))
}

/// The text before and after the first of these characters outside quoted names.
pub(super) fn split_once(text: &str, separator: char) -> Option<(&str, &str)> {
    let mut in_quotes = false;
    let at = text.find(|c: char| {
        in_quotes ^= c == '"';
        c == separator && !in_quotes
    })?;
    Some((&text[..at], &text[at + separator.len_utf8()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!((quoted("user"), quoted("json")), ("\"user\"".into(), "json".into()));
        assert!(KEYWORDS.is_sorted());
    }
}

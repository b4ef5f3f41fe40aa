//! Whether two prints of a query are of the same query.

use crate::core::sql::lex::{Kind, Token, tokens};

/// Whether two servers printed the same query.
///
/// Up to PostgreSQL 15 the columns of a view of one table are printed as `users.id`, from 16 on as `id`. So where a query
/// reads one thing alone, the name of that thing before a column has no meaning.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one == other || matches!((words(one), words(other)), (Some(one), Some(other)) if one == other)
}

/// The tokens of a query, without the name of the only thing that it reads.
fn words(query: &str) -> Option<Vec<&str>> {
    let tokens = tokens(query).ok()?;
    let alias = only_source(&tokens);
    let mut words = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let is_prefix = alias == Some(token.text)
            && tokens.get(at + 1).is_some_and(|dot| dot.kind == Kind::Dot)
            && (at == 0 || tokens[at - 1].kind != Kind::Dot);
        if is_prefix {
            at += 2;
            continue;
        }
        words.push(token.text);
        at += 1;
    }
    Some(words)
}

/// What the one source of a query is called in it; nothing where there are several, or none.
fn only_source<'a>(tokens: &[Token<'a>]) -> Option<&'a str> {
    const ENDS: [&str; 12] = [
        "where",
        "group",
        "having",
        "window",
        "order",
        "limit",
        "offset",
        "fetch",
        "for",
        "union",
        "intersect",
        "except",
    ];
    let mut depth = 0_usize;
    let mut source = None;
    let mut in_from = false;
    for token in tokens {
        match token.kind {
            Kind::OpenParen => depth += 1,
            Kind::CloseParen => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            Kind::Comma if in_from => return None,
            Kind::Word if token.is("union") || token.is("intersect") || token.is("except") => return None,
            Kind::Word if token.is("from") => in_from = true,
            Kind::Word if in_from && token.is("join") => return None,
            Kind::Word if in_from && ENDS.iter().any(|end| token.is(end)) => in_from = false,
            // The last name before the end is the alias, or the table's own.
            Kind::Word | Kind::Quoted if in_from => source = Some(token.text),
            _ => {}
        }
    }
    source
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_source_may_be_named_or_not() {
        for (one, other) in [
            (
                "SELECT users.id FROM public.users WHERE users.id > 1",
                "SELECT id\n   FROM public.users\n  WHERE id > 1",
            ),
            (
                "SELECT u.id, (SELECT max(o.x) FROM o WHERE o.id = u.id) FROM app.users u",
                "SELECT id, (SELECT max(o.x) FROM o WHERE o.id = u.id) FROM app.users u",
            ),
            ("SELECT \"U\".a FROM \"U\"", "SELECT a FROM \"U\""),
        ] {
            assert!(is_same(one, other), "{one}");
        }
    }

    #[test]
    fn everything_else_has_to_be_equal() {
        for (one, other) in [
            ("SELECT a.id FROM a JOIN b ON true", "SELECT b.id FROM a JOIN b ON true"),
            ("SELECT a.id FROM a, b", "SELECT id FROM a, b"),
            ("SELECT id FROM a WHERE x = 'a.b'", "SELECT id FROM a WHERE x = 'b'"),
            ("SELECT id FROM a", "SELECT ID FROM a"),
            ("SELECT a.id FROM a UNION SELECT a.x FROM b a", "SELECT id FROM a UNION SELECT x FROM b a"),
        ] {
            assert!(!is_same(one, other), "{one}");
        }
    }
}

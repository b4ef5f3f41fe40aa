//! Reads keywords and names at the start of a statement.

use crate::core::sql::lex::{Kind, Token};
use crate::core::sql::parens::Parens;
use crate::core::sql::split::Statement;

/// A name with or without its schema, as the catalog stores both.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct QualifiedName {
    /// The schema, if the SQL names one.
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
}

/// Whether a list of tokens starts with these keywords.
pub(super) fn starts_with(tokens: &[Token<'_>], keywords: &[&str]) -> bool {
    tokens.len() >= keywords.len() && tokens.iter().zip(keywords).all(|(token, keyword)| token.is(keyword))
}

/// A place within the tokens of a statement. A copy of it reads ahead.
#[derive(Clone, Copy)]
pub(super) struct Reader<'s, 'a> {
    tokens: &'s [Token<'a>],
    at: usize,
}

impl<'s, 'a> Reader<'s, 'a> {
    pub(super) fn new(statement: &'s Statement<'a>) -> Self {
        Self::of(&statement.tokens)
    }

    /// Reads tokens that are not a whole statement of a file.
    pub(super) fn of(tokens: &'s [Token<'a>]) -> Self {
        Self { tokens, at: 0 }
    }

    pub(super) fn rest(&self) -> &'s [Token<'a>] {
        &self.tokens[self.at..]
    }

    pub(super) fn peek(&self) -> Option<&'s Token<'a>> {
        self.tokens.get(self.at)
    }

    pub(super) fn next(&mut self) -> Option<&'s Token<'a>> {
        let token = self.peek()?;
        self.at += 1;
        Some(token)
    }

    /// Where the last token read ends in the file, in bytes.
    pub(super) fn end(&self) -> usize {
        self.tokens[..self.at].last().map_or(0, Token::end)
    }

    /// Reads all of these keywords, or nothing.
    pub(super) fn eat(&mut self, keywords: &[&str]) -> bool {
        let found = starts_with(self.rest(), keywords);
        self.at += if found { keywords.len() } else { 0 };
        found
    }

    /// Reads one of these keywords, if it is next.
    pub(super) fn eat_any(&mut self, keywords: &[&str]) -> Option<&'s Token<'a>> {
        self.peek().filter(|token| keywords.iter().any(|keyword| token.is(keyword)))?;
        self.next()
    }

    pub(super) fn eat_kind(&mut self, kind: Kind) -> bool {
        let found = self.peek().is_some_and(|token| token.kind == kind);
        self.at += usize::from(found);
        found
    }

    /// Reads a list of options in parentheses, if it is next, and gives its tokens.
    pub(super) fn skip_parens(&mut self) -> &'s [Token<'a>] {
        let start = self.at;
        if self.peek().is_some_and(|token| token.kind == Kind::OpenParen) {
            let mut parens = Parens::default();
            while let Some(token) = self.next() {
                parens.follow(token.kind);
                if !parens.is_open() {
                    break;
                }
            }
        }
        &self.tokens[start..self.at]
    }

    /// Reads the table of an ALTER TABLE: `t`, `ONLY t`, `ONLY (t)` or `t *`.
    pub(super) fn table_name(&mut self) -> Option<QualifiedName> {
        self.eat(&["only"]);
        let in_parens = self.eat_kind(Kind::OpenParen);
        let table = self.qualified_name()?;
        if in_parens {
            self.eat_kind(Kind::CloseParen);
        } else if self.peek().is_some_and(|token| token.text == "*") {
            self.next();
        }
        Some(table)
    }

    /// Reads `name`, `schema.name` or `database.schema.name`.
    pub(super) fn qualified_name(&mut self) -> Option<QualifiedName> {
        let mut qualified = QualifiedName { schema: None, name: self.next()?.name()? };
        while self.eat_kind(Kind::Dot) {
            let name = self.next()?.name()?;
            qualified.schema = Some(std::mem::replace(&mut qualified.name, name));
        }
        Some(qualified)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::sql::split::statements;

    #[test]
    fn qualified_names() {
        let cases = [
            ("T", Some((None, "t"))),
            (r#"App . "T" ("#, Some((Some("app"), "T"))),
            ("db.app.t", Some((Some("app"), "t"))),
            ("app.", None),
            ("'t'", None),
        ];
        for (sql, expected) in cases {
            let statements = statements(sql).unwrap();
            let name = Reader::new(&statements[0]).qualified_name();
            let name = name.as_ref().map(|name| (name.schema.as_deref(), name.name.as_str()));
            assert_eq!(name, expected, "{sql}");
        }
    }

    #[test]
    fn parentheses_are_skipped_whole() {
        let cases = [
            ("(a, (b)) c", 7, Some("c")),
            ("()", 2, None),
            ("((a)", 4, None),
            (") a", 0, Some(")")),
            ("a", 0, Some("a")),
        ];
        for (sql, skipped, next) in cases {
            let statements = statements(sql).unwrap();
            let mut reader = Reader::new(&statements[0]);
            assert_eq!(reader.skip_parens().len(), skipped, "{sql}");
            assert_eq!(reader.peek().map(|token| token.text), next, "{sql}");
        }
    }

    #[test]
    fn a_sequence_is_read_whole_or_not_at_all() {
        let statements = statements("if not there").unwrap();
        let mut reader = Reader::new(&statements[0]);
        assert!(!reader.eat(&["if", "not", "exists"]));
        assert!(reader.eat(&["if", "not"]));
        assert_eq!(reader.end(), 6);
        assert_eq!(reader.eat_any(&["here", "there"]).map(|token| token.text), Some("there"));
        assert!(reader.peek().is_none() && reader.next().is_none() && reader.rest().is_empty());
    }
}

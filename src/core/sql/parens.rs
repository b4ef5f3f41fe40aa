//! Which tokens are within parentheses.

use crate::core::sql::lex::Kind;

/// How many parentheses are open after the tokens that were followed. One that closes and was never opened does not count.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parens(usize);

impl Parens {
    pub(super) fn follow(&mut self, kind: Kind) {
        match kind {
            Kind::OpenParen => self.0 += 1,
            Kind::CloseParen => self.0 = self.0.saturating_sub(1),
            _ => {}
        }
    }

    pub(super) const fn is_open(self) -> bool {
        self.0 > 0
    }
}

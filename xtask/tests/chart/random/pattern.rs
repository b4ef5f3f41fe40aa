//! Texts that match an expression of the schema: as much of expressions as that has.

use super::dice::Dice;

/// A text of this expression. Repetitions are short, or as long as they may be.
pub(super) fn text(pattern: &str, dice: &mut Dice) -> String {
    let mut reader = Reader { rest: pattern.chars().collect(), at: 0 };
    let whole = reader.choice();
    assert_eq!(reader.at, reader.rest.len(), "`{pattern}` has something that is not read here");
    let mut text = String::new();
    write(&whole, dice, &mut text);
    text
}

enum Node {
    /// One of them, each a sequence.
    Choice(Vec<Vec<Node>>),
    /// One of these characters.
    Class(Vec<char>),
    Repeat(Box<Node>, usize, usize),
    /// The start or the end.
    Nothing,
}

/// What `*` and `+` go up to: above every limit of a name.
const LONG: usize = 70;

fn write(node: &Node, dice: &mut Dice, text: &mut String) {
    match node {
        Node::Nothing => {}
        Node::Choice(sequences) => dice.pick(sequences).iter().for_each(|node| write(node, dice, text)),
        Node::Class(characters) => text.push(*dice.pick(characters)),
        Node::Repeat(node, least, most) => {
            let most = if dice.one_in(20) { *most } else { (*most).min(least + 3) };
            for _ in 0..least + dice.below(most - least + 1) {
                write(node, dice, text);
            }
        }
    }
}

struct Reader {
    rest: Vec<char>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    fn next(&mut self) -> char {
        self.at += 1;
        self.rest[self.at - 1]
    }

    fn choice(&mut self) -> Node {
        let mut sequences = vec![Vec::new()];
        while let Some(c) = self.peek() {
            match c {
                ')' => break,
                '|' => {
                    self.next();
                    sequences.push(Vec::new());
                }
                _ => {
                    let node = self.repeated();
                    sequences.last_mut().expect("there is one").push(node);
                }
            }
        }
        Node::Choice(sequences)
    }

    fn repeated(&mut self) -> Node {
        let node = self.single();
        let (least, most) = match self.peek() {
            Some('?') => (0, 1),
            Some('*') => (0, LONG),
            Some('+') => (1, LONG),
            Some('{') => {
                let end =
                    self.rest[self.at..].iter().position(|c| *c == '}').expect("a closing brace") + self.at;
                let bounds: String = self.rest[self.at + 1..end].iter().collect();
                self.at = end;
                let (least, most) = bounds.split_once(',').unwrap_or((&bounds, &bounds));
                let number = |text: &str| text.parse().expect("a number");
                (number(least), if most.is_empty() { LONG } else { number(most) })
            }
            _ => return node,
        };
        self.next();
        Node::Repeat(Box::new(node), least, most)
    }

    fn single(&mut self) -> Node {
        match self.next() {
            '^' | '$' => Node::Nothing,
            '(' => {
                let node = self.choice();
                assert_eq!(self.next(), ')');
                node
            }
            '[' => self.class(),
            '\\' => Node::Class(vec![self.next()]),
            '.' => Node::Class(PRINTABLE.collect()),
            c => Node::Class(vec![c]),
        }
    }

    fn class(&mut self) -> Node {
        let is_negated = self.peek() == Some('^');
        if is_negated {
            self.next();
        }
        let mut characters = Vec::new();
        loop {
            match self.next() {
                ']' => break,
                '\\' => characters.push(self.next()),
                '-' if !characters.is_empty() && self.peek() != Some(']') => {
                    let from = characters.pop().expect("a first one");
                    characters.extend(from..=self.next());
                }
                c => characters.push(c),
            }
        }
        if is_negated {
            return Node::Class(PRINTABLE.filter(|c| !characters.contains(c)).collect());
        }
        Node::Class(characters)
    }
}

const PRINTABLE: std::ops::RangeInclusive<char> = ' '..='~';

#[test]
fn texts_are_of_their_expression() {
    let mut dice = Dice::new(7);
    for _ in 0..200 {
        let name = text("^[a-z]([-a-z0-9]{0,3}[a-z0-9])?$", &mut dice);
        assert!(
            name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.ends_with('-') && name.len() <= 5,
            "{name}"
        );
        let tag = text(r"(sha256:[0-9a-f]{4}|\.\[x)?", &mut dice);
        assert!(["", ".[x"].contains(&&*tag) || tag.len() == 11 && tag.starts_with("sha256:"), "{tag}");
        assert!(!text("[^:]+", &mut dice).contains(':'));
    }
}

//! Recognises names whose values are secrets, and the text between such a name and its value.

use super::place::{skip_space, word};

/// What the name of a secret ends with. `token_type` is none.
const ENDINGS: [&str; 16] = [
    "password",
    "password_hash",
    "passwd",
    "passphrase",
    "dbpass",
    "userpass",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "access_key",
    "accesskey",
    "private_key",
    "secret_key",
    "credentials",
];
/// What its last part, between `.`, `_` and `-`, may be.
const WORDS: [&str; 4] = ["pw", "pwd", "pass", "jwt"];
/// What the name of a function that takes a secret starts with, where it ends as one.
const VERBS: [&str; 6] = ["create", "set", "update", "change", "store", "add"];
/// Functions that take a secret by another name.
const FUNCTIONS: [&str; 9] = [
    "crypt",
    "hmac",
    "encrypt",
    "encrypt_iv",
    "decrypt",
    "decrypt_iv",
    "pgp_sym_encrypt",
    "pgp_sym_decrypt",
    "pgp_pub_decrypt",
];

/// The keyword before a subscription's connection string.
pub(super) const CONNECTION: &str = "connection";
pub(super) const AUTHORIZATION: &str = "authorization";
/// Keywords of statements about a role.
pub(super) const ROLE: [&str; 3] = ["role", "user", "group"];

/// The last two letters of all these, by [`last_letters`].
const LAST_LETTERS: [bool; 1 << 10] = {
    let lists: [&[&str]; 5] = [&ENDINGS, &WORDS, &FUNCTIONS, &ROLE, &[CONNECTION, AUTHORIZATION]];
    let mut table = [false; 1 << 10];
    let mut list = 0;
    while list < lists.len() {
        let mut name = 0;
        while name < lists[list].len() {
            table[last_letters(lists[list][name].as_bytes())] = true;
            name += 1;
        }
        list += 1;
    }
    table
};

/// A number for the last two letters of a name, the same for upper and lower case.
const fn last_letters(name: &[u8]) -> usize {
    const fn of(letter: u8) -> usize {
        (letter & 0b1_1111) as usize
    }
    match name {
        [.., before, last] => of(*before) << 5 | of(*last),
        _ => 0,
    }
}

/// Whether a word ends like the name of a secret. Most words of a large file do not, and need no further check.
pub(super) fn ends_like_a_name(word: &str) -> bool {
    LAST_LETTERS[last_letters(without_number(word).as_bytes())]
}

fn without_number(name: &str) -> &str {
    let digits = name.bytes().rev().take_while(|byte| byte.is_ascii_digit() || *byte == b'_').count();
    &name[..name.len() - digits]
}

/// Whether a name in lower case is that of a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = without_number(name);
    ENDINGS.iter().any(|ending| name.ends_with(ending))
        || name.rsplit(['.', '_', '-']).next().is_some_and(|last| WORDS.contains(&last))
}

/// Whether a secret of this name is a password, and so compared with nothing else.
pub(super) fn is_password(name: &str) -> bool {
    name.contains("pass") || name.ends_with("pwd") || name.ends_with("pw")
}

/// Whether a function of this name takes a secret.
pub(super) fn takes_secret(name: &str) -> bool {
    let function = name.rsplit('.').next().unwrap_or_default();
    FUNCTIONS.contains(&function)
        || (is_secret(function)
            && function.split('_').next().is_some_and(|first| first != function && VERBS.contains(&first)))
}

/// What is between a name and its value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Between {
    Nothing,
    Space,
    /// `=`; `tight` without white space around it.
    Equals {
        tight: bool,
    },
    /// `=>` or `:=`
    Arrow,
    Colon,
    To,
    Comma,
}

impl Between {
    /// Reads what follows a name that ends at `after`, quotes around it included, and returns where the value begins.
    pub(super) fn read(text: &str, after: usize) -> (Self, usize) {
        let at = skip_space(text, after);
        let rest = &text[at..];
        let tight = at == after;
        let value = |length: usize| skip_space(text, at + length);
        if rest.starts_with("=>") || rest.starts_with(":=") {
            (Self::Arrow, value(2))
        } else if rest.starts_with('=') {
            (Self::Equals { tight: tight && value(1) == at + 1 }, value(1))
        } else if rest.get(..3).is_some_and(|code| code.eq_ignore_ascii_case("%3D")) {
            (Self::Equals { tight: true }, at + 3)
        } else if rest.starts_with(':') && !rest.starts_with("::") {
            (Self::Colon, value(1))
        } else if rest.starts_with(',') {
            (Self::Comma, value(1))
        } else if word(text, at).eq_ignore_ascii_case("to") && !tight {
            (Self::To, value(2))
        } else {
            (if tight { Self::Nothing } else { Self::Space }, at)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_how_its_name_ends() {
        for name in
            ["password", "app.jwt_secret", "aws_secret_access_key", "accesstoken", "db-pass", "sslpassword2"]
        {
            assert!(is_secret(name), "{name}");
        }
        for name in
            ["token_type", "password_changed_at", "secrets", "bypass", "passenger", "key", "public_key"]
        {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn no_name_is_passed_over_in_a_hurry() {
        let names = [&ENDINGS[..], &WORDS, &FUNCTIONS, &ROLE, &[CONNECTION, AUTHORIZATION]].concat();
        for name in names.iter().flat_map(|name| [name.to_string(), format!("APP.{}_2", name.to_uppercase())])
        {
            assert!(ends_like_a_name(&name), "{name}");
        }
        for word in ["CREATE", "VALUES", "timestamptz", "17", "t_17", ""] {
            assert!(!ends_like_a_name(word), "{word}");
        }
    }

    #[test]
    fn a_function_that_is_about_secrets_need_not_take_one() {
        for name in ["crypt", "pgcrypto.pgp_sym_encrypt", "vault.create_secret", "set_password"] {
            assert!(takes_secret(name), "{name}");
        }
        for name in ["is_valid_token", "secret", "token", "digest"] {
            assert!(!takes_secret(name), "{name}");
        }
    }
}

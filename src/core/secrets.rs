//! Finds secrets in texts by the text around them, and hides them before anything is printed or stored.
//!
//! A text may be anything: SQL that is cut off anywhere, a server's message that repeats a part of it, a URL, a line of a
//! log. So no text is parsed as a whole, and anything that might be a secret is hidden.

mod lists;
mod literal;
mod name;
mod named;
mod place;
mod role;
mod url;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use crate::core::percent;

/// The text that replaces a secret.
pub(crate) const HIDDEN: &str = "***";

/// Placeholders that users write instead of a secret.
const PLACEHOLDERS: [&str; 4] = [HIDDEN, "PASSWORD", "…", "..."];

/// Passwords of so many servers that hiding the word would hide more than the password.
const COMMON: [&str; 6] = ["admin", "corveil", "database", "password", "postgres", "postgresql"];

/// A secret shorter than this is hidden in quotes only: as a word it may be part of any sentence.
const SHORTEST: usize = 4;
/// The same for what only might be a secret.
const SHORTEST_GUESS: usize = 6;
/// How much of a secret must be at the end of a cut-off text to count as the secret.
const SHORTEST_START: usize = 5;

/// A value to hide wherever it appears.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Secret {
    value: String,
    /// Whether it is hidden outside quotes too.
    bare: bool,
}

/// A place in a text that holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    range: Range<usize>,
    /// False for what stands near a secret and may be one.
    certain: bool,
}

/// The text with `***` in the place of each secret: those that the text itself shows to be secrets, and the `known` ones.
pub(crate) fn hide<'a, 'k>(text: &'a str, known: impl IntoIterator<Item = &'k Secret>) -> Cow<'a, str> {
    let mut ranges: Vec<_> = found(text).into_iter().map(|found| found.range).collect();
    for secret in known {
        secret.find(text, &mut ranges);
    }
    if ranges.is_empty() {
        return text.into();
    }
    let mut hidden = String::with_capacity(text.len());
    let mut at = 0;
    for range in merged(ranges) {
        hidden += &text[at..range.start];
        hidden += HIDDEN;
        at = range.end;
    }
    hidden += &text[at..];
    hidden.into()
}

/// Whether a text shows that it has a secret.
pub(crate) fn has(text: &str) -> bool {
    !found(text).is_empty()
}

/// The secrets of a URL, of keywords and values as libpq takes them, or of SQL, to be hidden in other texts.
pub(crate) fn of(text: &str) -> Vec<Secret> {
    let found = found(text);
    if found.is_empty() {
        return Vec::new();
    }
    let mut values = Vec::new();
    for Found { range, certain } in &found {
        let written = &text[range.clone()];
        let mut add = |value: Cow<'_, str>| {
            if !value.trim().is_empty() {
                let shortest = if *certain { SHORTEST } else { SHORTEST_GUESS };
                let bare = value.len() >= shortest && !is_common(&value);
                values.push(Secret { value: value.into_owned(), bare });
            }
        };
        add(written.into());
        if written.contains("''") {
            add(written.replace("''", "'").into());
        }
        if written.contains('%') {
            add(percent::decoded(written).into());
        }
    }
    // A word that the text also has elsewhere, such as the name of the role, is not a secret by itself.
    let elsewhere = elsewhere(text, &found, values.iter().filter(|secret| secret.bare));
    let mut secrets = BTreeSet::new();
    for mut secret in values {
        secret.bare &= !elsewhere.contains(&secret.value);
        if secret.bare {
            secrets.extend(secret.words());
        }
        secrets.insert(secret);
    }
    secrets.into_iter().collect()
}

/// Those of the values that are words of the text outside of what was found. Only they are kept: a file has millions of words.
fn elsewhere<'s>(text: &str, found: &[Found], values: impl Iterator<Item = &'s Secret>) -> HashSet<String> {
    let values: HashSet<&str> = values.map(|secret| secret.value.as_str()).collect();
    let mut words_elsewhere = HashSet::new();
    let mut at = 0;
    let ends = std::iter::once(text.len()..text.len());
    for range in merged(found.iter().map(|found| found.range.clone()).collect()).into_iter().chain(ends) {
        for word in text[at..range.start].split(|c: char| !c.is_alphanumeric() && c != '_') {
            if values.contains(word) {
                words_elsewhere.insert(word.to_owned());
            }
        }
        at = range.end;
    }
    words_elsewhere
}

fn is_common(value: &str) -> bool {
    COMMON.iter().any(|common| value.eq_ignore_ascii_case(common))
}

impl Secret {
    /// A value that is known to be a secret by itself.
    pub(crate) fn whole(value: &str) -> Self {
        Self { value: value.to_owned(), bare: value.len() >= SHORTEST_GUESS && !is_common(value) }
    }

    /// Its words, where they are no words of a language: a list is cut at its commas, and the server names the word at
    /// which SQL goes wrong.
    fn words(&self) -> impl Iterator<Item = Self> {
        let words = self.value.split(|c: char| !c.is_alphanumeric() && c != '_');
        words
            .filter(|word| word.len() < self.value.len() && word.len() >= SHORTEST_GUESS)
            .filter(|word| word.contains(|c: char| c.is_ascii_digit()))
            .map(Self::whole)
    }

    fn find(&self, text: &str, ranges: &mut Vec<Range<usize>>) {
        let Self { value, bare } = self;
        if *bare {
            ranges.extend(place::whole_words(text, value));
            ranges.extend(self.cut_off(text));
        } else {
            let quoted = format!("'{value}'");
            ranges.extend(text.match_indices(&quoted).map(|(at, _)| at + 1..at + 1 + value.len()));
        }
    }

    /// The start of the secret, where the text is cut off within it.
    fn cut_off(&self, text: &str) -> Option<Range<usize>> {
        let end = text.trim_end_matches(['…', '`', '"', '\'']).len();
        let starts = self.value.char_indices().map(|(at, _)| at).rev();
        let mut starts = starts.take_while(|length| *length >= SHORTEST_START);
        let length = starts.find(|length| text[..end].ends_with(&self.value[..*length]))?;
        Some(end - length..end)
    }
}

/// Debug output never contains the secret.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Every place with a secret, in order.
fn found(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    url::find(text, &mut found);
    named::find(text, &mut found);
    found.retain(|found| {
        let secret = &text[found.range.clone()];
        !secret.trim_matches(['\'', ' ']).is_empty() && !PLACEHOLDERS.contains(&secret)
    });
    found.sort_by_key(|found| found.range.start);
    found
}

/// Ranges that overlap become one.
fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In each text `s3cr3t` is a secret and nothing else is; `S` stands for one that is hidden.
    #[track_caller]
    fn hides(cases: &[&str]) {
        for case in cases {
            let hidden = hide(case, &[]);
            assert_eq!(hidden, case.replace("s3cr3t", HIDDEN), "{case}");
            assert_eq!(hide(&hidden, &[]), hidden, "hidden twice: {case}");
        }
    }

    #[test]
    fn a_file_of_many_secrets_is_read_once() {
        let rows = "INSERT INTO users (name, password) values ('a', 's3cr3t-1');\nINSERT INTO users (password) SELECT x;\n";
        let wrapper = "PERFORM f('password = %L', x);\n-- password\n";
        let text = rows.repeat(4000) + &wrapper.repeat(4000);
        // With the square of its size this would take minutes.
        assert!(of(&text).iter().any(|secret| secret.value == "s3cr3t-1"));
    }

    #[test]
    fn passwords_of_urls() {
        hides(&[
            "postgres://u:s3cr3t@h/d",
            "postgresql://u:s3cr3t@h:5432,h2:5433/d?sslmode=require",
            "invalid value 'postgres://u:s3cr3t@h/d' for '--lock-wait <DURATION>'",
            "the folder `postgres://:s3cr3t@h/d` cannot be read",
            "postgresql+asyncpg://u:s3cr3t@h/d and redis://:s3cr3t@h:6379",
            "postgres:///d?user=u&password=s3cr3t&sslmode=require",
            "postgres://h/d?password=s3cr3t",
            "postgres://h/d?options=-capp.jwt_secret%3Ds3cr3t&sslmode=require",
            "postgres://u@h/d?sslpassword=s3cr3t#x",
            "jdbc:postgresql://h/d?user=u&password=s3cr3t",
            "DATABASE_URL=postgres://u:s3cr3t@h/d",
        ]);
        // What a person wrongly left unescaped belongs to the password.
        for (text, hidden) in [
            ("postgres://u:a/s3cr3t@h/d", "postgres://u:***@h/d"),
            ("postgres://u:12/s3cr3t@h/d", "postgres://u:***@h/d"),
            ("postgres://u:s3@cr3t@h/d", "postgres://u:***@h/d"),
            ("postgres://u:s3 cr3t@h/d", "postgres://u:***@h/d"),
            ("'postgres://u:s3'cr3t@h/d'", "'postgres://u:***@h/d'"),
            ("postgres://u:s3%20cr3t", "postgres://u:***"),
            ("postgres://u:123", "postgres://u:***"),
            ("postgres%3A%2F%2Fu%3As3cr3t%40h", "postgres%3A%2F%2F***"),
        ] {
            assert_eq!(hide(text, &[]), hidden);
        }
    }

    #[test]
    fn passwords_of_keywords_and_values() {
        hides(&[
            "host=h user=u password=s3cr3t dbname=d",
            "password = s3cr3t",
            "password='s3cr3t' host=h",
            "PGPASSWORD=s3cr3t",
            "{\"user\":\"u\",\"password\":\"s3cr3t\"}",
            "dblink_connect('host=h password=s3cr3t')",
            "Authorization: Bearer s3cr3t",
            "%3Fuser%3Du%26password%3Ds3cr3t%26sslmode%3Drequire",
        ]);
        assert_eq!(hide(r"password='s3 \' cr3t' host=h", &[]), "password='***' host=h");
        assert_eq!(hide(r"password=s3\ cr3t host=h", &[]), "password=*** host=h");
    }

    #[test]
    fn literals_of_statements_that_set_a_secret() {
        hides(&[
            "CREATE ROLE app LOGIN PASSWORD 's3cr3t' VALID UNTIL '2030-01-01'",
            "CREATE USER app WITH ENCRYPTED PASSWORD 's3cr3t';",
            "alter group app password E's3cr3t'",
            "ALTER ROLE app PASSWORD $$s3cr3t$$",
            "ALTER ROLE app PASSWORD $x$s3cr3t$x$ NOLOGIN",
            "ALTER ROLE app PASSWORD U&'s3cr3t'",
            "ALTER ROLE app /* new */ PASSWORD -- this one\n 's3cr3t'",
            "CREATE ROLE app PASSWORD s3cr3t;",
            "CREATE ROLE app PASSWORD \"s3cr3t\"",
            "CREATE ROLE app PASSWORD NULL",
            "CREATE ROLE app PASWORD 's3cr3t' VALID UNTIL '2030-01-01'",
            "ALTER ROLE app SET search_path = 'a'; ALTER ROLE app IN DATABASE d SET timezone TO 'UTC'",
            "CREATE USER MAPPING FOR app SERVER s OPTIONS (user 'app', key 's3cr3t')",
            "CREATE USER MAPPING FOR app SERVER s OPTIONS (user 'app', password 's3cr3t')",
            "ALTER USER MAPPING FOR app SERVER s OPTIONS (SET \"password\" 's3cr3t')",
            "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host 'h', api_key 's3cr3t')",
            "ALTER SERVER s OPTIONS (ADD aws_secret_access_key 's3cr3t')",
            "CREATE SUBSCRIPTION s CONNECTION 's3cr3t' PUBLICATION p",
            "ALTER SUBSCRIPTION s CONNECTION 's3cr3t'",
            "ALTER SYSTEM SET primary_conninfo = 'host=h password=s3cr3t'",
            "SET app.jwt_secret = 's3cr3t'",
            "ALTER DATABASE d SET \"app.settings.jwt_secret\" TO 's3cr3t'",
            "SELECT set_config('app.api_key', 's3cr3t', false)",
            "UPDATE users SET password = 's3cr3t' WHERE name = 'app'",
            "UPDATE users SET name = 'app', token = 's3cr3t' WHERE token_type = 'bearer' AND token = 'x'",
            "SELECT 1 FROM users WHERE password = 's3cr3t'",
            "INSERT INTO settings VALUES ('smtp_password', 's3cr3t')",
            "UPDATE users SET password = crypt('s3cr3t', gen_salt(5))",
            "UPDATE users SET token = NULL, password=DEFAULT WHERE token = $1",
            "SELECT pgp_sym_encrypt('s3cr3t', 's3cr3t')",
            "SELECT vault.create_secret('s3cr3t')",
            "SELECT login(password => 's3cr3t')",
            "INSERT INTO users (name, password) VALUES ('app', 's3cr3t'), ('b, (c', 's3cr3t')",
            "insert into app.\"Users\" (\"password\", name) values ('s3cr3t', 'app')",
            "COPY t FROM PROGRAM 'curl -H \"Authorization: Bearer s3cr3t\" h'",
        ]);
    }

    #[test]
    fn literals_within_code_that_is_a_literal() {
        hides(&[
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN CREATE ROLE app PASSWORD 's3cr3t'; END IF; END $$",
            "DO $$ BEGIN EXECUTE 'CREATE ROLE app PASSWORD ''s3cr3t'' LOGIN'; END $$",
            "EXECUTE 'CREATE ROLE app PASSWORD ''s3cr3t'''",
            "EXECUTE E'CREATE ROLE app PASSWORD \\'s3cr3t\\''",
            "EXECUTE 'ALTER ROLE app PASSWORD ' || quote_literal('s3cr3t'); PERFORM f('x')",
            "EXECUTE 'ALTER ROLE app PASSWORD ''' || 's3cr3t' || ''''",
            "EXECUTE format('ALTER ROLE app PASSWORD %L', 's3cr3t')",
            "EXECUTE format($f$ALTER ROLE app PASSWORD %1$L$f$, 's3cr3t')",
            "DECLARE x text := 's3cr3t'; BEGIN EXECUTE format('ALTER ROLE app PASSWORD %L', x); END",
            "DECLARE pw text := 's3cr3t'; BEGIN NULL; END",
            "SQL statement \"CREATE ROLE app PASSWORD 's3cr3t'\"\nPL/pgSQL function inline_code_block line 3 at EXECUTE",
        ]);
    }

    #[test]
    fn a_text_that_is_cut_off_within_a_secret() {
        for (text, hidden) in [
            ("ALTER ROLE app PASSWORD 's3cr", "ALTER ROLE app PASSWORD '***"),
            ("ALTER ROLE app PASSWORD $$s3…", "ALTER ROLE app PASSWORD $$***…"),
            ("FATAL: host=h password=s3cr…", "FATAL: host=h password=***…"),
            (
                "statement: PASSWORD 's3cr…\nserver's hint: none",
                "statement: PASSWORD '***…\nserver's hint: none",
            ),
            (
                "`EXECUTE 'ALTER ROLE app PASSWORD ''s3cr…` has ''",
                "`EXECUTE 'ALTER ROLE app PASSWORD ''***…` has ''",
            ),
        ] {
            assert_eq!(hide(text, &[]), hidden);
        }
        let known = of("CREATE ROLE app PASSWORD 's3cr3t-of-many-words'");
        assert_eq!(hide("statement: SELECT 's3cr3t-of-m…", &known), "statement: SELECT '***…");
    }

    #[test]
    fn what_names_a_secret_and_shows_none_stays_as_it_is() {
        for text in [
            "password authentication failed for user \"app\"",
            "check user, password and database name in `MIGRATE_DATABASE_URL` or `DATABASE_URL`",
            "set `DATABASE_URL` to `postgres://USER:PASSWORD@HOST:5432/DATABASE`",
            "postgres://app@db.example:6432/app",
            "waiting for postgres://app@[::1]:5432/app: Connection refused (os error 111)",
            "listening on http://127.0.0.1:8080",
            "CHECK (token_type = 'bearer' AND kind IN ('password', 'sso', 'api_key', 'oauth'))",
            "CREATE VIEW v AS SELECT 1 FROM users WHERE token = 'x'::text",
            "CREATE TYPE login AS ENUM ('api_key', 'oauth')",
            "ALTER TABLE users ADD CHECK (is_valid_token('x'))",
            "corveil adopt --accept column:public.users.token:type,table:public.secrets:missing",
            "token: expected 30s; password: not read",
            "GRANT SELECT ON secrets TO app; SELECT secret('x')",
            "postgres://h1:5432,h2:5433/d?target_session_attrs=any",
            "CREATE TABLE users (name text DEFAULT 'x', password text, token uuid DEFAULT gen_random_uuid())",
            "column \"password\" of relation \"users\" does not exist",
            "invalid input syntax for type json: Token \"x\" is invalid",
            "syntax error at or near token \"x\"",
            "in a password, `/` is written `%2F`, `?` `%3F`, `#` `%23` and `@` `%40`",
            "SET SESSION AUTHORIZATION 'app'",
            "connection \"named\" not available",
            "{\"message\":\"the password\",\"next_step\":\"a token\",\"detail\":\"it's 'x'\"}",
            "role \"app\" cannot log in; ROLE, USER and PASSWORD are keywords",
        ] {
            assert_eq!(hide(text, &[]), text);
        }
    }

    #[test]
    fn a_row_that_the_server_repeats() {
        for (text, hidden) in [
            ("Key (token)=(s3cr3t) already exists.", "Key (token)=(***) already exists."),
            (
                "Schlüssel »(email, password)=(a, s3)cr3t)« existiert bereits.",
                "Schlüssel »(email, password)=(***)« existiert bereits.",
            ),
            ("Key (email)=(a@b.c) already exists.", "Key (email)=(a@b.c) already exists."),
        ] {
            assert_eq!(hide(text, &[]), hidden);
        }
    }

    #[test]
    fn what_one_text_shows_to_be_secret_is_hidden_in_others() {
        for (source, text) in [
            ("CREATE ROLE app PASSWORD 's3cr3t'", "syntax error at or near \"'s3cr3t'\""),
            ("CREATE ROLE app PASSWORD s3cr3t", "syntax error at or near \"s3cr3t\""),
            ("CREATE ROLE app PASSWORD 'it''s3cr3t'", "invalid value: it's3cr3t"),
            ("postgres://u:s3%40cr3t@h/d", "no role for s3@cr3t and s3%40cr3t"),
            ("host=h password=s3cr3t", "missing \"=\" after \"s3cr3t\" in connection info string"),
            ("EXECUTE format('ALTER ROLE app PASSWORD %L', 's3cr3t')", "near s3cr3t"),
            ("CREATE ROLE app PASSWORD 'my-s3cr3t'", "syntax error at or near \"s3cr3t\""),
        ] {
            let hidden = hide(text, &of(source)).into_owned();
            assert!(!hidden.contains("cr3t") && hidden.contains(HIDDEN), "{hidden}");
        }
        // A password that is also a name, or any short word, would hide half of each sentence.
        for source in ["CREATE ROLE app PASSWORD 'app'", "postgres://citadel:citadel@h/d", "password=a"] {
            assert_eq!(hide("role \"app\" of citadel has a", &of(source)), "role \"app\" of citadel has a");
        }
        assert_eq!(hide("near \"'app'\"", &of("CREATE ROLE app PASSWORD 'app'")), "near \"'***'\"");
        // A part of a longer word is another word.
        assert_eq!(hide("tested", &of("PASSWORD 'test'")), "tested");
    }

    #[test]
    fn nothing_shows_a_secret_as_itself() {
        assert!(!format!("{:?}", of("PASSWORD 's3cr3t'")).contains("s3cr3t"));
    }
}

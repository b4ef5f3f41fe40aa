//! The parts of a connection URI, split as libpq splits them.
//!
//! `postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?NAME=VALUE`
//! ([libpq](https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS)). A parser of web addresses
//! refuses several hosts, and a user without a host.

use crate::core::percent;

/// A URI in its parts, decoded. What it does not have is absent.
#[derive(Default)]
pub(super) struct Uri<'a> {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    /// Each host with its port, as they are written; an empty host is the default one.
    pub(super) hosts: Vec<(String, Option<String>)>,
    pub(super) database: Option<String>,
    /// What follows the `?`, still encoded.
    pub(super) query: &'a str,
}

/// Splits a URI. `is_parameter` returns whether a name is that of a parameter.
///
/// # Errors
/// What is wrong, without any part of the text: it may be of a password.
pub(super) fn split(text: &str, is_parameter: impl Fn(&str) -> bool) -> Result<Uri<'_>, &'static str> {
    let rest = ["postgres://", "postgresql://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let Some(rest) = rest else { return Err("it does not start with `postgres://`") };
    let (user_info, rest) = user_info(rest);
    let (before_query, query) = rest.split_once('?').unwrap_or((rest, ""));
    // To libpq it is a character as any other, to other parsers the end of the URI.
    if rest.contains('#') {
        return Err("`#` is written `%23`");
    }
    // The first `/` ends the host. One in the password would make the rest of it a host or a database, which are shown.
    if before_query.contains('@') {
        return Err("in a password, `/` is written `%2F`, `?` `%3F`, `#` `%23` and `@` `%40`");
    }
    if let Some((_, parameters)) = user_info.and_then(|info| info.split_once('?'))
        && parameters.split_once('=').is_some_and(|(name, _)| is_parameter(name))
    {
        return Err("its parameters have an `@`: write a `/` before the `?`, or the `@` as `%40`");
    }
    let (hosts, database) = before_query.split_once('/').unwrap_or((before_query, ""));
    let (user, password) = match user_info.map(|info| info.split_once(':').unwrap_or((info, ""))) {
        Some((user, password)) => (some(user), some(password)),
        None => (None, None),
    };
    let hosts =
        if hosts.is_empty() { Vec::new() } else { hosts.split(',').map(host).collect::<Result<_, _>>()? };
    Ok(Uri { user, password, hosts, database: some(database), query })
}

/// What stands before the host, and the rest. It ends at an `@` before the first `/`: at the last one before the host ends,
/// as a password may have one.
fn user_info(rest: &str) -> (Option<&str>, &str) {
    let before_path = &rest[..rest.find('/').unwrap_or(rest.len())];
    let Some(first) = before_path.find('@') else { return (None, rest) };
    let ends = before_path[first..].find('?').map_or(before_path.len(), |at| first + at);
    let last = before_path[..ends].rfind('@').unwrap_or(first);
    (Some(&rest[..last]), &rest[last + 1..])
}

/// A host with its port.
fn host(text: &str) -> Result<(String, Option<String>), &'static str> {
    let (host, after) = match text.strip_prefix('[') {
        Some(address) => address.split_once(']').ok_or("an IPv6 address has no `]`")?,
        None => text.find(':').map_or((text, ""), |colon| text.split_at(colon)),
    };
    let port = match after.strip_prefix(':') {
        Some(port) => some(port),
        None if after.is_empty() => None,
        None => return Err("something follows the `]` of an IPv6 address"),
    };
    Ok((percent::decoded(host), port))
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| percent::decoded(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts in one line, or the error.
    fn seen(text: &str) -> String {
        match split(text, |name| matches!(name, "user" | "application_name")) {
            Ok(Uri { user, password, hosts, database, query }) => {
                let hosts: Vec<_> = hosts
                    .iter()
                    .map(|(host, port)| format!("{host}|{}", port.as_deref().unwrap_or("-")))
                    .collect();
                let part = |part: Option<String>| part.unwrap_or_else(|| "-".into());
                format!("{} {} {} {} {query}", part(user), part(password), hosts.join(","), part(database))
            }
            Err(error) => error.into(),
        }
    }

    #[test]
    fn the_parts_are_libpqs() {
        for (text, expected) in [
            ("postgres://", "- -  - "),
            ("postgresql://h", "- - h|- - "),
            ("postgres://u@h:1/d?a=b", "u - h|1 d a=b"),
            ("postgres://u:p@h/d", "u p h|- d "),
            ("postgres://u@[::1]:5432/db", "u - ::1|5432 db "),
            ("postgres://u@[fe80::1%25eth0]/db", "u - fe80::1%eth0|- db "),
            ("postgres://u@/db?host=/socket", "u -  db host=/socket"),
            ("postgres:///db?host=/socket", "- -  db host=/socket"),
            ("postgres://u@%2Fvar%2Frun/d", "u - /var/run|- d "),
            ("postgres://u@a:1,b,[::2]:3/d", "u - a|1,b|-,::2|3 d "),
            ("postgres://u@:6000/d", "u - |6000 d "),
            ("postgres://us%40er:p%2Fw@h/d%2Fe", "us@er p/w h|- d/e "),
            ("postgres://u@h/d?user=sa@proj.iam", "u - h|- d user=sa@proj.iam"),
            ("postgres:///d?user=sa@proj.iam", "- -  d user=sa@proj.iam"),
            ("postgres://u@h?application_name=pay@eu", "u - h|- - application_name=pay@eu"),
            // A password that was not encoded: libpq accepts it as well.
            ("postgres://u:a?b#c@h/d", "u a?b#c h|- d "),
            ("postgres://u:a@b@h/d", "u a@b h|- d "),
        ] {
            assert_eq!(seen(text), expected, "{text}");
        }
    }

    #[test]
    fn what_may_be_a_part_of_a_password_becomes_no_host_and_no_database() {
        for (text, expected) in [
            ("mysql://u@h", "does not start"),
            ("postgres://u:12/s3cr3t@h/d", "in a password"),
            ("postgres://u:p@ss/s3cr3t@h/d", "in a password"),
            ("postgres://u:p@h/d?a=b#s3cr3t", "`#` is written"),
            ("postgres://u@[::1/d", "no `]`"),
            ("postgres://u@[::1]5432/d", "follows the `]`"),
            ("postgres://h:1?user=sa@s3cr3t", "write a `/` before"),
        ] {
            let seen = seen(text);
            assert!(seen.contains(expected) && !seen.contains("s3cr3t"), "{text}: {seen}");
        }
    }
}

//! Passwords in URLs.

use super::Found;

/// Finds the password of every URL that a text contains.
pub(super) fn find(text: &str, found: &mut Vec<Found>) {
    const SEPARATOR: &str = "://";
    // A search for one character is several times as fast.
    for (at, _) in text.match_indices(':').filter(|(at, _)| text[*at..].starts_with(SEPARATOR)) {
        password(text, at, at + SEPARATOR.len(), found);
    }
    // A URL that was put into another one, or into a query.
    for (at, _) in text.match_indices('%') {
        let encoded = text.get(at..at + ENCODED.len()).unwrap_or_default();
        if encoded.eq_ignore_ascii_case(ENCODED) {
            let start = at + ENCODED.len();
            found.push(Found { range: start..start + unbroken(&text[start..]).len(), certain: true });
        }
    }
}

/// `://`.
const ENCODED: &str = "%3A%2F%2F";

fn password(text: &str, separator: usize, start: usize, found: &mut Vec<Found>) {
    let rest = &text[start..];
    let whole = unbroken(rest);
    let authority = &whole[..whole.find(['/', '?', '#']).unwrap_or(whole.len())];
    let userinfo = match whole.rfind('@') {
        // What a person left unescaped, a slash for example, belongs to the password.
        Some(at) => &whole[..at],
        None if has_password_cut_off(text, separator, start, authority) => {
            // A blank or a quote in it: the password ends where the host begins.
            let line = rest.lines().next().unwrap_or_default();
            line.rfind('@').map_or(whole, |at| &line[..at])
        }
        None => return,
    };
    if let Some(colon) = userinfo.find(':') {
        found.push(Found { range: start + colon + 1..start + userinfo.len(), certain: true });
    }
}

/// Whether an apparent host with a port is a user with a password, in a URL that is cut off there.
fn has_password_cut_off(text: &str, separator: usize, start: usize, authority: &str) -> bool {
    if authority.starts_with('[') || !authority.contains(':') {
        return false;
    }
    let is_host = |host: &str| {
        host.split_once(':').is_none_or(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let ends = start + authority.len() == text.len();
    let is_postgres = ["postgres", "postgresql"].iter().any(|scheme| text[..separator].ends_with(scheme));
    !authority.split(',').all(is_host) || (ends && is_postgres && !authority.contains(','))
}

/// A text up to what is in no URL.
fn unbroken(text: &str) -> &str {
    let is_end =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '\'' | '"' | '`' | '<' | '>' | '…');
    &text[..text.find(is_end).unwrap_or(text.len())]
}

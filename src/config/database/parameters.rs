//! The parameters of a connection URL: which are read, which change nothing for a migration, and which are refused.
//!
//! sqlx ignores what it does not know, so that a schema, or a protection, that the URL asks for would silently not be.
//! The names are [libpq's](https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS), then those
//! that other drivers and hosts put into URLs.

use crate::core::percent;
use crate::error::{Error, Result};

/// What a parameter does to a run.
#[derive(Debug, Clone, Copy)]
enum Effect {
    Read,
    None,
    /// None with one of these values, ASCII case apart; another one is refused.
    NoneWith(&'static [&'static str], Refusal),
    /// Corveil cannot do it, and the driver ignores it.
    Refused(Refusal),
}

/// Why a parameter is refused, and what works.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    why: &'static str,
    instead: &'static str,
}

struct Parameter {
    /// What it is called; the first name stands for all.
    names: &'static [&'static str],
    effect: Effect,
}

const fn read(names: &'static [&'static str]) -> Parameter {
    Parameter { names, effect: Effect::Read }
}

const fn none(names: &'static [&'static str]) -> Parameter {
    Parameter { names, effect: Effect::None }
}

const fn only(
    name: &'static [&'static str],
    values: &'static [&'static str],
    why: &'static str,
    instead: &'static str,
) -> Parameter {
    Parameter { names: name, effect: Effect::NoneWith(values, Refusal { why, instead }) }
}

const fn refused(names: &'static [&'static str], why: &'static str, instead: &'static str) -> Parameter {
    Parameter { names, effect: Effect::Refused(Refusal { why, instead }) }
}

/// How a setting of the server is written.
const AS_OPTION: &str = "write a setting of the server as `options=-cNAME%3DVALUE`";
/// What protects against a server in the middle.
const VERIFY: &str = "leave it out and set `sslmode=verify-full`, which checks that it is the right server";
const PATH_IS_IGNORED: &str =
    "which is no parameter of PostgreSQL, so the schema that it names would be ignored";
const PATH: &str = "write `options=-csearch_path%3DSCHEMA`";
const NO: &[&str] = &["0", "false", "no", "off"];

/// Every parameter that is known.
const PARAMETERS: &[Parameter] = &[
    read(&["host"]),
    read(&["hostaddr"]),
    read(&["port"]),
    read(&["dbname"]),
    read(&["user"]),
    read(&["password"]),
    read(&["options"]),
    read(&["sslmode", "ssl-mode"]),
    read(&["sslrootcert", "ssl-root-cert", "ssl-ca"]),
    read(&["sslcert", "ssl-cert"]),
    read(&["sslkey", "ssl-key"]),
    // libpq reads `ssl=true` as `sslmode=require`.
    read(&["ssl"]),
    read(&["sslnegotiation"]),
    read(&["statement-cache-capacity"]),
    // How long to try, and whether the other end is still there, is for the flags and for the session itself.
    none(&["connect_timeout"]),
    none(&["keepalives"]),
    none(&["keepalives_idle"]),
    none(&["keepalives_interval"]),
    none(&["keepalives_count"]),
    none(&["tcp_user_timeout"]),
    // Corveil names the session.
    none(&["application_name", "ApplicationName"]),
    none(&["fallback_application_name"]),
    none(&["sslcompression"]),
    none(&["sslsni"]),
    none(&["max_protocol_version"]),
    none(&["krbsrvname"]),
    none(&["gsslib"]),
    read(&["load_balance_hosts"]),
    read(&["target_session_attrs"]),
    read(&["passfile"]),
    only(
        &["client_encoding"],
        &["utf8", "utf-8", "unicode", "auto"],
        "but migration files are sent as UTF-8",
        "leave it out",
    ),
    only(&["replication"], NO, "but a replication connection runs no migration", "leave it out"),
    only(
        &["gssencmode"],
        &["disable", "prefer"],
        "but Corveil has no GSSAPI, so the connection would not be encrypted by it",
        VERIFY,
    ),
    only(
        &["gssdelegation"],
        NO,
        "but Corveil has no GSSAPI, so no credentials would be delegated",
        "leave it out",
    ),
    only(
        &["channel_binding"],
        &["disable", "prefer"],
        "but Corveil cannot bind the login to the TLS connection, so the protection would be missing",
        VERIFY,
    ),
    only(&["requiressl"], NO, "which libpq no longer has", "write `sslmode=require` or better"),
    only(
        &["sslcertmode"],
        &["allow"],
        "but Corveil sends a certificate exactly where `sslcert` and `sslkey` name one",
        "leave it out",
    ),
    only(
        &["ssl_min_protocol_version"],
        &["", "tlsv1", "tlsv1.1", "tlsv1.2"],
        "but Corveil accepts TLS 1.2 from the server",
        "leave it out, and set `ssl_min_protocol_version` on the server",
    ),
    only(
        &["ssl_max_protocol_version"],
        &["", "tlsv1.3"],
        "but Corveil takes the newest version of TLS that the server has",
        "leave it out, and set `ssl_max_protocol_version` on the server",
    ),
    only(
        &["min_protocol_version"],
        &["3.0"],
        "but Corveil speaks version 3.0 of the protocol",
        "leave it out",
    ),
    refused(
        &["require_auth"],
        "but Corveil logs in the way that the server asks for, so the protection would be missing",
        VERIFY,
    ),
    refused(
        &["requirepeer"],
        "but Corveil does not check the user that the server runs as",
        "leave it out, and let only that user write to the folder of the socket",
    ),
    refused(&["sslcrl", "sslcrldir"], "but Corveil reads no revocation lists", "leave it out"),
    refused(
        &["sslpassword"],
        "but Corveil cannot read an encrypted key",
        "leave it out, and name a key without a password in `sslkey`",
    ),
    refused(&["sslkeylogfile"], "but Corveil writes no TLS keys", "leave it out"),
    refused(
        &["service", "servicefile"],
        "but Corveil reads no service file, so what it names would be ignored",
        "write host, user, database and what else the service has into the URL, and leave it out",
    ),
    refused(
        &["scram_client_key", "scram_server_key"],
        "but Corveil logs in with a password",
        "write the password into the URL, or set `PGPASSWORD`",
    ),
    refused(
        &["oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope"],
        "but Corveil cannot log in with OAuth",
        "use a role with a password or a certificate",
    ),
    // Other drivers: where the tables are.
    refused(&["search_path", "searchpath"], PATH_IS_IGNORED, PATH),
    refused(&["schema"], PATH_IS_IGNORED, PATH),
    refused(&["currentSchema"], PATH_IS_IGNORED, PATH),
    refused(&["schema_search_path"], PATH_IS_IGNORED, PATH),
    // Other drivers: protection.
    only(
        &["sslaccept"],
        &["accept_invalid_certs"],
        "which is no parameter of PostgreSQL, so the check that it asks for would be missing",
        "write `sslmode=verify-full`",
    ),
    refused(
        &["sslidentity", "sslfactory", "sslhostnameverifier"],
        "which is no parameter of PostgreSQL, so it would be ignored",
        "write `sslmode=verify-full`, with `sslrootcert`, `sslcert` and `sslkey` where they are needed",
    ),
    // Other drivers and hosts: pools, patience and caches.
    none(&["pgbouncer"]),
    none(&["supa"]),
    none(&["uselibpqcompat"]),
    none(&["connection_limit"]),
    none(&["pool"]),
    none(&["pool_size"]),
    none(&["pool_timeout"]),
    none(&["pool_max_conns"]),
    none(&["pool_min_conns"]),
    none(&["pool_max_conn_lifetime"]),
    none(&["pool_max_conn_lifetime_jitter"]),
    none(&["pool_max_conn_idle_time"]),
    none(&["pool_health_check_period"]),
    none(&["max_connections"]),
    none(&["idle_timeout"]),
    none(&["max_lifetime"]),
    none(&["socket_timeout", "socketTimeout"]),
    none(&["connectTimeout"]),
    none(&["loginTimeout"]),
    none(&["tcpKeepAlive"]),
    none(&["prepareThreshold"]),
    none(&["prepared_statements"]),
    none(&["reWriteBatchedInserts"]),
    none(&["defaultRowFetchSize"]),
    none(&["default_query_exec_mode"]),
    none(&["statement_cache_size"]),
    none(&["statement_cache_capacity"]),
    none(&["description_cache_capacity"]),
    none(&["prepared_statement_cache_size"]),
];

/// Variables of libpq that ask for what would be missing, and the parameter that each stands for.
const VARIABLES: &[(&str, &str)] = &[
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGGSSENCMODE", "gssencmode"),
    ("PGREQUIREAUTH", "require_auth"),
    ("PGREQUIREPEER", "requirepeer"),
    ("PGREQUIRESSL", "requiressl"),
    ("PGSERVICE", "service"),
    ("PGSSLCERTMODE", "sslcertmode"),
    ("PGSSLCRL", "sslcrl"),
    ("PGSSLCRLDIR", "sslcrldir"),
    ("PGSSLMINPROTOCOLVERSION", "ssl_min_protocol_version"),
];

/// What sqlx reads best by itself: it has no other way to take options as they are written.
const FOR_SQLX: &[&str] = &["options", "sslcert", "sslkey", "statement-cache-capacity"];

/// The parameters of a URL that are read.
#[derive(Default)]
pub(super) struct Parameters {
    /// By the first of their names.
    read: Vec<(&'static str, String)>,
    /// Settings of the server, one parameter each: `options[NAME]`.
    settings: Vec<(String, String)>,
}

impl Parameters {
    /// Reads the query of the URL in `variable`, and the environment's part in it. Values are never repeated: what is a
    /// password to its author may have become anything.
    pub(super) fn parse(
        variable: &str,
        query: &str,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let mut parameters = Self::default();
        let mut names: Vec<String> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let after_password = names.last().is_some_and(|name| name == "password");
            let Some((name, value)) = pair.split_once('=').map(|(n, v)| (decoded(n), decoded(v))) else {
                return Err(config(
                    format!("a parameter in `{variable}` has no value"),
                    "write each as `NAME=VALUE`; in a value, `&` is written `%26`",
                ));
            };
            let known = known(&name);
            let first = known.map_or(name.as_str(), |known| known.names[0]);
            if names.iter().any(|other| other == first) {
                return Err(config(
                    format!("`{variable}` has the parameter `{first}` twice, so which one counts is unclear"),
                    "write it once",
                ));
            }
            names.push(first.to_owned());
            match known {
                Some(known) => known.check(variable, &format!("the parameter `{name}`"), &value)?,
                None if is_option(&name) => parameters.settings.push((name.clone(), value.clone())),
                None => return Err(unknown(variable, &name, after_password)),
            }
            if let Some(Parameter { effect: Effect::Read, names: [first, ..] }) = known {
                parameters.read.push((first, value));
            }
        }
        for (name, parameter) in VARIABLES {
            let value = environment(name).filter(|value| !value.is_empty());
            if let (Some(value), Some(known)) = (value, known(parameter))
                && !names.iter().any(|name| name == known.names[0])
            {
                known.check("the environment", &format!("`{name}`"), &value)?;
            }
        }
        Ok(parameters)
    }

    /// The value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.read.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The query of those that sqlx reads.
    pub(super) fn for_sqlx(&self) -> String {
        let read = self.read.iter().filter(|(name, _)| FOR_SQLX.contains(name));
        let read = read.map(|(name, value)| (*name, value.as_str()));
        let settings = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let pairs = read.chain(settings);
        let pairs =
            pairs.map(|(name, value)| format!("{}={}", percent::encoded(name), percent::encoded(value)));
        pairs.collect::<Vec<_>>().join("&")
    }
}

impl Parameter {
    fn check(&self, variable: &str, named: &str, value: &str) -> Result<()> {
        match self.effect {
            Effect::Read | Effect::None => Ok(()),
            Effect::NoneWith(values, _) if values.iter().any(|other| other.eq_ignore_ascii_case(value)) => {
                Ok(())
            }
            Effect::NoneWith(_, refusal) => Err(refusal.of(variable, named, " with this value")),
            Effect::Refused(refusal) => Err(refusal.of(variable, named, "")),
        }
    }
}

impl Refusal {
    fn of(self, variable: &str, named: &str, value: &str) -> Error {
        let place = if variable.starts_with("the ") { variable.to_owned() } else { format!("`{variable}`") };
        config(format!("{place} has {named}{value}, {}", self.why), self.instead)
    }
}

/// Whether a name is that of a parameter.
pub(super) fn is_parameter(name: &str) -> bool {
    known(name).is_some() || is_option(name)
}

fn known(name: &str) -> Option<&'static Parameter> {
    PARAMETERS.iter().find(|parameter| parameter.names.contains(&name))
}

/// `options[search_path]`, as sqlx takes a setting of the server.
fn is_option(name: &str) -> bool {
    name.strip_prefix("options[").is_some_and(|rest| rest.len() > 1 && rest.ends_with(']'))
}

fn unknown(variable: &str, name: &str, after_password: bool) -> Error {
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '[' | ']'));
    if after_password || !is_name || name.is_empty() {
        // Where a password has a `&`, the rest of it is parsed as the next parameter.
        return config(
            format!("`{variable}` has a parameter that is not known, so it would be ignored"),
            "in a value, `&` is written `%26`; or leave it out",
        );
    }
    let same = |parameter: &&Parameter| parameter.names.iter().any(|known| known.eq_ignore_ascii_case(name));
    match PARAMETERS.iter().find(same) {
        Some(parameter) => config(
            format!("`{variable}` has the unknown parameter `{name}`, so it would be ignored"),
            &format!("it is written `{}`", parameter.names[0]),
        ),
        None => config(
            format!("`{variable}` has the unknown parameter `{name}`, so it would be ignored"),
            &format!("leave it out, or {AS_OPTION}"),
        ),
    }
}

fn config(message: String, hint: &str) -> Error {
    Error::config(message, hint)
}

/// As sqlx decodes a query: a plus sign is a blank.
fn decoded(text: &str) -> String {
    percent::decoded(&text.replace('+', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Parameters> {
        Parameters::parse("DATABASE_URL", query, |_| None)
    }

    #[test]
    fn parameters_that_change_nothing_are_accepted() {
        for query in [
            "",
            "&",
            "connect_timeout=10&keepalives=1&keepalives_idle=30&keepalives_interval=5&keepalives_count=3",
            "tcp_user_timeout=5000&application_name=x&fallback_application_name=y&client_encoding=UTF8",
            "gssencmode=disable&sslcompression=0&sslsni=1&target_session_attrs=any&load_balance_hosts=random",
            "channel_binding=prefer&ssl_min_protocol_version=TLSv1.2&replication=false&sslnegotiation=postgres",
            "options=-csearch_path%3Dapp&sslmode=verify-full&sslrootcert=/ca.crt&sslcert=a&sslkey=b",
            "host=/var/run/postgresql&port=5433&user=u&password=p%26q&dbname=d&hostaddr=::1",
            "ssl-mode=require&ssl-ca=x&statement-cache-capacity=0&options[search_path]=app&options[x.y]=1",
            "pgbouncer=true&connection_limit=1&pool_timeout=10&supa=base-pooler.x&ApplicationName=app&ssl=true",
        ] {
            assert!(parse(query).is_ok(), "{query}: {:?}", parse(query).err());
        }
    }

    #[test]
    fn parameters_that_would_be_ignored_are_refused_with_what_works() {
        for (query, name, hint) in [
            ("search_path=s3cr3t", "`search_path`", "`options=-csearch_path%3DSCHEMA`"),
            ("sslmode=require&schema=s3cr3t", "`schema`", "`options=-csearch_path%3DSCHEMA`"),
            ("currentSchema=s3cr3t", "`currentSchema`", "`options=-csearch_path%3DSCHEMA`"),
            ("schema_search_path=s3cr3t", "`schema_search_path`", "`options=-csearch_path%3DSCHEMA`"),
            ("%73chema=s3cr3t", "`schema`", "`options=-csearch_path%3DSCHEMA`"),
            ("statement_timeout=s3cr3t", "`statement_timeout`", "`options=-cNAME%3DVALUE`"),
            ("Search_Path=s3cr3t", "`Search_Path`", "`search_path`"),
            ("SSLMODE=s3cr3t", "`SSLMODE`", "`sslmode`"),
            ("channel_binding=require", "`channel_binding`", "`sslmode=verify-full`"),
            ("require_auth=scram-sha-256", "`require_auth`", "`sslmode=verify-full`"),
            ("gssencmode=require", "`gssencmode`", "`sslmode=verify-full`"),
            ("sslaccept=strict", "`sslaccept`", "`sslmode=verify-full`"),
            ("sslcrl=/s3cr3t", "`sslcrl`", "leave it out"),
            ("ssl_min_protocol_version=TLSv1.3", "`ssl_min_protocol_version`", "leave it out"),
            ("client_encoding=s3cr3t", "`client_encoding`", "leave it out"),
            ("replication=database", "`replication`", "leave it out"),
            ("service=s3cr3t", "`service`", "into the URL"),
            ("sslmode=require&sslmode=s3cr3t", "`sslmode` twice", "once"),
            ("ssl-mode=require&sslmode=require", "`sslmode` twice", "once"),
            ("options=-ca%3D1&options=-cb%3D2", "`options` twice", "once"),
            ("s3cr3t", "no value", "`%26`"),
            ("password=a&s3cr3t", "no value", "`%26`"),
            ("password=a&s3cr3t=b", "a parameter that is not known", "`%26`"),
            ("s3cr3t!=b", "a parameter that is not known", "`%26`"),
        ] {
            let error = parse(query).err().unwrap_or_else(|| panic!("{query} is accepted"));
            let (message, hint_of) = (error.to_string(), error.hint().unwrap());
            assert!(message.contains(name) && message.contains("`DATABASE_URL`"), "{query}: {message}");
            assert!(hint_of.contains(hint), "{query}: {hint_of}");
            assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
        }
    }

    #[test]
    fn a_protection_that_a_variable_of_libpq_asks_for_is_refused_too() {
        let with = |query: &str, name: &'static str, value: &'static str| {
            Parameters::parse("DATABASE_URL", query, |asked| (asked == name).then(|| value.to_owned()))
        };
        for (name, value) in [
            ("PGCHANNELBINDING", "require"),
            ("PGREQUIREAUTH", "scram-sha-256"),
            ("PGGSSENCMODE", "require"),
            ("PGSSLCRL", "/crl"),
            ("PGSERVICE", "s3cr3t"),
        ] {
            let error = with("", name, value).err().unwrap().to_string();
            assert!(error.contains(&format!("the environment has `{name}`")), "{error}");
        }
        assert!(with("", "PGCHANNELBINDING", "prefer").is_ok() && with("", "PGREQUIREAUTH", "").is_ok());
        // A parameter wins over its variable.
        assert!(with("channel_binding=disable", "PGCHANNELBINDING", "require").is_ok());
    }

    #[test]
    fn no_name_is_known_twice() {
        let mut names: Vec<_> = PARAMETERS.iter().flat_map(|parameter| parameter.names).collect();
        let known = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), known);
    }
}

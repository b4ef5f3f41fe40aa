//! How a connection is encrypted and the server is checked, as libpq does it.
//!
//! sqlx differs: to it `sslmode=require` never checks a certificate, `sslrootcert=system` is a file of that name, an
//! `sslmode` in `PGSSLMODE` that it cannot read is `prefer`, and a Unix socket is asked for TLS.

use std::path::{Path, PathBuf};

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::parameters::Parameters;
use crate::config::trust::{self, Trust};
use crate::error::{Error, Result};

const PGSSLMODE: &str = "PGSSLMODE";
const PGSSLROOTCERT: &str = "PGSSLROOTCERT";
/// The certificates of the operating system, as libpq calls them since PostgreSQL 16.
const SYSTEM: &str = "system";
/// `require` that checks nothing, whatever else is set: node-postgres has it, and hosts write it into the URLs that they give.
const NO_VERIFY: &str = "no-verify";
/// What a file of certificates contains.
const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Where the settings come from.
pub(super) struct Given<'a, E> {
    /// The variable that has the URL.
    pub(super) variable: &'a str,
    pub(super) parameters: &'a Parameters,
    pub(super) environment: E,
    /// libpq's own file of certificates, if there is one.
    pub(super) own_root: Option<PathBuf>,
}

/// `~/.postgresql/root.crt`, if it exists.
pub(super) fn own_root(home: Option<&PathBuf>) -> Option<PathBuf> {
    home.map(|home| home.join(".postgresql/root.crt")).filter(|file| file.exists())
}

impl<E: Fn(&str) -> Option<String>> Given<'_, E> {
    /// Gives the options the certificates and the mode that libpq would use, and returns whose certificates are trusted.
    ///
    /// # Errors
    /// [`Error::Config`] for a protection that would be missing.
    pub(super) fn apply(
        &self,
        options: PgConnectOptions,
        mode: Option<PgSslMode>,
    ) -> Result<(PgConnectOptions, Trust)> {
        if options.get_socket().is_some() || options.get_host().starts_with('/') {
            return Ok((options.ssl_mode(PgSslMode::Disable), Trust::Unchecked));
        }
        if !matches!(mode, Some(PgSslMode::Disable | PgSslMode::Allow)) {
            self.check_client()?;
        }
        if self.mode_text().is_some_and(|(mode, _)| mode == NO_VERIFY) {
            return Ok((options.ssl_mode(PgSslMode::Require), Trust::Unchecked));
        }
        let root = self.root();
        if root.as_ref().is_some_and(|root| root.value == SYSTEM) {
            return self.with_system(options, mode);
        }
        let mode = mode.unwrap_or_default();
        self.check_negotiation(mode)?;
        if !matches!(mode, PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull) {
            return Ok((options.ssl_mode(mode), Trust::Unchecked));
        }
        let options = match (&root, &self.own_root) {
            (Some(root), _) => root.give(options)?,
            (None, Some(own)) => options.ssl_root_cert(own),
            (None, None) if matches!(mode, PgSslMode::VerifyCa) && !self.has_system_replaced() => {
                return Err(self.wrong(
                    "`sslmode=verify-ca` without `sslrootcert`: any certificate of any authority that the system \
                     trusts would do, whatever server it is for",
                    "set `sslmode=verify-full`, or name the file of the authority's certificate in `sslrootcert`",
                ));
            }
            (None, None) => options.ssl_root_cert_from_pem(Vec::new()),
        };
        let is_named = root.is_some() || self.own_root.is_some();
        // https://www.postgresql.org/docs/current/libpq-ssl.html#LIBQ-SSL-CERTIFICATES
        let (mode, trust) = match mode {
            PgSslMode::Require if is_named => (PgSslMode::VerifyCa, Trust::Named),
            PgSslMode::Require => (mode, Trust::Unchecked),
            _ => (mode, if is_named { Trust::Named } else { Trust::System }),
        };
        Ok((options.ssl_mode(mode), trust))
    }

    /// The mode that is asked for, if any is.
    ///
    /// # Errors
    /// [`Error::Config`] for one that is unknown, or contradicts itself.
    pub(super) fn mode(&self) -> Result<Option<PgSslMode>> {
        let ssl = self.parameters.get("ssl");
        let mode = match self.mode_text() {
            Some((text, _)) if text == NO_VERIFY => Some(PgSslMode::Require),
            Some((text, place)) => Some(text.parse().map_err(|_| {
                self.wrong(
                    &format!("a value of {place} that is not known"),
                    "write `verify-full`, or `verify-ca`, `require`, `prefer`, `allow` or `disable`",
                )
            })?),
            None => None,
        };
        let is_encrypted =
            matches!(mode, Some(PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull));
        match ssl {
            None | Some("false" | "0") => {}
            Some("true") if is_encrypted => {}
            Some("true") => {
                return Err(self.wrong(
                    "`ssl=true` and an `sslmode` that goes without",
                    "write `sslmode=verify-full` alone",
                ));
            }
            // Each driver means something else by it.
            Some(_) => {
                return Err(self.wrong(
                    "the parameter `ssl` with a value that PostgreSQL does not know",
                    "write `sslmode=verify-full`, or `sslmode=require` where the server cannot be checked",
                ));
            }
        }
        Ok(mode)
    }

    /// The mode as it is written, and where.
    fn mode_text(&self) -> Option<(String, &'static str)> {
        match (self.parameters.get("sslmode"), self.parameters.get("ssl")) {
            (Some(mode), _) => Some((mode.to_owned(), "`sslmode`")),
            (None, Some("true")) => Some(("require".to_owned(), "`ssl`")),
            (None, _) => (self.environment)(PGSSLMODE)
                .filter(|mode| !mode.is_empty())
                .map(|mode| (mode, "`PGSSLMODE` in the environment")),
        }
    }

    /// The system's certificates: sqlx uses them where no other file is named.
    fn with_system(
        &self,
        options: PgConnectOptions,
        mode: Option<PgSslMode>,
    ) -> Result<(PgConnectOptions, Trust)> {
        match mode {
            None | Some(PgSslMode::VerifyFull) => {
                let options = options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert_from_pem(Vec::new());
                Ok((options, Trust::System))
            }
            Some(_) => Err(self.wrong(
                "`sslrootcert=system` with an `sslmode` that does not check the server's name: any certificate of \
                 any authority would do",
                "set `sslmode=verify-full`",
            )),
        }
    }

    /// TLS without asking first, which sqlx cannot do, is for servers that are certain to have it.
    fn check_negotiation(&self, mode: PgSslMode) -> Result<()> {
        let is_weak = matches!(mode, PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer);
        match self.parameters.get("sslnegotiation") {
            Some("direct") if is_weak => Err(self.wrong(
                "`sslnegotiation=direct` with an `sslmode` that goes without",
                "set `sslmode=verify-full`",
            )),
            None | Some("postgres" | "direct") => Ok(()),
            Some(_) => Err(self
                .wrong("a value of `sslnegotiation` that is not known", "write `postgres`, or leave it out")),
        }
    }

    fn root(&self) -> Option<Root> {
        self.file("sslrootcert", PGSSLROOTCERT)
    }

    /// What a parameter or its variable names.
    fn file(&self, parameter: &str, variable: &str) -> Option<Root> {
        let of_url = self.parameters.get(parameter).filter(|value| !value.is_empty());
        let of_environment = || (self.environment)(variable).filter(|value| !value.is_empty());
        match of_url {
            Some(value) => {
                Some(Root { value: value.to_owned(), named: format!("`{parameter}` in `{}`", self.variable) })
            }
            None => of_environment().map(|value| Root { value, named: format!("`{variable}`") }),
        }
    }

    /// The client's own certificate and key. sqlx reports a missing file as it reports a missing server.
    fn check_client(&self) -> Result<()> {
        let (certificate, key) = (self.file("sslcert", "PGSSLCERT"), self.file("sslkey", "PGSSLKEY"));
        match (&certificate, &key) {
            (Some(only), None) | (None, Some(only)) => Err(Error::config(
                format!("{} is set, and not the other one of `sslcert` and `sslkey`", only.named),
                "name the client's certificate in `sslcert` and its key in `sslkey`, or leave \
                    both out",
            )),
            (None, None) => Ok(()),
            (Some(certificate), Some(key)) => {
                certificate.expect_pem(CERTIFICATE)?;
                key.expect_pem(b"PRIVATE KEY-----")
            }
        }
    }

    /// Whether a variable names the file of the system's certificates.
    fn has_system_replaced(&self) -> bool {
        let chosen = |name: &str| (self.environment)(name).is_some_and(|value| value != trust::NONE);
        chosen(trust::SSL_CERT_FILE) || chosen(trust::SSL_CERT_DIR)
    }

    fn wrong(&self, what: &str, hint: &str) -> Error {
        Error::config(format!("`{}` has {what}", self.variable), hint)
    }
}

/// A file of certificates or of a key, or what it contains.
struct Root {
    value: String,
    named: String,
}

impl Root {
    /// Of the client's files: that they are there, and contain what they should.
    fn expect_pem(&self, part: &[u8]) -> Result<()> {
        let wrong = |reason: String| {
            Error::config(
                format!("{} {reason}, so the client would have no certificate", self.named),
                "name files in PEM, the key without a password; where they are mounted into the \
                    app's container, mount them here too",
            )
        };
        let has_part = |bytes: &[u8]| bytes.windows(part.len()).any(|found| found == part);
        if has_part(self.value.as_bytes()) {
            return Ok(());
        }
        let bytes = std::fs::read(Path::new(&self.value))
            .map_err(|error| wrong(format!("names a file that cannot be read ({error})")))?;
        if has_part(&bytes) { Ok(()) } else { Err(wrong("names a file without one in PEM".into())) }
    }

    /// sqlx would trust the system's authorities alone where the file has none.
    fn give(&self, options: PgConnectOptions) -> Result<PgConnectOptions> {
        let wrong = |reason: String| {
            Error::config(
                format!("{} {reason}, so the server could not be checked", self.named),
                "name a file with the certificate of the server's authority, in PEM; where it is mounted into the \
                   app's container, mount it here too",
            )
        };
        let has_certificate = |bytes: &[u8]| bytes.windows(CERTIFICATE.len()).any(|part| part == CERTIFICATE);
        if has_certificate(self.value.as_bytes()) {
            return Ok(options.ssl_root_cert_from_pem(self.value.clone().into_bytes()));
        }
        let bytes = std::fs::read(Path::new(&self.value))
            .map_err(|error| wrong(format!("names a file that cannot be read ({error})")))?;
        if !has_certificate(&bytes) {
            return Err(wrong("names a file without a certificate".into()));
        }
        Ok(options.ssl_root_cert(&self.value))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::str::FromStr;

    use super::*;

    /// A certificate in place of the name of its file.
    const INLINE: &str = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";

    /// A query, variables, and the mode or a part of the error.
    type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);

    /// The mode that a connection gets, or the error: with this query, these variables, and a file of libpq's own or none.
    fn mode(query: &str, variables: &[(&str, &str)], own_root: Option<&Path>) -> String {
        let parameters = match Parameters::parse("DATABASE_URL", query, |_| None) {
            Ok(parameters) => parameters,
            Err(error) => return error.to_string(),
        };
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        let given = Given {
            variable: "DATABASE_URL",
            parameters: &parameters,
            environment: |name: &str| find(name).map(|(_, value)| (*value).to_owned()),
            own_root: own_root.map(Into::into),
        };
        let options = PgConnectOptions::from_str("postgres://u@db.example/d").unwrap();
        match given.mode().and_then(|mode| given.apply(options, mode)) {
            Ok((options, _)) => format!("{:?}", options.get_ssl_mode()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_mode_is_libpqs() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let file = folder.path().join(name);
            fs::write(&file, text).unwrap();
            file.display().to_string()
        };
        let ca = file("ca.crt", INLINE);
        let empty = file("empty.crt", "nothing\n");
        let cases: &[Case] = &[
            ("", &[], "Prefer"),
            ("sslmode=disable", &[], "Disable"),
            ("ssl-mode=VERIFY-FULL", &[], "VerifyFull"),
            ("", &[("PGSSLMODE", "require")], "Require"),
            ("sslmode=prefer", &[("PGSSLMODE", "require")], "Prefer"),
            ("", &[("PGSSLMODE", "")], "Prefer"),
            ("", &[("PGSSLMODE", "verify_full")], "a value of `PGSSLMODE` in the environment"),
            ("sslmode=s3cr3t", &[], "a value of `sslmode` that is not known"),
            ("sslmode=no-verify", &[], "Require"),
            ("sslmode=no-verify&sslrootcert=CA", &[], "Require"),
            ("sslmode=no-verify", &[("PGSSLROOTCERT", "system")], "Require"),
            ("ssl=true", &[], "Require"),
            ("ssl=true&sslmode=verify-full", &[], "VerifyFull"),
            ("ssl=true&sslmode=disable", &[], "`ssl=true` and an `sslmode`"),
            ("ssl=false", &[], "Prefer"),
            ("ssl=require", &[], "the parameter `ssl` with a value"),
            // A file of certificates is there to be checked against.
            ("sslmode=require&sslrootcert=CA", &[], "VerifyCa"),
            ("sslmode=require", &[("PGSSLROOTCERT", "CA")], "VerifyCa"),
            ("sslmode=require", &[("PGSSLROOTCERT", INLINE)], "VerifyCa"),
            ("ssl=true&ssl-ca=CA", &[], "VerifyCa"),
            ("sslmode=verify-full&sslrootcert=CA", &[], "VerifyFull"),
            ("sslmode=prefer&sslrootcert=CA", &[], "Prefer"),
            (
                "sslmode=require&sslrootcert=/missing/ca.crt",
                &[],
                "`sslrootcert` in `DATABASE_URL` names a file",
            ),
            ("sslmode=verify-full&sslrootcert=EMPTY", &[], "names a file without a certificate"),
            ("sslmode=require", &[("PGSSLROOTCERT", "EMPTY")], "`PGSSLROOTCERT` names a file without"),
            ("sslmode=verify-ca", &[], "`sslmode=verify-ca` without `sslrootcert`"),
            ("sslmode=verify-ca", &[("SSL_CERT_FILE", "CA")], "VerifyCa"),
            ("sslmode=verify-full", &[], "VerifyFull"),
            // The system's certificates prove something only together with the server's name.
            ("sslrootcert=system", &[], "VerifyFull"),
            ("sslmode=verify-full&sslrootcert=system", &[], "VerifyFull"),
            ("sslmode=verify-full", &[("PGSSLROOTCERT", "system")], "VerifyFull"),
            ("sslmode=require&sslrootcert=system", &[], "`sslrootcert=system` with an `sslmode`"),
            ("sslmode=verify-ca&sslrootcert=system", &[], "`sslrootcert=system` with an `sslmode`"),
            ("sslmode=disable", &[("PGSSLROOTCERT", "system")], "`sslrootcert=system` with an `sslmode`"),
            ("sslmode=require&sslcert=CA", &[], "`sslcert` in `DATABASE_URL` is set, and not the other"),
            ("sslmode=require", &[("PGSSLKEY", "CA")], "`PGSSLKEY` is set, and not the other"),
            (
                "sslmode=require&sslcert=/missing.crt&sslkey=/missing.key",
                &[],
                "`sslcert` in `DATABASE_URL` names a file",
            ),
            (
                "sslmode=require&sslcert=CA&sslkey=/missing.key",
                &[],
                "`sslkey` in `DATABASE_URL` names a file that",
            ),
            (
                "sslmode=require&sslcert=CA&sslkey=EMPTY",
                &[],
                "`sslkey` in `DATABASE_URL` names a file without",
            ),
            ("sslmode=disable&sslcert=/missing.crt", &[], "Disable"),
            ("sslnegotiation=direct", &[], "`sslnegotiation=direct` with"),
            ("sslnegotiation=direct&sslmode=verify-full", &[], "VerifyFull"),
            ("sslnegotiation=x", &[], "a value of `sslnegotiation`"),
        ];
        for (query, variables, expected) in cases {
            let named = |text: &str| text.replace("CA", &ca).replace("EMPTY", &empty);
            let with_files: Vec<_> = variables
                .iter()
                .map(|(name, value)| {
                    (*name, if value.contains("BEGIN") { (*value).to_owned() } else { named(value) })
                })
                .collect();
            let with_files: Vec<_> = with_files.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let mode = mode(&named(query), &with_files, None);
            let is_right = if expected.contains('`') || expected.contains(' ') {
                mode.contains(expected)
            } else {
                mode == *expected
            };
            assert!(is_right, "{query} {variables:?}: {mode}");
            assert!(!mode.contains("s3cr3t"), "{mode}");
        }
        for (query, expected) in [
            ("sslmode=require", "VerifyCa"),
            ("sslmode=verify-ca", "VerifyCa"),
            ("sslmode=verify-full", "VerifyFull"),
            ("sslmode=prefer", "Prefer"),
        ] {
            assert_eq!(
                mode(query, &[], Some(Path::new(&ca))),
                expected,
                "{query} with ~/.postgresql/root.crt"
            );
        }
    }
}

//! The addresses of a version's image and chart.

use std::fmt;
use std::str::FromStr;

use anyhow::{Error, Result, ensure};

use crate::release::version::Version;

/// The chart's name, which `Chart.yaml` has too.
pub(super) const CHART: &str = "corveil-chart";

/// The prefix of the names of image and chart: `ghcr.io/corveil`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Address(String);

impl FromStr for Address {
    type Err = Error;

    /// With `oci://`, as on the command line and for Helm, or without, as in the names of images.
    fn from_str(text: &str) -> Result<Self> {
        let address = text.strip_prefix("oci://").unwrap_or(text);
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-:[]".contains(c);
        let is_sound =
            |part: &str| part.chars().all(is_plain) && part.contains(|c: char| c.is_ascii_alphanumeric());
        // The error does not quote the address, which may have a password in it.
        ensure!(
            address.split('/').all(is_sound) && !address.contains("://"),
            "not the address of a registry\nhint: `--registry` takes `oci://ghcr.io/corveil`, in lower case and without credentials"
        );
        Ok(Self(address.to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Address {
    pub(super) fn repository(&self) -> String {
        format!("{self}/corveil")
    }

    pub(super) fn image(&self, version: Version) -> String {
        format!("{self}/corveil:{version}")
    }

    pub(super) fn chart(&self, version: Version) -> String {
        format!("{self}/charts/{CHART}:{version}")
    }

    /// A registry on this machine needs no TLS: the connection does not leave the machine.
    pub(super) fn is_local(&self) -> bool {
        let host = self.0.split('/').next().unwrap_or_default();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
            _ => host,
        };
        name == "localhost" || name == "[::1]" || name.starts_with("127.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().expect(text)
    }

    #[test]
    fn an_address_names_image_and_chart() {
        let version = "2.1.0".parse().expect("a version");
        let ghcr = address("oci://ghcr.io/corveil");
        assert_eq!(ghcr, address("ghcr.io/corveil"));
        assert_eq!(ghcr.image(version), "ghcr.io/corveil/corveil:2.1.0");
        assert_eq!(ghcr.chart(version), "ghcr.io/corveil/charts/corveil-chart:2.1.0");
    }

    #[test]
    fn an_address_has_no_credentials_and_an_error_does_not_repeat_them() {
        for wrong in
            ["", "oci://", "https://ghcr.io", "oci://user:secret@ghcr.io/a", "ghcr.io//a", "Ghcr.io/a"]
        {
            let error = wrong.parse::<Address>().expect_err(wrong).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn only_a_registry_on_this_machine_is_used_without_tls() {
        for local in ["localhost:5000/a", "127.0.0.1:5000", "[::1]:5000/a", "localhost"] {
            assert!(address(local).is_local(), "{local}");
        }
        for remote in ["ghcr.io/localhost", "localhost.example/a", "10.0.0.1:5000/a", "127x.example"] {
            assert!(!address(remote).is_local(), "{remote}");
        }
    }
}

//! Versions of releases: three numbers, compared as numbers.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Error, Result, bail};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version([u32; 3]);

impl Version {
    /// The name of its tag.
    pub(super) fn tag(self) -> String {
        format!("v{self}")
    }
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers: Vec<_> = text.split('.').collect();
        let [major, minor, patch] = *numbers else {
            bail!("`{text}` is not a version\nhint: write three numbers, such as 2.1.0");
        };
        let number = |text: &str| {
            let is_plain = text == "0" || !text.starts_with(['0', '+']);
            let number = text.parse().ok().filter(|_| is_plain);
            number.with_context(|| {
                format!("`{text}` is not a version\nhint: write three numbers, such as 2.1.0")
            })
        };
        Ok(Self([number(major)?, number(minor)?, number(patch)?]))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([major, minor, patch]) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_three_numbers_and_compare_as_such() {
        let version = |text: &str| text.parse::<Version>().expect(text);
        assert!(version("2.10.0") > version("2.9.9"));
        assert!(version("3.0.0") > version("2.10.0"));
        assert_eq!(version("2.1.0").to_string(), "2.1.0");
        assert_eq!(version("2.1.0").tag(), "v2.1.0");
        for wrong in ["", "2", "2.1", "v2.1.0", "2.1.0-rc.1", "2.01.0", "2.+1.0", "2.1.0.0"] {
            assert!(wrong.parse::<Version>().is_err(), "{wrong}");
        }
    }
}

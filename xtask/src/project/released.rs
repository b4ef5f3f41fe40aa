//! The release of this checkout: its version, from `Cargo.toml`, and its image, from `release.yaml`.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

pub const FILE: &str = "release.yaml";

/// The file with the version that all others follow.
pub const MANIFEST: &str = "Cargo.toml";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Released {
    /// The prefix of the names of image and chart: `ghcr.io/corveil`.
    pub registry: String,
    /// The digest of the image's manifest; empty as long as this version has no image.
    pub digest: String,
}

/// The release of the checkout. The file is read at run time and not at compile time: a release writes both files in another
/// folder.
pub fn current() -> &'static Released {
    static RELEASED: LazyLock<Released> = LazyLock::new(|| must(read(crate::project::root())));
    &RELEASED
}

/// The checkout's version.
pub fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| must(version_of(crate::project::root())));
    &VERSION
}

/// Without these files nothing in a checkout can be generated or built.
fn must<T>(read: Result<T>) -> T {
    read.unwrap_or_else(|error| panic!("{error:#}"))
}

pub fn read(root: &Path) -> Result<Released> {
    let path = root.join(FILE);
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    serde_yaml::from_str(&text).with_context(|| format!("read {}", path.display()))
}

pub fn version_of(root: &Path) -> Result<String> {
    let path = root.join(MANIFEST);
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let version = version_in(&text).with_context(|| format!("no version in {}", path.display()))?;
    Ok(version.to_owned())
}

fn version_in(manifest: &str) -> Option<&str> {
    let (_, package) = manifest.split_once("[workspace.package]\n")?;
    let line = package.lines().take_while(|line| !line.starts_with('['));
    line.into_iter().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
}

impl Released {
    /// The image without tag and digest.
    pub fn repository(&self) -> String {
        format!("{}/corveil", self.registry)
    }

    /// The image of this version: by its digest, which cannot change, once it has one.
    pub fn image(&self, version: &str) -> String {
        let repository = self.repository();
        if self.digest.is_empty() {
            format!("{repository}:{version}")
        } else {
            format!("{repository}@{}", self.digest)
        }
    }

    /// The file's text with these two values; its comments stay.
    pub fn in_text(&self, text: &str) -> Result<String> {
        let comments = text.lines().take_while(|line| line.starts_with('#'));
        let comments = comments.collect::<Vec<_>>().join("\n");
        Ok(format!("{comments}\n{}", serde_yaml::to_string(self)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_workspace() {
        assert_eq!(version(), env!("CARGO_PKG_VERSION"));
        let text = "[package]\nversion = \"1\"\n[workspace.package]\nedition = \"x\"\nversion = \"2\"\n";
        assert_eq!(version_in(text), Some("2"));
        assert_eq!(version_in("[workspace.package]\n[other]\nversion = \"2\"\n"), None);
    }

    #[test]
    fn an_image_has_a_tag_until_it_has_a_digest() {
        let mut released = Released { registry: "localhost:5000/a".to_owned(), digest: String::new() };
        assert_eq!(released.image("1.2.3"), "localhost:5000/a/corveil:1.2.3");
        released.digest = "sha256:12".to_owned();
        assert_eq!(released.image("1.2.3"), "localhost:5000/a/corveil@sha256:12");
    }

    #[test]
    fn the_file_keeps_its_comments() {
        let path = crate::project::root().join(FILE);
        let text = fs::read_to_string(path).expect("a file");
        assert_eq!(current().in_text(&text).expect("YAML"), text);
    }
}

//! Every place that has the version or the registry in it and that `cargo xtask gen` does not write.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// A file, and a text in it with `{version}` and maybe `{registry}`.
struct Place {
    path: &'static str,
    pattern: &'static str,
}

const fn place(path: &'static str, pattern: &'static str) -> Place {
    Place { path, pattern }
}

const PLACES: [Place; 16] = [
    place("Cargo.toml", "[workspace.package]\nversion = \"{version}\"\n"),
    place("Cargo.lock", "name = \"corveil\"\nversion = \"{version}\"\n"),
    place("Cargo.lock", "name = \"e2e\"\nversion = \"{version}\"\n"),
    place("Cargo.lock", "name = \"xtask\"\nversion = \"{version}\"\n"),
    place("README.md", "oci://{registry}/charts/corveil-chart --version {version}"),
    place("README.md", "{registry}/corveil:{version} "),
    place("README.md", "releases/download/v{version}/corveil-{version}-linux-amd64.tar.gz"),
    place("docs/install.md", "oci://{registry}/charts/corveil-chart --version {version}"),
    place("docs/from-chart-1.md", "oci://{registry}/charts/corveil-chart --version {version}"),
    place("docs/from-chart-1.md", "--image={registry}/corveil:{version} "),
    place("docs/from-chart-1.md", "\"image\": \"{registry}/corveil:{version}\""),
    place("chart/Chart.yaml", "\nversion: {version}\n"),
    place("chart/Chart.yaml", "\nappVersion: {version}\n"),
    place("chart/README.md", "oci://{registry}/charts/corveil-chart --version {version}"),
    place("helmfile.yaml", "CORVEIL_CHART=oci://{registry}/charts/corveil-chart`"),
    place("helmfile.yaml", "\n    version: {version}\n"),
];

/// The values for the placeholders.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) version: &'a str,
    pub(super) registry: &'a str,
}

impl Names<'_> {
    fn fill(self, pattern: &str) -> String {
        pattern.replace("{version}", self.version).replace("{registry}", self.registry)
    }
}

/// Writes the new names in every place, or in none if one of them does not have the old.
pub(super) fn write(root: &Path, old: Names, new: Names) -> Result<()> {
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    for Place { path, pattern } in PLACES {
        if !files.contains_key(path) {
            let text = fs::read_to_string(root.join(path)).with_context(|| format!("read `{path}`"))?;
            files.insert(path, text);
        }
        let text = files.entry(path).or_default();
        let (from, to) = (old.fill(pattern), new.fill(pattern));
        ensure!(
            text.contains(&from),
            "`{path}` does not have `{}`\nhint: correct the file, or its pattern in `xtask/src/release/places.rs`",
            from.trim()
        );
        *text = text.replace(&from, &to);
    }
    for (path, text) in files {
        fs::write(root.join(path), text).with_context(|| format!("write `{path}`"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::released;

    fn now() -> Names<'static> {
        Names { version: released::version(), registry: &released::current().registry }
    }

    /// A copy of the files in a temporary folder.
    fn copy() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for Place { path, .. } in PLACES {
            let to = folder.path().join(path);
            fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            fs::copy(crate::project::root().join(path), to).expect(path);
        }
        folder
    }

    #[test]
    fn every_place_of_the_checkout_has_its_version() {
        let folder = copy();
        let new = Names { version: "97.98.99", registry: "localhost:5000/team" };
        write(folder.path(), now(), new).unwrap_or_else(|error| panic!("{error:#}"));
        for Place { path, pattern } in PLACES {
            let text = fs::read_to_string(folder.path().join(path)).expect(path);
            assert!(text.contains(&new.fill(pattern)), "{path}");
        }
        write(folder.path(), new, now()).expect("every place has the new version");
        for Place { path, .. } in PLACES {
            let [before, after] =
                [crate::project::root(), folder.path()].map(|root| fs::read(root.join(path)).expect(path));
            assert_eq!(before, after, "{path}");
        }
    }

    #[test]
    fn a_file_without_the_pattern_is_named_and_nothing_is_written() {
        let folder = copy();
        let (chart, manifest) = (folder.path().join("chart/Chart.yaml"), folder.path().join("Cargo.toml"));
        fs::write(&chart, "version: 0\n").expect("a file");
        let before = fs::read(&manifest).expect("a file");
        let new = Names { version: "97.98.99", ..now() };
        let error = write(folder.path(), now(), new).expect_err("a place is missing").to_string();
        assert!(error.contains("chart/Chart.yaml") && error.contains("version: "), "{error}");
        assert_eq!(before, fs::read(&manifest).expect("a file"));
    }
}

//! Lists the contents of the image as CycloneDX: the crates of the program, and the libraries that it is linked with. The
//! same image gives the same list.
//!
//! <https://cyclonedx.org/docs/1.6/json/>

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use xshell::cmd;

use crate::image::architecture::Architecture;
use crate::project::cargo::cargo;
use crate::release::copy::Copy;
use crate::release::image::Image;

/// Debian's packages of which the image has a part: the C library is in the program, the certificates are next to it.
const PACKAGES: [&str; 4] =
    ["ca-certificates", "libc6-dev", "libc6-dev-amd64-cross", "libc6-dev-arm64-cross"];

#[derive(Debug, Default, PartialEq)]
struct Tree {
    /// The components by package URL.
    licenses: BTreeMap<String, String>,
    edges: BTreeMap<String, BTreeSet<String>>,
}

pub(super) fn write(copy: &Copy, image: &Image, reference: &str, file: &Path) -> Result<()> {
    let sh = copy.shell();
    let version = cmd!(sh, "rustc --version --verbose").read()?;
    let field = |name: &str| {
        let value = version.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.with_context(|| format!("`rustc --version --verbose` names no {name}"))
    };
    let rust = field("release")?;
    let targets = Architecture::ALL.iter().flat_map(|architecture| ["--target", architecture.target()]);
    let tree = cargo(sh, &["tree", "--locked", "--no-default-features", "--package", "corveil"])
        .args(["--edges", "normal,no-proc-macro", "--prefix", "depth"])
        .args(targets)
        .args(["--format", "\t{p}\t{l}\t"])
        .read()?;
    let mut extra = vec![format!("pkg:generic/rust-std@{rust}")];
    for package in PACKAGES {
        let ask = ["--show", "--showformat=${Version}", package];
        // Other systems do not have `dpkg-query`.
        if let Ok(version) = cmd!(sh, "dpkg-query {ask...}").ignore_stderr().read() {
            extra.push(format!("pkg:deb/debian/{package}@{version}"));
        }
    }
    let bom = bom(&read(&tree)?, &checksums(&copy.read("Cargo.lock")?), &extra, reference, &image.digest);
    fs::write(file, serde_json::to_string_pretty(&bom)? + "\n")
        .with_context(|| format!("write {}", file.display()))
}

fn bom(
    tree: &Tree,
    checksums: &BTreeMap<String, &str>,
    extra: &[String],
    reference: &str,
    digest: &str,
) -> Value {
    let crates = tree.licenses.iter().map(|(purl, license)| {
        let mut component = component(purl);
        if !license.is_empty() {
            component["licenses"] = json!([{"expression": license.replace('/', " OR ")}]);
        }
        if let Some(checksum) = checksums.get(purl) {
            component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
        }
        component
    });
    let components: Vec<_> = crates.chain(extra.iter().map(|purl| component(purl))).collect();
    let whole = format!("{reference}@{digest}");
    // The image has the program, and the program has the rest.
    let all: BTreeSet<_> = tree.edges.values().flatten().collect();
    let roots = tree.licenses.keys().filter(|purl| !all.contains(purl)).chain(extra);
    let mut dependencies = vec![json!({"ref": whole, "dependsOn": roots.collect::<Vec<_>>()})];
    dependencies.extend(tree.edges.iter().map(|(purl, on)| json!({"ref": purl, "dependsOn": on})));
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "bom-ref": whole, "type": "container", "name": reference, "version": digest,
                "hashes": [{"alg": "SHA-256", "content": digest.trim_start_matches("sha256:")}],
            },
        },
        "components": components,
        "dependencies": dependencies,
    })
}

/// The component of a package URL: `pkg:cargo/name@1.2.3`.
fn component(purl: &str) -> Value {
    let name = purl.rsplit('/').next().unwrap_or(purl);
    let (name, version) = name.split_once('@').unwrap_or((name, ""));
    json!({"bom-ref": purl, "type": "library", "name": name, "version": version, "purl": purl})
}

/// Reads the output of `cargo tree`: `1\tserde v1.0.0\tMIT OR Apache-2.0\t`. A crate that was listed before has no crates
/// below it.
fn read(tree: &str) -> Result<Tree> {
    let mut read = Tree::default();
    let mut above: Vec<String> = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let unknown = || format!("`cargo tree` printed `{line}`");
        let mut parts = line.split('\t');
        let (depth, package) = parts.next().zip(parts.next()).with_context(unknown)?;
        let depth: usize = depth.parse().with_context(unknown)?;
        let license = parts.next().unwrap_or_default();
        let (name, version) = package.split_once(" v").with_context(unknown)?;
        let version = version.split(' ').next().unwrap_or_default();
        let purl = format!("pkg:cargo/{name}@{version}");
        above.truncate(depth);
        if let Some(parent) = above.last() {
            read.edges.entry(parent.clone()).or_default().insert(purl.clone());
        }
        read.edges.entry(purl.clone()).or_default();
        read.licenses.insert(purl.clone(), license.to_owned());
        above.push(purl);
    }
    Ok(read)
}

/// The checksums in `Cargo.lock` by package URL. The packages of this workspace have none.
fn checksums(lock: &str) -> BTreeMap<String, &str> {
    let packages = lock.split("[[package]]\n").skip(1);
    packages
        .filter_map(|package| {
            let field = |name: &str| {
                package
                    .lines()
                    .find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"'))
            };
            Some((format!("pkg:cargo/{}@{}", field("name")?, field("version")?), field("checksum")?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "0\tcorveil v2.1.0 (/a b)\tMIT\t\n1\taxum v0.8.9\tMIT\t\n2\tbytes v1.0.0\tMIT/Apache-2.0\t\n\
                        1\tbytes v1.0.0\tMIT/Apache-2.0\t (*)\n";
    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"axum\"\nversion = \"0.8.9\"\nsource = \"r\"\n\
                        checksum = \"ab\"\n\n[[package]]\nname = \"corveil\"\nversion = \"2.1.0\"\n";

    #[test]
    fn the_tree_is_read_with_its_edges() {
        let tree = read(TREE).expect("a tree");
        assert_eq!(tree.licenses.len(), 3);
        let below = &tree.edges["pkg:cargo/corveil@2.1.0"];
        assert!(below.iter().eq(["pkg:cargo/axum@0.8.9", "pkg:cargo/bytes@1.0.0"]));
        assert!(tree.edges["pkg:cargo/axum@0.8.9"].contains("pkg:cargo/bytes@1.0.0"));
        assert!(read("corveil\n").is_err());
    }

    #[test]
    fn every_component_is_listed_once_with_its_license_and_checksum() {
        let extra = ["pkg:generic/rust-std@1.95.0".to_owned()];
        let bom = bom(&read(TREE).expect("a tree"), &checksums(LOCK), &extra, "r/corveil:2.1.0", "sha256:12");
        let components = bom["components"].as_array().expect("a list");
        assert_eq!(components.len(), 4);
        assert_eq!(components[0]["name"], "axum");
        assert_eq!(components[0]["hashes"][0]["content"], "ab");
        assert_eq!(components[1]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(components[3]["name"], "rust-std");
        let on = &bom["dependencies"][0]["dependsOn"];
        assert_eq!(*on, json!(["pkg:cargo/corveil@2.1.0", "pkg:generic/rust-std@1.95.0"]));
    }
}

//! Packages the chart of a release, and checks what it renders.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use flate2::read::GzDecoder;
use serde_json::Value;
use xshell::{Shell, cmd};

use crate::project::objects;
use crate::release::copy::Copy;
use crate::release::version::Version;
use crate::render::KUBERNETES;

pub(super) const MANIFEST: &str = "chart/Chart.yaml";

/// The lines before the image in `Chart.yaml`.
const IMAGE: &str = "    - name: corveil\n      image: ";

/// The values of `argocd/application.yaml`, and the defaults, with which Helm renders an upgrade.
const RENDERED: [&[&str]; 2] = [
    &["--set", "postgresql.enabled=false,existingSecret=corveil"],
    &["--set", "existingSecret=corveil", "--is-upgrade"],
];

pub(super) struct Chart {
    pub(super) archive: PathBuf,
}

/// The manifest with the image that Artifact Hub shows.
pub(super) fn with_image(manifest: &str, reference: &str) -> Result<String> {
    let missing =
        || format!("`{MANIFEST}` does not have `{}`\nhint: add it to `artifacthub.io/images`", IMAGE.trim());
    let (before, after) = manifest.split_once(IMAGE).with_context(missing)?;
    let (_, after) = after.split_once('\n').context("a line has an end")?;
    Ok(format!("{before}{IMAGE}{reference}\n{after}"))
}

impl Chart {
    /// Packages the chart. The same files give the same bytes: it has no times in it.
    pub(super) fn package(copy: &Copy, helm: &Path, folder: &Path, version: Version) -> Result<Self> {
        let sh = copy.shell();
        cmd!(sh, "{helm} package chart --destination {folder}").env("SOURCE_DATE_EPOCH", "0").run()?;
        Ok(Self { archive: folder.join(format!("corveil-chart-{version}.tgz")) })
    }

    /// Another Helm may pack the same files into other bytes.
    pub(super) fn is_same_as(&self, other: &Path) -> Result<bool> {
        Ok(files(&self.archive)? == files(other)?)
    }
}

/// Fails unless Helm renders a Job and a Deployment from the archive, and both run this image and no other image of the
/// project.
pub(super) fn expect_image(sh: &Shell, helm: &Path, archive: &Path, image: &str) -> Result<()> {
    for arguments in RENDERED {
        let render = cmd!(sh, "{helm} template corveil {archive} --kube-version {KUBERNETES} {arguments...}");
        let objects = objects::parse(&render.read()?)?;
        for kind in ["Job", "Deployment"] {
            let object = objects.iter().find(|object| object["kind"] == kind);
            let object = object.with_context(|| format!("the chart renders no {kind}"))?;
            let images = images(object);
            ensure!(!images.is_empty(), "the chart's {kind} runs nothing");
            for found in images {
                ensure!(found == image, "the chart's {kind} runs `{found}`, not `{image}`");
            }
        }
    }
    Ok(())
}

/// The images of the containers in the object's pod template.
fn images(object: &Value) -> Vec<&str> {
    let pod = &object["spec"]["template"]["spec"];
    let lists = ["initContainers", "containers"].map(|list| pod[list].as_array());
    let containers = lists.into_iter().flatten().flatten();
    containers.filter_map(|container| container["image"].as_str()).collect()
}

fn files(archive: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let read = || -> Result<BTreeMap<PathBuf, Vec<u8>>> {
        let mut files = BTreeMap::new();
        let file = BufReader::new(File::open(archive)?);
        for entry in tar::Archive::new(GzDecoder::new(file)).entries()? {
            let mut entry = entry?;
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents)?;
            if files.insert(entry.path()?.into_owned(), contents).is_some() {
                bail!("a file is there twice");
            }
        }
        Ok(files)
    };
    read().with_context(|| format!("read the chart {}", archive.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_image_of_the_manifest_is_replaced() {
        let text = std::fs::read_to_string(crate::project::root().join(MANIFEST)).expect("a manifest");
        let written = with_image(&text, "localhost:5000/corveil@sha256:12").expect("a place for it");
        let read: Value = serde_yaml::from_str(&written).expect("YAML");
        let images = read["annotations"]["artifacthub.io/images"].as_str().expect("text");
        let images: Value = serde_yaml::from_str(images).expect("YAML");
        assert_eq!(images[0]["image"], "localhost:5000/corveil@sha256:12");
        assert_eq!(written.lines().count(), text.lines().count());
        assert!(with_image("name: a\n", "b").is_err());
    }

    #[test]
    fn every_container_counts() {
        let pod = json!({"initContainers": [{"image": "a"}], "containers": [{"image": "b"}, {}]});
        assert_eq!(images(&json!({"spec": {"template": {"spec": pod}}})), ["a", "b"]);
        assert!(images(&json!({"kind": "Service"})).is_empty());
    }
}

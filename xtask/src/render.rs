//! The chart as Helm renders it: the snapshots that show a reviewer what a change does, and the tests of every object.

#[cfg(test)]
pub(crate) mod decode;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::generate::{Files, HEADER};
use crate::tools::{self, Tool};

/// The release that everything is rendered for. Its name is not the chart's, so that one in the place of the other shows.
pub(crate) const RELEASE: &str = "prod";
pub(crate) const NAMESPACE: &str = "gateway";

/// The oldest Kubernetes that the chart supports. Without it the answer would depend on how Helm was built.
pub(crate) const KUBERNETES: &str = "1.31.0";

/// Where the snapshots are.
pub(crate) const SNAPSHOTS: &str = "chart/ci/snapshots";

/// What Helm renders from each file of values in `chart/ci`, to be kept beside them.
pub(crate) fn snapshots(sh: &Shell) -> Result<Files> {
    let helm = tools::path(sh, Tool::Helm4)?;
    let mut files = Files::new();
    for values in cases()? {
        let text = template(sh, &helm, &values)?;
        // Helm 3 and 4 put different numbers of empty lines between documents.
        let text = text.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join("\n");
        let path = Path::new(SNAPSHOTS).join(format!("{}.yaml", name(&values)));
        files.push((path, format!("# {HEADER}\n{text}\n")));
    }
    Ok(files)
}

/// The files of values that are rendered and checked, by name.
pub(crate) fn cases() -> Result<Vec<PathBuf>> {
    let folder = crate::root().join("chart/ci");
    let entries = folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))?;
    let mut cases = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_file() {
            cases.push(path);
        }
    }
    cases.sort();
    Ok(cases)
}

/// `default` for `chart/ci/default-values.yaml`.
pub(crate) fn name(values: &Path) -> &str {
    let name = values.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    name.strip_suffix("-values").unwrap_or(name)
}

/// What Helm renders from this file of values.
pub(crate) fn template(sh: &Shell, helm: &Path, values: &Path) -> Result<String> {
    let chart = crate::root().join("chart");
    let text = cmd!(
        sh,
        "{helm} template {RELEASE} {chart} --namespace {NAMESPACE} --kube-version {KUBERNETES} --values {values}"
    );
    text.quiet().read().with_context(|| format!("{} does not render {}", helm.display(), values.display()))
}

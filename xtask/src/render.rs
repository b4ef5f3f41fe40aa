//! The chart as real Helm renders it, for each file of values in `chart/ci`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

/// The release that everything is rendered for. Its name differs from the chart's, so that a mix-up of the two is noticed.
pub const RELEASE: &str = "prod";
pub const NAMESPACE: &str = "gateway";

/// The oldest Kubernetes that the chart supports. Without it the result would depend on how Helm was built.
pub const KUBERNETES: &str = "1.31.0";

/// Files of values that are rendered as an upgrade too: with the bundled database, only Helm's upgrades and installs have the
/// bootstrap Job, and `helm template` is neither by default.
const UPGRADED: &[&str] = &["default", "everything"];

/// One rendering: a file of values, as Argo CD renders it or as Helm does for an upgrade.
pub struct Case {
    pub values: PathBuf,
    is_upgrade: bool,
}

impl Case {
    /// `default` for `chart/ci/default-values.yaml`, `default-upgrade` for its upgrade.
    pub fn name(&self) -> String {
        let name = file_name(&self.values);
        if self.is_upgrade { format!("{name}-upgrade") } else { name.to_owned() }
    }
}

/// The renderings that are checked: each file of values, by name, and then the upgrades.
pub fn cases() -> Result<Vec<Case>> {
    let folder = crate::project::root().join("chart/ci");
    let entries = folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    let again = files.iter().filter(|values| UPGRADED.contains(&file_name(values))).cloned();
    let upgrades: Vec<_> = again.map(|values| Case { values, is_upgrade: true }).collect();
    let installs = files.into_iter().map(|values| Case { values, is_upgrade: false });
    Ok(installs.chain(upgrades).collect())
}

/// `default` for `chart/ci/default-values.yaml`.
fn file_name(values: &Path) -> &str {
    let name = values.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    name.strip_suffix("-values").unwrap_or(name)
}

/// Renders the chart for this case.
pub fn template(sh: &Shell, helm: &Path, case: &Case) -> Result<String> {
    let chart = crate::project::root().join("chart");
    let values = &case.values;
    let upgrade = case.is_upgrade.then_some("--is-upgrade");
    let text = cmd!(
        sh,
        "{helm} template {RELEASE} {chart} --namespace {NAMESPACE} --kube-version {KUBERNETES} --values {values} {upgrade...}"
    );
    text.quiet().read().with_context(|| format!("{} does not render {}", helm.display(), case.name()))
}

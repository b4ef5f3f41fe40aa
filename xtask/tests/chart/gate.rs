//! The gate as real Helm and kustomize render it: in every mode, and compared with its types field by field.

mod argocd;
mod cluster;
mod inputs;
mod job;
mod kustomize;
mod refusals;

use anyhow::{Result, bail};
use serde_json::Value;
use xshell::cmd;

pub(crate) use xtask::project::objects::{merge as with, parse as objects};
use xtask::render::KUBERNETES;
use xtask::tools::Tool;

use crate::{program, shell};

/// Whose renderings have to be the same.
pub(crate) const HELMS: [Tool; 2] = [Tool::Helm3, Tool::Helm4];

/// The chart's objects, in the order in which Helm prints them. The error is Helm's own.
pub(crate) fn render(helm: Tool, arguments: &[&str], values: &Value) -> Result<Vec<Value>> {
    let (shell, helm) = (shell(), program(helm));
    let version = ["--kube-version", KUBERNETES];
    let template = ["template", "corveil", "chart", "--namespace", "apps", "--values", "-"];
    let output = cmd!(shell, "{helm} {template...} {version...} {arguments...}")
        .stdin(serde_json::to_string(values)?)
        .quiet()
        .ignore_status()
        .output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    objects(&String::from_utf8(output.stdout)?)
}

/// The values of a chart that uses somebody else's database.
pub(crate) fn external() -> Value {
    serde_json::json!({
        "corveil": {"secretKey": "key"},
        "externalDatabase": {"url": "postgres://app:secret@database/app"},
        "postgresql": {"enabled": false},
    })
}

/// The values of a chart that brings its own.
pub(crate) fn bundled() -> Value {
    serde_json::json!({"corveil": {"secretKey": "key"}})
}

//! `helmfile/image.yaml`: the image that all environments of `helmfile.yaml` run.

use anyhow::Result;
use serde_json::json;

use super::manifest::yaml;
use super::{Files, HEADER};
use crate::project::released;

pub(super) fn files() -> Result<Files> {
    let image = released::current();
    let values = json!({"image": {"repository": image.repository(), "digest": image.digest}});
    Ok(vec![("helmfile/image.yaml".into(), format!("# {HEADER}.\n{}", yaml(&values)?))])
}

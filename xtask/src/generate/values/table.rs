//! The table of values in the chart's README, between two marks; the text around it is written by hand.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_yaml::Value;

use crate::generate::replace_region;
use crate::generate::values::{Key, Kind, yaml};

pub(crate) fn file(keys: &[Key]) -> Result<String> {
    let readme = crate::project::root().join("chart/README.md");
    let text =
        std::fs::read_to_string(&readme).with_context(|| format!("cannot read {}", readme.display()))?;
    let mut table = String::from("| key | default | |\n|---|---|---|\n");
    for key in keys {
        rows(&mut table, key, "")?;
    }
    replace_region(&text, "values", &table)
}

fn rows(table: &mut String, key: &Key, parent: &str) -> Result<()> {
    let path = format!("{parent}{}", key.name);
    let default = match &key.kind {
        Kind::Section(keys, _) => {
            return keys.iter().try_for_each(|key| rows(table, key, &format!("{path}.")));
        }
        Kind::Value(_, default) => format!("`{}`", flow(default)?),
        Kind::Unset(..) => "unset".to_owned(),
        Kind::Removed => "removed".to_owned(),
    };
    // A bar would end the cell.
    let cells = [default, yaml::sentence(key)].map(|cell| cell.replace('|', "\\|"));
    writeln!(table, "| `{path}` | {} | {} |", cells[0], cells[1])?;
    Ok(())
}

/// On one line: JSON is YAML.
fn flow(value: &Value) -> Result<String> {
    Ok(match value {
        Value::String(text) if !text.is_empty() => text.clone(),
        other => serde_json::to_string(other)?,
    })
}

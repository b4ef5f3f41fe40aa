//! Typed objects as YAML, written as a person would write it.

use anyhow::{Result, bail};
use serde::Serialize;
use serde_yaml::Value;

/// The object as YAML.
pub(crate) fn yaml(object: &impl Serialize) -> Result<String> {
    let mut text = String::new();
    entries(&mut text, &serde_yaml::to_value(object)?, "", 0)?;
    Ok(text)
}

/// The entries of a map or a list, each on lines of its own. `parent` is the key under which they are.
fn entries(text: &mut String, value: &Value, parent: &str, indent: usize) -> Result<()> {
    match value {
        Value::Mapping(map) => map.iter().try_for_each(|(key, value)| pair(text, key, value, parent, indent)),
        Value::Sequence(list) => list.iter().try_for_each(|value| item(text, value, parent, indent)),
        other => bail!("`{parent}` is {other:?}, not a map or a list"),
    }
}

fn pair(text: &mut String, key: &Value, value: &Value, parent: &str, indent: usize) -> Result<()> {
    let key = scalar(key)?;
    let is_empty = value.as_mapping().is_some_and(serde_yaml::Mapping::is_empty)
        || value.as_sequence().is_some_and(Vec::is_empty);
    // Kubernetes wants strings here, and `y` or `-5` without quotes would be none.
    let is_quoted = ["annotations", "labels", "matchLabels"].contains(&parent);
    if is_empty {
        let empty = if value.is_mapping() { "{}" } else { "[]" };
        line(text, indent, &format!("{key}: {empty}"));
    } else if value.is_mapping() || value.is_sequence() {
        line(text, indent, &format!("{key}:"));
        entries(text, value, &key, indent + 2)?;
    } else if let (true, Some(string)) = (is_quoted, value.as_str()) {
        line(text, indent, &format!("{key}: {}", serde_json::to_string(string)?));
    } else {
        line(text, indent, &format!("{key}: {}", scalar(value)?));
    }
    Ok(())
}

fn item(text: &mut String, value: &Value, parent: &str, indent: usize) -> Result<()> {
    if !value.is_mapping() {
        line(text, indent, &format!("- {}", scalar(value)?));
        return Ok(());
    }
    let start = text.len();
    entries(text, value, parent, indent + 2)?;
    text.replace_range(start + indent..=start + indent, "-");
    Ok(())
}

fn line(text: &mut String, indent: usize, line: &str) {
    text.extend([&*" ".repeat(indent), line, "\n"]);
}

fn scalar(value: &Value) -> Result<String> {
    Ok(serde_yaml::to_string(value)?.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_written_as_people_write_them() {
        let object = json!({
            "kind": "Job",
            "metadata": {"annotations": {"a": "-5"}},
            "spec": {"command": ["x", "y"], "env": [{"name": "A", "value": "10"}], "none": {}},
        });
        let text = yaml(&object).expect("plain data");
        assert_eq!(
            text,
            "kind: Job\nmetadata:\n  annotations:\n    a: \"-5\"\nspec:\n  command:\n    - x\n    - y\n  env:\n    \
             - name: A\n      value: '10'\n  none: {}\n"
        );
        assert_eq!(serde_yaml::from_str::<serde_json::Value>(&text).expect("YAML"), object);
    }
}

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

/// What Kubernetes' documentation writes first, in this order; its types serialize keys by the alphabet.
const FIRST: [&str; 8] =
    ["apiVersion", "kind", "metadata", "name", "labels", "annotations", "image", "imagePullPolicy"];

/// Words that are booleans in YAML 1.1, which kubectl reads, and text in YAML 1.2, which is written here.
const BOOLEANS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];

/// The entries of a map or a list, each on lines of its own. `parent` is the key under which they are.
fn entries(text: &mut String, value: &Value, parent: &str, indent: usize) -> Result<()> {
    match value {
        Value::Mapping(map) => {
            let mut pairs: Vec<_> = map.iter().collect();
            pairs.sort_by_key(|(key, _)| FIRST.iter().position(|first| *key == first).unwrap_or(FIRST.len()));
            pairs.into_iter().try_for_each(|(key, value)| pair(text, key, value, parent, indent))
        }
        Value::Sequence(list) => list.iter().try_for_each(|value| item(text, value, parent, indent)),
        other => bail!("`{parent}` is {other:?}, not a map or a list"),
    }
}

fn pair(text: &mut String, key: &Value, value: &Value, parent: &str, indent: usize) -> Result<()> {
    let key = scalar(key)?;
    let is_empty = value.as_mapping().is_some_and(serde_yaml::Mapping::is_empty)
        || value.as_sequence().is_some_and(Vec::is_empty);
    // Kubernetes wants strings here, and `-5` without quotes would be none.
    let is_text = ["annotations", "labels", "matchLabels"].contains(&parent);
    if is_empty {
        let empty = if value.is_mapping() { "{}" } else { "[]" };
        line(text, indent, &format!("{key}: {empty}"));
    } else if value.is_mapping() || value.is_sequence() {
        line(text, indent, &format!("{key}:"));
        entries(text, value, &key, indent + 2)?;
    } else if let (true, Some(string)) = (is_text, value.as_str()) {
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
    if let Some(text) = value.as_str()
        && BOOLEANS.contains(&&*text.to_lowercase())
    {
        return Ok(format!("'{text}'"));
    }
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
            "spec": {"command": ["x", "y"], "env": [{"value": "10", "name": "A"}, {"name": "B", "value": "off"}], "none": {}},
        });
        let text = yaml(&object).expect("plain data");
        assert_eq!(
            text,
            "kind: Job\nmetadata:\n  annotations:\n    a: \"-5\"\nspec:\n  command:\n    - x\n    - 'y'\n  env:\n    \
             - name: A\n      value: '10'\n    - name: B\n      value: 'off'\n  none: {}\n"
        );
        assert_eq!(serde_yaml::from_str::<serde_json::Value>(&text).expect("YAML"), object);
    }
}

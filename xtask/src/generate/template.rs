//! Typed objects as text: YAML as a person would write it, or a Helm template, in which expressions stand where the object
//! has an example.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde::Serialize;
use serde_yaml::Value;

/// What a template has in place of a part of the object. In its lines `nindent @` stands for as many columns as the line
/// itself has before it.
#[derive(Clone)]
pub(crate) enum Hole {
    /// An expression instead of the value.
    Value(String),
    /// These lines instead of the key and its value.
    Lines(String),
    /// The part as it is, under a condition.
    If(String),
    /// These lines after the last entry. Its path ends in `+`.
    Append(String),
}

/// Holes by path: keys joined by `.`, entries of a list by their `name` or their number.
pub(crate) type Holes = BTreeMap<String, Hole>;

/// The object as YAML.
pub(crate) fn yaml(object: &impl Serialize) -> Result<String> {
    template(object, Holes::new())
}

/// The object as a template. Fails when a path leads nowhere, so that no expression is lost when the object changes.
pub(crate) fn template(object: &impl Serialize, holes: Holes) -> Result<String> {
    let mut writer = Writer { holes, text: String::new() };
    writer.entries(&serde_yaml::to_value(object)?, "", 0)?;
    if let Some(path) = writer.holes.keys().next() {
        bail!("the object has no `{path}`");
    }
    Ok(writer.text)
}

struct Writer {
    holes: Holes,
    text: String,
}

impl Writer {
    /// The entries of a map or a list, each on lines of its own.
    fn entries(&mut self, value: &Value, path: &str, indent: usize) -> Result<()> {
        match value {
            Value::Mapping(map) => {
                for (key, value) in map {
                    let key = scalar(key)?;
                    let inner = join(path, &key);
                    self.entry(&inner, indent, |writer| writer.pair(&key, value, &inner, indent))?;
                }
            }
            Value::Sequence(list) => {
                for (number, value) in list.iter().enumerate() {
                    let name = value.get("name").and_then(Value::as_str).map(str::to_owned);
                    let inner = join(path, &name.unwrap_or_else(|| number.to_string()));
                    self.entry(&inner, indent, |writer| writer.item(value, &inner, indent))?;
                }
            }
            other => bail!("`{path}` is {other:?}, not a map or a list"),
        }
        match self.holes.remove(&join(path, "+")) {
            Some(Hole::Append(lines)) => self.lines(&lines, indent),
            Some(_) => bail!("only `Append` goes after the last entry of `{path}`"),
            None => {}
        }
        Ok(())
    }

    /// One entry: as it is, or what the hole at its path says.
    fn entry(
        &mut self,
        path: &str,
        indent: usize,
        write: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        match self.holes.get(path).cloned() {
            Some(Hole::Lines(lines)) => {
                self.holes.remove(path);
                self.lines(&lines, indent);
                Ok(())
            }
            Some(Hole::If(condition)) => {
                self.holes.remove(path);
                self.lines(&format!("{{{{- if {condition} }}}}"), indent);
                write(self)?;
                self.lines("{{- end }}", indent);
                Ok(())
            }
            _ => write(self),
        }
    }

    fn pair(&mut self, key: &str, value: &Value, path: &str, indent: usize) -> Result<()> {
        let map = path.strip_suffix(key).unwrap_or_default().trim_end_matches('.').rsplit('.').next();
        let is_quoted = map.is_some_and(|map| ["annotations", "labels", "matchLabels"].contains(&map));
        let is_empty = value.as_mapping().is_some_and(serde_yaml::Mapping::is_empty)
            || value.as_sequence().is_some_and(Vec::is_empty);
        if let Some(Hole::Value(expression)) = self.holes.get(path).cloned() {
            self.holes.remove(path);
            self.lines(&format!("{key}: {{{{ {expression} }}}}"), indent);
        } else if is_empty {
            let empty = if value.is_mapping() { "{}" } else { "[]" };
            self.lines(&format!("{key}: {empty}"), indent);
        } else if value.is_mapping() || value.is_sequence() {
            self.lines(&format!("{key}:"), indent);
            self.entries(value, path, indent + 2)?;
        } else if let (true, Some(text)) = (is_quoted, value.as_str()) {
            // Kubernetes wants strings here, and `y` or `-5` without quotes would be none.
            self.lines(&format!("{key}: {}", serde_json::to_string(text)?), indent);
        } else {
            self.lines(&format!("{key}: {}", scalar(value)?), indent);
        }
        Ok(())
    }

    fn item(&mut self, value: &Value, path: &str, indent: usize) -> Result<()> {
        if !value.is_mapping() {
            self.lines(&format!("- {}", scalar(value)?), indent);
            return Ok(());
        }
        let start = self.text.len();
        self.entries(value, path, indent + 2)?;
        if self.text[start + indent + 2..].starts_with("{{") {
            bail!("the first line of `{path}` has to be a key");
        }
        self.text.replace_range(start + indent..=start + indent, "-");
        Ok(())
    }

    fn lines(&mut self, lines: &str, indent: usize) {
        for line in lines.lines() {
            let depth = indent + line.len() - line.trim_start().len();
            self.text.push_str(&" ".repeat(indent));
            self.text.push_str(&line.replace("nindent @", &format!("nindent {depth}")));
            self.text.push('\n');
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
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

    #[test]
    fn holes_are_filled_where_their_paths_lead() {
        let object = json!({"env": [{"name": "A", "value": "1"}, {"name": "B"}], "image": "x", "n": 1});
        let holes = Holes::from([
            ("env.A.value".into(), Hole::Value(".a | quote".into())),
            ("env.B".into(), Hole::If(".b".into())),
            ("env.+".into(), Hole::Append("{{- .more }}".into())),
            ("n".into(), Hole::Lines("# none".into())),
        ]);
        assert_eq!(
            template(&object, holes).expect("every path leads somewhere"),
            "env:\n  - name: A\n    value: {{ .a | quote }}\n  {{- if .b }}\n  - name: B\n  {{- end }}\n  {{- .more }}\n\
             image: x\n# none\n"
        );
    }

    #[test]
    fn a_hole_that_fits_nowhere_is_an_error() {
        let holes = Holes::from([("imagine".into(), Hole::Value("1".into()))]);
        let error = template(&json!({"image": "x"}), holes).expect_err("there is no such key");
        assert!(error.to_string().contains("`imagine`"), "{error}");
    }
}

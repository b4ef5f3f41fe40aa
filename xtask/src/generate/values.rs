//! The chart's values: one description, from which come `values.yaml`, its schema and the table in the chart's README.
//!
//! The keys themselves are in the modules below, in the order in which a reader meets them.

mod app;
mod bundled;
mod defaults;
mod gate;
mod ignored;
mod kubernetes;
mod network;
mod parent;
mod patterns;
mod probes;
mod schema;
mod table;
mod volumes;
mod workload;
mod yaml;

use std::borrow::Cow;

use anyhow::Result;
use serde_yaml::Value;

use crate::generate::Files;
use crate::generate::values::kubernetes::Part;

/// One key of the values.
pub struct Key {
    pub name: &'static str,
    /// What it is for: the comment in `values.yaml`, the schema's description, the table's text.
    pub doc: Cow<'static, str>,
    pub kind: Kind,
    /// The environment keys that the app reads it from.
    pub env: &'static [&'static str],
}

/// What a key holds.
pub enum Kind {
    /// More keys, and whether others that we do not read are accepted there.
    Section(Vec<Key>, Others),
    /// A value with its default.
    Value(Shape, Value),
    /// A value that is absent, or null, unless somebody sets it, with an example.
    Unset(Shape, Value),
    /// A key of earlier charts. The schema lets it through, so that the chart itself can say what to do.
    Removed,
}

/// Whether a section accepts keys that we do not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// A misspelt key fails.
    Refused,
    /// Keys of the subchart that 1.0.0 used; NOTES name them as ignored.
    Ignored,
    /// Keys that a parent chart sets for other charts too.
    Passed,
}

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Bool,
    /// A whole number from this on; Kubernetes and the app keep 32 bits of it.
    Integer(i64),
    /// The number of a port.
    Port,
    Text,
    /// Text in which a number that is not quoted would be another: `2.0` is 2 in YAML.
    Quoted(Pattern),
    /// Text of a certain form, which a number may have.
    Formed(Pattern),
    OneOf(&'static [&'static str]),
    /// `30s`, `5m`, `1h 30min`, or 0.
    Duration,
    /// The same, or `none`.
    DurationOrNone,
    /// A number of pods, or a share of them.
    IntegerOrPercent,
    /// Text, or a structure that is written as YAML.
    TextOrObject,
    /// Names of labels or annotations, with text that may be a template.
    TemplateMap,
    /// Texts of this form.
    TextList(Pattern),
    /// Anything that has keys.
    Object,
    /// Objects that Kubernetes alone checks.
    ObjectList,
    /// Objects, each as text or as a structure.
    TextOrObjectList,
    /// How often Prometheus asks: `30s`, or nothing.
    Interval,
    /// Secrets to pull images with: their names, or objects with a `name`.
    PullSecrets,
    /// A part of a Kubernetes object.
    Part(Part),
    /// Hosts of an Ingress, with their paths.
    HostList,
}

/// What a text has to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// The tag of an image.
    Tag,
    /// The digest of an image.
    Digest,
    /// The repository of an image.
    Repository,
    /// The name of an object that a Service is named like.
    ServiceName,
    /// The value of a label.
    Label,
    /// The name of any other object.
    Name,
    /// A key of a Secret.
    DataKey,
    /// An amount, of a volume.
    Quantity,
    /// How a volume may be used.
    AccessMode,
    /// A gateway of Istio's: its name, with or without its namespace.
    Gateway,
    /// A host, or a template of one.
    HostTemplate,
    /// A registry, with a path if it has one.
    Registry,
    /// A name with or without a domain before it.
    QualifiedName,
    /// A network.
    Cidr,
    /// A family of addresses.
    IpFamily,
}

/// Every key, in order.
pub fn keys() -> Vec<Key> {
    let mut keys = parent::keys();
    keys.extend(app::keys());
    keys.extend(bundled::keys());
    keys.extend(gate::keys());
    keys.extend(network::keys());
    keys.extend(workload::keys());
    keys
}

/// The files that follow from the description.
pub fn files() -> Result<Files> {
    let keys = keys();
    Ok(vec![
        ("chart/values.yaml".into(), yaml::file(&keys)?),
        ("chart/values.schema.json".into(), schema::file(&keys)?),
        ("chart/templates/_defaults.tpl".into(), defaults::file(&keys)?),
        ("chart/templates/_ignored.tpl".into(), ignored::file(&keys)),
        ("chart/README.md".into(), table::file(&keys)?),
    ])
}

impl Key {
    fn new(name: &'static str, doc: &'static str, kind: Kind) -> Self {
        Self { name, doc: doc.into(), kind, env: &[] }
    }

    /// Descriptions that several keys share, with `{}` in place of what each is about.
    fn about(self, what: &str) -> Self {
        let kind = match self.kind {
            Kind::Section(keys, others) => {
                Kind::Section(keys.into_iter().map(|key| key.about(what)).collect(), others)
            }
            kind => kind,
        };
        Self { doc: self.doc.replace("{}", what).into(), kind, ..self }
    }

    /// The app reads it from these environment keys.
    fn sets(self, env: &'static [&'static str]) -> Self {
        Self { env, ..self }
    }
}

fn section(name: &'static str, doc: &'static str, keys: Vec<Key>) -> Key {
    Key::new(name, doc, Kind::Section(keys, Others::Refused))
}

/// A section that takes over the values of a subchart.
fn former_subchart(name: &'static str, doc: &'static str, keys: Vec<Key>) -> Key {
    Key::new(name, doc, Kind::Section(keys, Others::Ignored))
}

fn value(name: &'static str, shape: Shape, default: impl Into<Value>, doc: &'static str) -> Key {
    Key::new(name, doc, Kind::Value(shape, default.into()))
}

fn text(name: &'static str, default: &'static str, doc: &'static str) -> Key {
    value(name, Shape::Text, default, doc)
}

fn flag(name: &'static str, default: bool, doc: &'static str) -> Key {
    value(name, Shape::Bool, default, doc)
}

fn integer(name: &'static str, least: i64, default: i64, doc: &'static str) -> Key {
    value(name, Shape::Integer(least), default, doc)
}

fn quoted(name: &'static str, pattern: Pattern, default: impl Into<Value>, doc: &'static str) -> Key {
    value(name, Shape::Quoted(pattern), default, doc)
}

fn formed(name: &'static str, pattern: Pattern, default: &'static str, doc: &'static str) -> Key {
    value(name, Shape::Formed(pattern), default, doc)
}

fn env_list(name: &'static str, doc: &'static str) -> Key {
    list_of(name, Part::Env, doc)
}

fn unset(name: &'static str, shape: Shape, example: impl Into<Value>, doc: &'static str) -> Key {
    Key::new(name, doc, Kind::Unset(shape, example.into()))
}

fn removed(name: &'static str, doc: &'static str) -> Key {
    Key::new(name, doc, Kind::Removed)
}

fn part(name: &'static str, part: Part, default: &str, doc: &'static str) -> Key {
    value(name, Shape::Part(part), from_yaml(default), doc)
}

fn pull_secrets(name: &'static str, doc: &'static str) -> Key {
    value(name, Shape::PullSecrets, from_yaml("[]"), doc)
}

fn resources(name: &'static str, default: &str, doc: &'static str) -> Key {
    part(name, Part::Resources, default, doc)
}

fn annotations(name: &'static str, doc: &'static str) -> Key {
    part(name, Part::Annotations, "{}", doc)
}

fn labels(name: &'static str, doc: &'static str) -> Key {
    part(name, Part::Labels, "{}", doc)
}

fn list_of(name: &'static str, items: Part, doc: &'static str) -> Key {
    part(name, items, "[]", doc)
}

/// Objects that Kubernetes alone checks.
fn objects(name: &'static str, doc: &'static str) -> Key {
    value(name, Shape::ObjectList, from_yaml("[]"), doc)
}

/// A default that is easiest to read as YAML.
fn from_yaml(text: &str) -> Value {
    serde_yaml::from_str(text).expect("the defaults in this folder are YAML")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_yaml_reads_back_as_the_defaults() {
        let read: Value = serde_yaml::from_str(&yaml::file(&keys()).unwrap()).unwrap();
        assert_eq!(read, defaults(&keys()));
    }

    #[test]
    fn every_key_is_documented_once_and_well() {
        check(&keys(), "");
    }

    fn check(keys: &[Key], path: &str) {
        let mut names: Vec<_> = keys.iter().map(|key| key.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a key of `{path}` is there twice");
        for key in keys {
            let Key { name, doc, .. } = key;
            assert!(
                !doc.is_empty() && !doc.ends_with('.'),
                "`{path}{name}`: documented, without a final period"
            );
            match &key.kind {
                Kind::Section(keys, _) => check(keys, &format!("{path}{name}.")),
                _ => assert_eq!(unclear(doc), None, "`{path}{name}`: {doc}"),
            }
        }
    }

    #[test]
    fn each_value_has_a_description_that_no_other_has() {
        let mut docs = Vec::new();
        collect(&keys(), "", &mut docs);
        docs.sort();
        for pair in docs.windows(2) {
            assert_ne!(pair[0].0, pair[1].0, "`{}` and `{}`", pair[0].1, pair[1].1);
        }
        assert!(docs.iter().all(|(doc, _)| !doc.contains("{}")), "a description is about nothing: {docs:?}");
    }

    fn collect(keys: &[Key], parent: &str, docs: &mut Vec<(String, String)>) {
        for Key { name, doc, kind, .. } in keys {
            let path = format!("{parent}{name}");
            match kind {
                Kind::Section(keys, _) => collect(keys, &format!("{path}."), docs),
                _ => docs.push((doc.to_string(), path)),
            }
        }
    }

    /// What of the text only a reader of its neighbours understands: the table shows an entry without its section's text.
    fn unclear(doc: &str) -> Option<String> {
        let words = doc.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|word| !word.is_empty());
        let first: Vec<_> = words.take(3).map(str::to_lowercase).collect();
        let pronouns = ["it", "its", "they", "them", "their"];
        if first.len() < 3 {
            return Some(format!("`{doc}` is too short to say of what"));
        }
        let found = first[..2].iter().find(|word| pronouns.contains(&word.as_str()))?;
        Some(format!("`{found}` has no noun before it"))
    }

    #[test]
    fn an_entry_of_the_table_can_be_read_alone() {
        for text in ["Render it", "Its mode", "Gateways", "Run it; otherwise `externalDatabase`"] {
            assert!(unclear(text).is_some(), "{text}");
        }
        for text in ["Create an Ingress", "Domain that `istio.corveil.hosts` can refer to"] {
            assert_eq!(unclear(text), None, "{text}");
        }
    }

    fn defaults(keys: &[Key]) -> Value {
        let mut map = serde_yaml::Mapping::new();
        for key in keys {
            match &key.kind {
                Kind::Section(keys, _) => map.insert(key.name.into(), defaults(keys)),
                Kind::Value(_, default) => map.insert(key.name.into(), default.clone()),
                Kind::Unset(..) | Kind::Removed => None,
            };
        }
        map.into()
    }
}

//! Manifests and values as trees.

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

/// The objects of a stream of YAML documents.
pub fn parse(text: &str) -> Result<Vec<Value>> {
    let documents = serde_yaml::Deserializer::from_str(text).map(Value::deserialize);
    let objects: Result<Vec<_>, _> = documents.collect();
    Ok(objects?.into_iter().filter(|object| !object.is_null()).collect())
}

/// Merges `over` into the values, map by map.
pub fn merge(mut values: Value, over: Value) -> Value {
    fn put(values: &mut Value, over: Value) {
        match (values, over) {
            (Value::Object(values), Value::Object(over)) => {
                for (key, value) in over {
                    put(values.entry(key).or_insert(Value::Null), value);
                }
            }
            (value, over) => *value = over,
        }
    }
    put(&mut values, over);
    values
}

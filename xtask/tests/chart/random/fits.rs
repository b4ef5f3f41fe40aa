//! Whether a value is of a schema, as far as drawing has to know: Helm has the last word.

use serde_json::Value;

/// Expressions are not looked at.
pub(super) fn fits(root: &Value, schema: &Value, value: &Value) -> bool {
    if let Some(target) = schema["$ref"].as_str() {
        return fits(root, root.pointer(target.trim_start_matches('#')).expect("a definition"), value);
    }
    let number = |key: &str| schema[key].as_f64();
    let many = |key: &str, fits: fn(u64, u64) -> bool, many: usize| {
        schema[key].as_u64().is_none_or(|bound| fits(many as u64, bound))
    };
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        Value::String(kind) => vec![kind.as_str()],
        _ => Vec::new(),
    };
    let all = |key: &str| {
        schema[key].as_array().is_none_or(|all| all.iter().all(|schema| fits(root, schema, value)))
    };
    let any = schema["anyOf"].as_array().is_none_or(|any| any.iter().any(|schema| fits(root, schema, value)));
    let of_kind = match value {
        Value::Object(object) => {
            let required = schema["required"]
                .as_array()
                .is_none_or(|keys| keys.iter().all(|key| object.contains_key(key.as_str().expect("a name"))));
            required
                && many("minProperties", |many, least| many >= least, object.len())
                && many("maxProperties", |many, most| many <= most, object.len())
                && object.iter().all(|(key, value)| {
                    schema["properties"].get(key).is_none_or(|schema| fits(root, schema, value))
                })
        }
        Value::Array(items) => {
            many("minItems", |many, least| many >= least, items.len())
                && many("maxItems", |many, most| many <= most, items.len())
        }
        Value::String(text) => {
            many("minLength", |many, least| many >= least, text.len())
                && many("maxLength", |many, most| many <= most, text.len())
        }
        Value::Number(given) => {
            let given = given.as_f64().unwrap_or_default();
            number("minimum").is_none_or(|least| given >= least)
                && number("maximum").is_none_or(|most| given <= most)
        }
        _ => true,
    };
    let condition = match schema.get("if") {
        Some(condition) => {
            let branch = if fits(root, condition, value) { "then" } else { "else" };
            schema.get(branch).is_none_or(|schema| fits(root, schema, value))
        }
        None => true,
    };
    of_kind
        && condition
        && any
        && all("allOf")
        && (kinds.is_empty() || kinds.iter().any(|kind| is_a(value, kind)))
        && schema.get("const").is_none_or(|constant| constant == value)
        && schema["enum"].as_array().is_none_or(|words| words.contains(value))
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        _ => value.is_object(),
    }
}

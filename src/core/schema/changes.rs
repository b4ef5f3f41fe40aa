//! The changes of a migration to a schema, as a JSON merge patch ([RFC 7386](https://www.rfc-editor.org/rfc/rfc7386)): short,
//! and readable in a review.

use serde_json::{Map, Value};

use super::Schema;

/// The changes that turn `before` into `after`.
///
/// # Panics
/// Never: a schema is always JSON.
pub fn between(before: &Schema, after: &Schema) -> Value {
    let value = |schema| serde_json::to_value(schema).expect("a schema is JSON");
    patch(value(before), value(after))
}

/// Applies changes to a schema that is still JSON.
pub(crate) fn apply(schema: &mut Value, changes: &Value) {
    let Value::Object(changes) = changes else {
        schema.clone_from(changes);
        return;
    };
    if !schema.is_object() {
        *schema = Value::Object(Map::new());
    }
    let Value::Object(schema) = schema else { return };
    for (key, change) in changes {
        if change.is_null() {
            schema.remove(key);
        } else {
            apply(schema.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}

/// Objects are compared key by key; everything else is replaced whole.
fn patch(before: Value, after: Value) -> Value {
    let (Value::Object(mut before), Value::Object(after)) = (before, after.clone()) else { return after };
    let mut changes = Map::new();
    for (key, after) in after {
        match before.remove(&key) {
            Some(before) if before == after => {}
            Some(before) => drop(changes.insert(key, patch(before, after))),
            None => drop(changes.insert(key, after)),
        }
    }
    changes.extend(before.into_iter().map(|(key, _)| (key, Value::Null)));
    Value::Object(changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::schema::{Column, Table};

    fn schema(columns: &[(&str, &str)]) -> Schema {
        let column = |type_name: &str| Column { type_name: type_name.into(), ..Column::default() };
        let columns = columns.iter().map(|(name, of)| ((*name).to_owned(), column(of))).collect();
        let table = Table { columns, ..Table::default() };
        Schema { tables: [("public.t".to_owned(), table)].into(), ..Schema::default() }
    }

    #[test]
    fn changes_are_small_and_lead_from_one_to_the_other() {
        let (before, after) =
            (schema(&[("a", "int"), ("b", "text")]), schema(&[("a", "bigint"), ("c", "text")]));
        let changes = between(&before, &after);
        assert_eq!(
            changes.to_string(),
            r#"{"tables":{"public.t":{"columns":{"a":{"type":"bigint"},"b":null,"c":{"position":0,"type":"text"}}}}}"#
        );
        let applied = |changes: &Value| {
            let mut value = serde_json::to_value(&before).unwrap();
            apply(&mut value, changes);
            serde_json::from_value::<Schema>(value).unwrap()
        };
        assert_eq!(applied(&changes), after);
        assert_eq!(applied(&between(&before, &Schema::default())), Schema::default());
    }
}

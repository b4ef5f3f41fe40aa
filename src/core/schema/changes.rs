//! What a migration changes in a schema, as a JSON merge patch ([RFC 7386](https://www.rfc-editor.org/rfc/rfc7386)): short,
//! and readable in a review.

use serde_json::{Map, Value};

use super::Schema;

/// What makes `before` into `after`.
///
/// # Panics
/// Never: a schema is always JSON.
#[must_use]
pub fn between(before: &Schema, after: &Schema) -> Value {
    let value = |schema| serde_json::to_value(schema).expect("a schema is JSON");
    patch(value(before), value(after))
}

/// The schema after the changes; none when they do not fit it.
#[must_use]
pub fn apply(schema: &Schema, changes: &Value) -> Option<Schema> {
    let mut value = serde_json::to_value(schema).ok()?;
    merge(&mut value, changes);
    serde_json::from_value(value).ok()
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

fn merge(target: &mut Value, changes: &Value) {
    let Value::Object(changes) = changes else {
        target.clone_from(changes);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, change) in changes {
        if change.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
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
        assert_eq!(apply(&before, &changes), Some(after));
        assert_eq!(apply(&before, &between(&before, &Schema::default())), Some(Schema::default()));
    }

    #[test]
    fn changes_that_fit_nothing_are_refused() {
        assert_eq!(apply(&Schema::default(), &serde_json::json!({"tables": {"t": {"collumns": 1}}})), None);
    }
}

//! Tables, and what is on them.

use std::collections::BTreeMap;

use super::{Found, Step, by_dependency, column, pairs};
use crate::core::schema::{Constraint, Index, RowSecurity, Schema, Table, Trigger, create, quoting};

pub(super) fn compare_all(found: &mut Found, expected: &Schema, live: &Schema) {
    let (mut missing, mut extra) = (Vec::new(), Vec::new());
    for (name, wanted, there) in pairs(&expected.tables, &live.tables) {
        match (wanted, there) {
            (Some(wanted), None) => missing.push((name.as_str(), create::table(name, wanted))),
            (None, Some(_)) if found.is_elsewhere(name) => {}
            (None, Some(there)) => extra.push((name.as_str(), create::table(name, there))),
            (Some(wanted), Some(there)) => compare(found, name, wanted, there),
            (None, None) => {}
        }
    }
    for at in by_dependency(&missing) {
        let (name, sql) = &missing[at];
        found.missing(Step::Table, "table", name, sql.clone());
    }
    for at in by_dependency(&extra).into_iter().rev() {
        let name = extra[at].0;
        let kind = if live.tables[name].foreign.is_some() { "FOREIGN TABLE" } else { "TABLE" };
        found.extra(Step::DropTable, "table", name, format!("DROP {kind} {name};"));
    }
}

fn compare(found: &mut Found, name: &str, wanted: &Table, there: &Table) {
    if (&wanted.partition_by, &wanted.foreign) != (&there.partition_by, &there.foreign) {
        let message = format!("table {name} has another partitioning or foreign server than it should have");
        let sql = format!(
            "-- The rows are lost: copy them first.\nDROP TABLE {name};\n{}",
            create::table(name, wanted)
        );
        found.add(Step::Table, "table", name, "kind", message, sql);
        return;
    }
    own_settings(found, name, wanted, there);
    if (&wanted.partition_of, sorted(&wanted.inherits)) != (&there.partition_of, sorted(&there.inherits)) {
        // Which columns are inherited can only be compared once the table has the expected parent.
        return;
    }
    for (column, wanted, there) in pairs(&wanted.columns, &there.columns) {
        let object = format!("{name}.{column}");
        match (wanted, there) {
            (Some(wanted), None) => {
                found.missing(Step::Column, "column", &object, create::column(name, column, wanted));
            }
            (None, Some(_)) => {
                let sql = format!("ALTER TABLE {name} DROP COLUMN {column};");
                found.extra(Step::DropColumn, "column", &object, sql);
            }
            (Some(wanted), Some(there)) => column::compare(found, name, column, wanted, there),
            (None, None) => {}
        }
    }
    constraints(found, ("TABLE", name), &wanted.constraints, &there.constraints);
    indexes(found, name, there.partition_by.is_some(), &wanted.indexes, &there.indexes);
    triggers(found, name, &wanted.triggers, &there.triggers);
    rules(found, name, &wanted.rules, &there.rules);
    policies(found, name, &wanted.policies, &there.policies);
}

fn own_settings(found: &mut Found, name: &str, wanted: &Table, there: &Table) {
    if wanted.unlogged != there.unlogged {
        let word = |unlogged| if unlogged { "UNLOGGED" } else { "LOGGED" };
        let (is, should) = (word(there.unlogged), word(wanted.unlogged));
        let message = format!("table {name} is {is}, and should be {should}");
        found.add(
            Step::Column,
            "table",
            name,
            "logged",
            message,
            format!("ALTER TABLE {name} SET {should};"),
        );
    }
    if wanted.partition_of != there.partition_of {
        let text = |table: &Table| match &table.partition_of {
            Some(place) => format!("a partition of {} {}", place.table, place.bound),
            None => "no partition".into(),
        };
        let detach = there
            .partition_of
            .as_ref()
            .map(|place| format!("ALTER TABLE {} DETACH PARTITION {name};", place.table));
        let attach = wanted
            .partition_of
            .as_ref()
            .map(|place| format!("ALTER TABLE {} ATTACH PARTITION {name} {};", place.table, place.bound));
        let message = format!("table {name} is {}, and should be {}", text(there), text(wanted));
        let sql = detach.into_iter().chain(attach).collect::<Vec<_>>().join("\n");
        found.add(Step::Column, "table", name, "partition", message, sql);
    }
    let (parents, parents_there) = (sorted(&wanted.inherits), sorted(&there.inherits));
    if parents != parents_there {
        let text = |parents: &[&str]| if parents.is_empty() { "nothing".into() } else { parents.join(", ") };
        let message = format!(
            "table {name} inherits from {}, and should from {}",
            text(&parents_there),
            text(&parents)
        );
        let leave = parents_there.iter().filter(|parent| !parents.contains(parent));
        let leave = leave.map(|parent| format!("ALTER TABLE {name} NO INHERIT {parent};"));
        let join = parents.iter().filter(|parent| !parents_there.contains(parent));
        let join = join.map(|parent| format!("ALTER TABLE {name} INHERIT {parent};"));
        let sql = leave.chain(join).collect::<Vec<_>>().join("\n");
        found.add(Step::Key, "table", name, "parents", message, sql);
    }
    if wanted.row_security != there.row_security {
        let text = |row_security| match row_security {
            RowSecurity::Off => "off",
            RowSecurity::Enabled => "on",
            RowSecurity::Forced => "on for its owner too",
        };
        let (is, should) = (text(there.row_security), text(wanted.row_security));
        let message = format!("table {name} has row security {is}, and should have it {should}");
        let sql = create::row_security(name, wanted.row_security);
        found.add(Step::Trigger, "table", name, "row-security", message, sql);
    }
}

fn sorted(names: &[String]) -> Vec<&str> {
    let mut names: Vec<_> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// Constraints of a table or domain, `owner` being its kind and name.
pub(super) fn constraints(
    found: &mut Found,
    (kind, owner): (&str, &str),
    wanted: &BTreeMap<String, Constraint>,
    there: &BTreeMap<String, Constraint>,
) {
    let alter = format!("ALTER {kind} {owner}");
    let add = |name: &str, constraint: &Constraint| {
        format!("{alter} ADD CONSTRAINT {name} {};", constraint.definition)
    };
    let object = |name: &str| format!("{owner}.{name}");
    let is_same = |a: &Constraint, b: &Constraint| a.definition == b.definition;
    for pair in matched(wanted, there, &[&is_same], |constraint| constraint.named_by_server) {
        match pair {
            Pair::Missing(name, constraint) => {
                found.missing(step(constraint), "constraint", &object(name), add(name, constraint));
            }
            Pair::Extra(name, constraint) => {
                // A key cannot go while another table refers to it.
                let step = if is_foreign(constraint) { Step::DropForeignKey } else { Step::DropKey };
                let sql = format!("{alter} DROP CONSTRAINT {name};");
                found.extra(step, "constraint", &object(name), sql);
            }
            Pair::Same { renamed: false, .. } => {}
            Pair::Same { name, name_there, .. } => {
                let message = format!("constraint {} is called {name_there}", object(name));
                let sql = format!("{alter} RENAME CONSTRAINT {name_there} TO {name};");
                found.add(Step::Key, "constraint", &object(name), "name", message, sql);
            }
            Pair::Other(name, wanted, there) => {
                let not_validated = there.definition.strip_suffix(create::NOT_VALID);
                let (what, message, sql) = if not_validated == Some(&wanted.definition) {
                    let message = format!("constraint {} is not validated", object(name));
                    ("validation", message, format!("{alter} VALIDATE CONSTRAINT {name};"))
                } else {
                    let message = format!(
                        "constraint {} is {}, and should be {}",
                        object(name),
                        there.definition,
                        wanted.definition
                    );
                    let sql = format!("{alter} DROP CONSTRAINT {name};\n{}", add(name, wanted));
                    ("definition", message, sql)
                };
                found.add(step(wanted), "constraint", &object(name), what, message, sql);
            }
        }
    }
}

fn step(constraint: &Constraint) -> Step {
    if is_foreign(constraint) { Step::ForeignKey } else { Step::Key }
}

fn is_foreign(constraint: &Constraint) -> bool {
    constraint.definition.starts_with("FOREIGN KEY")
}

pub(super) fn indexes(
    found: &mut Found,
    table: &str,
    partitioned: bool,
    wanted: &BTreeMap<String, Index>,
    there: &BTreeMap<String, Index>,
) {
    let (schema, _) = quoting::split(table);
    let object = |name: &str| format!("{schema}.{name}");
    let is_same = |a: &Index, b: &Index| (a.unique, &a.definition) == (b.unique, &b.definition);
    // A valid index is the match, even if an invalid one has the expected name.
    let is_as_usable = |a: &Index, b: &Index| is_same(a, b) && (a.invalid || !b.invalid);
    for pair in matched(wanted, there, &[&is_as_usable, &is_same], |index| index.named_by_server) {
        match pair {
            Pair::Missing(name, index) => {
                found.missing(Step::Key, "index", &object(name), create::index(name, table, index));
            }
            Pair::Extra(name, index) => {
                let sql = format!("DROP INDEX {};", object(name));
                if index.invalid && wanted.values().any(|wanted| is_same(wanted, index)) {
                    let message = format!("index {} is INVALID, and there is another like it", object(name));
                    found.add(Step::DropKey, "index", &object(name), "invalid", message, sql);
                } else {
                    found.extra(Step::DropKey, "index", &object(name), sql);
                }
            }
            Pair::Same { name, wanted, name_there, there, renamed } => {
                if there.invalid && !wanted.invalid {
                    let message = format!("index {} is INVALID", object(name_there));
                    let sql = if partitioned {
                        // The indexes of its partitions are missing, and REINDEX does not create them.
                        let create = create::index(name_there, table, wanted);
                        format!("DROP INDEX {};\n{create}", object(name_there))
                    } else {
                        format!("REINDEX INDEX {};", object(name_there))
                    };
                    found.add(Step::Key, "index", &object(name_there), "invalid", message, sql);
                }
                if renamed {
                    let message = format!("index {} is called {name_there}", object(name));
                    let sql = format!("ALTER INDEX {} RENAME TO {name};", object(name_there));
                    found.add(Step::Key, "index", &object(name), "name", message, sql);
                }
            }
            Pair::Other(name, wanted, there) => {
                let text = |index: &Index| create::index(name, table, index);
                let message = format!(
                    "index {} is `{}`, and should be `{}`",
                    object(name),
                    text(there).trim_end_matches(';'),
                    text(wanted).trim_end_matches(';')
                );
                let sql = format!("DROP INDEX {};\n{}", object(name), text(wanted));
                found.add(Step::Key, "index", &object(name), "definition", message, sql);
            }
        }
    }
}

pub(super) fn triggers(
    found: &mut Found,
    table: &str,
    wanted: &BTreeMap<String, Trigger>,
    there: &BTreeMap<String, Trigger>,
) {
    for (name, wanted, there) in pairs(wanted, there) {
        let object = format!("{table}.{name}");
        let drop = format!("DROP TRIGGER {name} ON {table};");
        match (wanted, there) {
            (Some(wanted), None) => {
                found.missing(Step::Trigger, "trigger", &object, create::trigger(name, table, wanted));
            }
            (None, Some(_)) => found.extra(Step::Free, "trigger", &object, drop),
            (Some(wanted), Some(there)) if wanted.definition != there.definition => {
                let message = format!("trigger {object} has another definition");
                let sql = format!("{drop}\n{}", create::trigger(name, table, wanted));
                found.add(Step::Trigger, "trigger", &object, "definition", message, sql);
            }
            (Some(wanted), Some(there)) if wanted.firing != there.firing => {
                let text = |trigger: &Trigger| trigger.firing.clone().unwrap_or_else(|| "ENABLE".into());
                let message =
                    format!("trigger {object} is set to {}, and should be to {}", text(there), text(wanted));
                let sql = format!("ALTER TABLE {table} {} TRIGGER {name};", text(wanted));
                found.add(Step::Trigger, "trigger", &object, "firing", message, sql);
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

pub(super) fn rules(
    found: &mut Found,
    table: &str,
    wanted: &BTreeMap<String, String>,
    there: &BTreeMap<String, String>,
) {
    texts(found, ("rule", table), wanted, there, |_, definition| create::terminated(definition));
}

fn policies(
    found: &mut Found,
    table: &str,
    wanted: &BTreeMap<String, String>,
    there: &BTreeMap<String, String>,
) {
    let create = |name: &str, definition: &str| format!("CREATE POLICY {name} ON {table} {definition};");
    texts(found, ("policy", table), wanted, there, create);
}

/// What is on a table and is one text.
fn texts(
    found: &mut Found,
    (kind, table): (&str, &str),
    wanted: &BTreeMap<String, String>,
    there: &BTreeMap<String, String>,
    create: impl Fn(&str, &str) -> String,
) {
    for (name, wanted, there) in pairs(wanted, there) {
        let object = format!("{table}.{name}");
        let drop = format!("DROP {} {name} ON {table};", kind.to_uppercase());
        match (wanted, there) {
            (Some(wanted), None) => found.missing(Step::Trigger, kind, &object, create(name, wanted)),
            (None, Some(_)) => found.extra(Step::Free, kind, &object, drop),
            (Some(wanted), Some(there)) if wanted != there => {
                let message = format!("{kind} {object} has another definition");
                let sql = format!("{drop}\n{}", create(name, wanted));
                found.add(Step::Trigger, kind, &object, "definition", message, sql);
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

/// How an expected object exists.
enum Pair<'a, T> {
    Missing(&'a str, &'a T),
    Extra(&'a str, &'a T),
    /// The same, maybe under another name.
    Same {
        name: &'a str,
        wanted: &'a T,
        name_there: &'a str,
        there: &'a T,
        /// Whether the names differ, and that matters.
        renamed: bool,
    },
    /// Another of the same name.
    Other(&'a str, &'a T, &'a T),
}

/// When two things are the same.
type Sameness<'a, T> = &'a dyn Fn(&T, &T) -> bool;

/// Finds for each thing the one that is the same, in each sense of it after the other: first by name, then without, as
/// names that the server generates do not matter. The rest is compared by name.
fn matched<'a, T>(
    wanted: &'a BTreeMap<String, T>,
    there: &'a BTreeMap<String, T>,
    senses: &[Sameness<'_, T>],
    named_by_server: impl Fn(&T) -> bool,
) -> Vec<Pair<'a, T>> {
    let mut left: Vec<(&str, &T)> = wanted.iter().map(|(name, thing)| (name.as_str(), thing)).collect();
    let mut left_there: BTreeMap<&str, &T> =
        there.iter().map(|(name, thing)| (name.as_str(), thing)).collect();
    let mut pairs = Vec::new();
    for (is_same, by_name) in senses.iter().flat_map(|is_same| [(is_same, true), (is_same, false)]) {
        left.retain(|&(name, wanted)| {
            let same = left_there
                .iter()
                .find(|&(&other, thing)| (!by_name || other == name) && is_same(wanted, thing))
                .map(|(&other, &thing)| (other, thing));
            let Some((name_there, there)) = same else { return true };
            left_there.remove(name_there);
            let renamed = name != name_there && !(named_by_server(wanted) && named_by_server(there));
            pairs.push(Pair::Same { name, wanted, name_there, there, renamed });
            false
        });
    }
    for (name, thing) in left {
        pairs.push(match left_there.remove(name) {
            Some(other) => Pair::Other(name, thing, other),
            None => Pair::Missing(name, thing),
        });
    }
    pairs.extend(left_there.into_iter().map(|(name, thing)| Pair::Extra(name, thing)));
    pairs
}

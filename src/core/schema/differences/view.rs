//! Views and materialized views.

use super::{Found, Step, by_dependency, pairs, table};
use crate::core::schema::{Schema, View, create, query};

pub(super) fn compare_all(found: &mut Found, expected: &Schema, live: &Schema) {
    let (mut missing, mut extra) = (Vec::new(), Vec::new());
    for (name, wanted, there) in pairs(&expected.views, &live.views) {
        match (wanted, there) {
            (Some(wanted), None) => missing.push((name.as_str(), create::view(name, wanted))),
            (None, Some(_)) if found.is_elsewhere(name) => {}
            (None, Some(there)) => extra.push((name.as_str(), there.query.clone())),
            (Some(wanted), Some(there)) => compare(found, name, wanted, there),
            (None, None) => {}
        }
    }
    for at in by_dependency(&missing) {
        let (name, sql) = &missing[at];
        found.missing(Step::View, word(&expected.views[*name]), name, sql.clone());
    }
    for at in by_dependency(&extra).into_iter().rev() {
        let name = extra[at].0;
        let there = &live.views[name];
        found.extra(Step::DropView, word(there), name, drop(name, there));
    }
}

fn compare(found: &mut Found, name: &str, wanted: &View, there: &View) {
    let kind = word(wanted);
    let is_same_query = query::is_same(&wanted.query, &there.query);
    if wanted.materialized != there.materialized {
        let message = format!("{kind} {name} is a {}", word(there));
        found.add(Step::View, kind, name, "kind", message, remake(name, wanted, there));
        return;
    }
    if !is_same_query {
        let message = format!("{kind} {name} has another query");
        // Columns may be added at the end, and nothing else.
        if wanted.materialized || !wanted.columns.starts_with(&there.columns) {
            // It brings with it what is on it.
            found.add(Step::View, kind, name, "query", message, remake(name, wanted, there));
            return;
        }
        let with = create::with(wanted.options.as_deref());
        let sql = format!("CREATE OR REPLACE VIEW {name}{with} AS\n{};", wanted.query);
        found.add(Step::View, kind, name, "query", message, sql);
    }
    if wanted.options != there.options {
        let text = |options: &Option<String>| options.clone().unwrap_or_else(|| "no options".into());
        let message =
            format!("{kind} {name} has {}, and should have {}", text(&there.options), text(&wanted.options));
        let reset = there.options.as_deref().map(|options| {
            let names: Vec<_> =
                options.split(", ").map(|option| option.split('=').next().unwrap_or_default()).collect();
            format!("ALTER VIEW {name} RESET ({});", names.join(", "))
        });
        let set = wanted.options.as_deref().map(|options| format!("ALTER VIEW {name} SET ({options});"));
        let sql = reset.into_iter().chain(set).collect::<Vec<_>>().join("\n");
        found.add(Step::View, kind, name, "options", message, sql);
    }
    table::indexes(found, name, false, &wanted.indexes, &there.indexes);
    table::triggers(found, name, &wanted.triggers, &there.triggers);
    table::rules(found, name, &wanted.rules, &there.rules);
}

fn word(view: &View) -> &'static str {
    if view.materialized { "materialized view" } else { "view" }
}

fn drop(name: &str, view: &View) -> String {
    format!("DROP {} {name};", word(view).to_uppercase())
}

fn remake(name: &str, wanted: &View, there: &View) -> String {
    format!("{}\n{}", drop(name, there), create::view(name, wanted))
}

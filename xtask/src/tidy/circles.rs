//! Checks that no two areas of the tasks or of the end-to-end tests need each other.

use std::collections::{BTreeMap, BTreeSet};

use super::File;

/// Crates whose top-level modules are areas. Those of the product are layers, which have other rules.
const CRATES: [&str; 2] = ["e2e/src/", "xtask/src/"];

type Areas<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

pub(super) fn circles(files: &[File]) -> Vec<String> {
    let of_crate = |root: &&str| {
        let areas = areas(files, root);
        let circular = areas.keys().filter(|area| reached(&areas, area).contains(*area));
        circular.map(|area| format!("{root}{area}.rs: it needs a module that needs it")).collect::<Vec<_>>()
    };
    CRATES.iter().flat_map(of_crate).collect()
}

/// Each area, and the areas that its code names.
fn areas<'a>(files: &'a [File], root: &str) -> Areas<'a> {
    let mut areas = Areas::new();
    for file in files {
        let Some(area) = file.path.strip_prefix(root).and_then(area) else { continue };
        // Tests may use any area.
        let code = file.text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let named = code.split("crate::").skip(1).flat_map(names).filter(|name| *name != area);
        areas.entry(area).or_default().extend(named);
    }
    areas
}

/// The top-level module that a source file belongs to.
fn area(path: &str) -> Option<&str> {
    let first = path.strip_suffix(".rs")?.split('/').next()?;
    (!["lib", "main"].contains(&first)).then_some(first)
}

/// The modules that a path names after `crate::`: `a` of `a::b`, `a` and `c` of `{a::b, c}`.
fn names(rest: &str) -> impl Iterator<Item = &str> {
    let list = rest.strip_prefix('{').and_then(|rest| rest.split('}').next());
    list.unwrap_or(rest).split(',').take(if list.is_some() { usize::MAX } else { 1 }).map(|path| {
        let path = path.trim();
        &path[..path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len())]
    })
}

fn reached<'a>(areas: &Areas<'a>, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<_> = areas.get(from).into_iter().flatten().copied().collect();
    while let Some(area) = next.pop() {
        if reached.insert(area) {
            next.extend(areas.get(area).into_iter().flatten());
        }
    }
    reached
}

//! `argocd/`: the chart as an Application and an `ApplicationSet`, and the Job as plain manifests.

mod application;
pub mod manifests;

use std::fmt::Write as _;

use crate::gate::{self, Annotations, Database, Part, Phase, Step};
use anyhow::{Context, Result};
use serde::Serialize;

use super::manifest::yaml;
use super::{Files, HEADER, replace_region};
use crate::project::released;

pub(crate) fn files() -> Result<Files> {
    let mut files = vec![
        file("application.yaml", &application::application())?,
        file("applicationset.yaml", &application::application_set())?,
    ];
    files.extend(manifests::files()?);
    files.push(readme()?);
    Ok(files)
}

fn file(name: &str, object: &impl Serialize) -> Result<(std::path::PathBuf, String)> {
    Ok((format!("argocd/{name}").into(), format!("# {HEADER}.\n{}", yaml(object)?)))
}

/// People write it; what the gate description says in it is generated.
fn readme() -> Result<(std::path::PathBuf, String)> {
    let path = "argocd/README.md";
    let text = std::fs::read_to_string(crate::project::root().join(path))
        .with_context(|| format!("`{path}` cannot be read"))?;
    let text = replace_region(&text, "annotations", &annotations())?;
    Ok((path.into(), replace_region(&text, "kustomization", &kustomization())?))
}

/// How somebody uses the plain manifests of this version.
fn kustomization() -> String {
    let (repository, version) = (env!("CARGO_PKG_REPOSITORY"), released::version());
    let image = released::current();
    let which = match &*image.digest {
        "" => format!("newTag: {version}"),
        digest => format!("digest: {digest}"),
    };
    format!(
        "```yaml\n# kustomization.yaml\nresources:\n  - {repository}//argocd/migrate/presync?ref=v{version}\n  - deployment.yaml\n\
         images:\n  - name: {}\n    {which}\n```\n",
        image.repository()
    )
}

/// Which annotations the objects carry in each phase.
fn annotations() -> String {
    let mut text = "| object | phase | annotations |\n|---|---|---|\n".to_owned();
    for (phase, database, when) in [
        (Phase::PreSync, Database::External, "external database"),
        (Phase::Sync, Database::Bundled, "bundled database"),
    ] {
        let phase_name = phase.name();
        for (object, part) in [("Job", Part::Job), ("Secret, NetworkPolicy", Part::Inputs)] {
            row(&mut text, object, &format!("`{phase_name}`, {when}"), &gate::hook(part, database, phase));
        }
    }
    for (object, step) in [
        ("Job", Step::Job),
        ("bundled database", Step::Database),
        ("the release's Secret, NetworkPolicy", Step::Inputs),
    ] {
        row(&mut text, object, &format!("`{}`", Phase::Wave.name()), &gate::wave(step));
    }
    text
}

fn row(text: &mut String, object: &str, phase: &str, annotations: &Annotations) {
    let pairs: Vec<_> = annotations.iter().map(|(key, value)| format!("`{key}: {value:?}`")).collect();
    let _ = writeln!(text, "| {object} | {phase} | {} |", pairs.join("<br>"));
}
